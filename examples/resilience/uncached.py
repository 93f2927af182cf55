"""The same service without its cache."""

from .service import app, find_product

app.dependency_overrides[find_product] = find_product.__wrapped__
