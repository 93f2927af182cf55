"""Scenarios with many callers at once."""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter

from .peers import Peer, needs_await
from .timing import MANY, Effort, Figure

KEYS = 100
LOAD_SECONDS = 0.01


async def waiters(peer: Peer, effort: Effort) -> Figure:
    """callers of one key under way, joining and waking / as many that await one Future (10,000)"""
    needs_await(peer)
    gate = asyncio.Event()
    loads = 0

    async def load(x: int) -> int:
        nonlocal loads
        loads += 1
        await gate.wait()
        return x

    decorated = peer.cached(load, MANY)
    case_time = base_time = float("inf")
    rounds = rounds_of(effort)
    for x in range(1000, 1000 + rounds):
        gate.clear()
        base_time = min(base_time, await crowd_on_future(effort.waiters))
        case_time = min(case_time, await crowd(lambda x=x: decorated(x), gate.set, effort.waiters))  # type: ignore[misc]
    remark = "" if loads == rounds else f"{loads // rounds:,} loads"
    return Figure(case_time / base_time, remark)


async def crowd_on_future(size: int) -> float:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    return await crowd(lambda: future, lambda: future.set_result(1), size)


async def crowd(wait: Callable[[], Awaitable[int]], release: Callable[[], None], size: int) -> float:
    """The seconds that so many tasks take from being made until all are done; released once all wait."""

    async def waiter() -> int:
        return await wait()

    start = perf_counter()
    tasks = [asyncio.create_task(waiter()) for _ in range(size)]
    for _ in range(3):
        await asyncio.sleep(0)
    release()
    await asyncio.gather(*tasks)
    return perf_counter() - start


async def stampede(peer: Peer, effort: Effort) -> Figure:
    """milliseconds until 10,000 tasks that call for 100 keys have their values; a load takes 10 of them"""
    needs_await(peer)
    loads = 0

    async def load(x: int) -> int:
        nonlocal loads
        loads += 1
        await asyncio.sleep(LOAD_SECONDS)
        return x

    decorated = peer.cached(load, MANY)

    async def caller(x: int) -> int:
        value: int = await decorated(x)
        return value

    best = float("inf")
    rounds = rounds_of(effort)
    for first in range(1000, 1000 + rounds * KEYS, KEYS):
        start = perf_counter()
        await asyncio.gather(*(caller(first + n % KEYS) for n in range(effort.waiters)))
        best = min(best, perf_counter() - start)
    remark = "" if loads == rounds * KEYS else f"{loads // rounds:,} loads"
    return Figure(best * 1000, remark)


def rounds_of(effort: Effort) -> int:
    return max(3, effort.repeats // 3)
