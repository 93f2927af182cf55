"""The same service without its cache."""

from .service import create_app, load_product

app = create_app()
app.dependency_overrides[app.state.find_product] = load_product
