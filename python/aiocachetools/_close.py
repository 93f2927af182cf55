"""Closing a decorated function."""

import asyncio
import contextlib
from collections.abc import Sequence

from ._core import Fetch


async def close(tasks: Sequence["asyncio.Task[object] | Fetch"], wait: bool) -> None:
    """End the loads that are under way: let them finish, or cancel them.

    Returns when those of the running loop are over; those of other loops are told to cancel.
    """
    loop, current = asyncio.get_running_loop(), asyncio.current_task()
    # A load that closes its own function cannot wait for itself.
    tasks = [task for task in tasks if task is not current]
    own = [task for task in tasks if task.get_loop() is loop]
    if not wait:
        for task in tasks:
            # The loop of another thread may be closed by now, and the load gone with it.
            with contextlib.suppress(RuntimeError):
                task.get_loop().call_soon_threadsafe(task.cancel)
    await asyncio.gather(*map(_future_of, own), return_exceptions=True)


def _future_of(task: "asyncio.Task[object] | Fetch") -> "asyncio.Future[object]":
    if not isinstance(task, Fetch):
        return task
    over: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    def end(_: object) -> None:
        if not over.done():
            over.set_result(None)

    task.add_done_callback(end)
    return over
