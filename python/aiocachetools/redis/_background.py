"""Tasks that belong to a connection and not to whoever's call has begun them."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

__all__ = ("background",)

T = TypeVar("T")


def background(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task with none of the caller's context variables, which it would keep alive."""
    return Context().run(_create_task, work)


def _create_task(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    return asyncio.create_task(work, name="aiocachetools: redis")
