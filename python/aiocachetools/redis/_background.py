"""Tasks that belong to a connection and not to whoever's call has begun them."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

from ._errors import TierUnavailableError

__all__ = ("background", "check_cancelled", "lasting")

T = TypeVar("T")


def background(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task with none of the caller's context variables, which it would keep alive."""
    return Context().run(_create_task, work)


def _create_task(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    return asyncio.create_task(work, name="aiocachetools: redis")


async def lasting(task: asyncio.Task[T]) -> T:
    """The result of a task that goes on though the caller is cancelled.

    Raises:
        TierUnavailableError: The task was cancelled, and not the caller.
    """
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.cancelled():
            raise
        check_cancelled()
        raise TierUnavailableError("the tier was closed: whether the change was made is not known") from None


def check_cancelled() -> None:
    """Raise CancelledError in a task that was cancelled, though what it awaited has not.

    `asyncio.wait_for` of Python 3.11 returns the result where both come at once, and clients of
    Redis wait with it; a task that goes round for ever would never hear of it again.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
