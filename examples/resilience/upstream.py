"""What the service depends on: it takes as long over each answer as it is told to."""

import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

PRODUCTS = 100


async def set_delay(request: Request) -> JSONResponse:
    request.app.state.delay = request.path_params["seconds"]
    return JSONResponse(None)


async def read_product(request: Request) -> JSONResponse:
    await asyncio.sleep(request.app.state.delay)
    product = request.path_params["product"]
    if product >= PRODUCTS:
        return JSONResponse({"detail": "Not Found"}, 404)
    return JSONResponse({"id": product, "name": f"Product {product}"})


app = Starlette(
    routes=[
        Route("/delay/{seconds:float}", set_delay, methods=["PUT"]),
        Route("/products/{product:int}", read_product),
    ]
)
app.state.delay = 0.0
