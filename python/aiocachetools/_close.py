"""Closing a decorated function."""

import asyncio
from collections.abc import Sequence


async def close(tasks: Sequence["asyncio.Task[object]"], wait: bool) -> None:
    """End the loads that are under way: let them finish, or cancel them.

    Returns when those of the running loop are over; those of other loops are told to cancel.
    """
    loop = asyncio.get_running_loop()
    own = [task for task in tasks if task.get_loop() is loop]
    if not wait:
        for task in tasks:
            if task.get_loop() is loop:
                task.cancel()
            else:
                task.get_loop().call_soon_threadsafe(task.cancel)
    await asyncio.gather(*own, return_exceptions=True)
