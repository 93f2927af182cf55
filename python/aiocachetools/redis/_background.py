"""Tasks that belong to a connection and not to whoever's call has begun them."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

__all__ = ("background", "check_cancelled")

T = TypeVar("T")


def background(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task with none of the caller's context variables, which it would keep alive."""
    return Context().run(_create_task, work)


def _create_task(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    return asyncio.create_task(work, name="aiocachetools: redis")


def check_cancelled() -> None:
    """Raise CancelledError in a task that was cancelled, though what it awaited has not.

    `asyncio.wait_for` of Python 3.11 returns the result where both come at once, and clients of
    Redis wait with it; a task that goes round for ever would never hear of it again.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
