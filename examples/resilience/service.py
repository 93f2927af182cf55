"""A FastAPI service that answers while the one behind it is slow or gone: a file to copy and fill in.

    UPSTREAM=http://localhost:9000 uvicorn examples.resilience.service:app

The cache's times are short so that a demo of half a minute sees all of them. In earnest they are more like
ttl=60, stale_while_revalidate=60, stale_if_error=86_400.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, cast

import httpx
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse

from aiocachetools import cached

Product = dict[str, Any]

through_cache = cached(
    maxsize=10_000,
    ttl=1,
    stale_while_revalidate=1,  # for a second more: served at once, and refreshed behind the scenes
    stale_if_error=3600,  # for an hour: better than an error,
    soft_timeout=0.1,  # and than waiting for longer than this
    timeout=5,  # no request to the upstream takes longer
    cache_errors={httpx.TransportError: 1},  # an upstream that is gone is left alone for a second
    ignore="client",
)


async def upstream(request: Request) -> httpx.AsyncClient:
    return cast(httpx.AsyncClient, request.app.state.upstream)


async def load_product(
    product_id: int, client: Annotated[httpx.AsyncClient, Depends(upstream)]
) -> Product | None:
    response = await client.get(f"/products/{product_id}")
    if response.status_code == 404:
        return None  # an answer, to be cached as any other; an exception would be a failure
    return cast(Product, response.raise_for_status().json())


async def unavailable(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": "The products cannot be had at the moment."}, 503, {"Retry-After": "1"})


def create_app() -> FastAPI:
    """An application with a cache of its own, which is closed with it; tests may start many."""
    find_product = through_cache(load_product)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with httpx.AsyncClient(base_url=os.environ["UPSTREAM"]) as app.state.upstream:
            yield
            await find_product.cache_close()  # before the client that refreshes under way make use of

    app = FastAPI(
        lifespan=lifespan, exception_handlers={httpx.HTTPError: unavailable, TimeoutError: unavailable}
    )
    app.state.find_product = find_product

    @app.get("/products/{product_id}")
    async def read_product(product: Annotated[Product | None, Depends(find_product)]) -> Product:
        if product is None:
            raise HTTPException(404)
        return product

    @app.get("/stats")
    async def read_stats() -> dict[str, Any]:
        return find_product.cache_stats()._asdict()

    return app


app = create_app()
