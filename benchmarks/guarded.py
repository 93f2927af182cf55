"""The calls whose instructions `make bench-guard` counts; it runs this module under callgrind.

Run as `python -m benchmarks.guarded [CASE...]`.  A call of `os.getppid` marks where callgrind starts a
new count: before, between and after two loops of different lengths, so that what a loop costs once
cancels out.
"""

import asyncio
import gc
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from cachetools import TTLCache

import aiocachetools
from aiocachetools import cached, cachedmethod

from .timing import Arguments, never_seen, recurring, timed

WARM_UP, SHORT, LONG = 500, 500, 2500
CALLS = LONG - SHORT
MAXSIZE = 128
TTL = 3600

# A loop over arguments, and what makes these.
Case = tuple[Callable[[list[int]], Coroutine[Any, Any, Any]], Arguments]


async def bare(x: int) -> int:
    return x


async def bare_three(x: int, y: int, z: int = 0) -> int:
    return x


async def with_keyword_only(x: int, *, y: int) -> int:
    return x


async def with_db(db: object, x: int) -> int:
    return x


async def suspending(x: int) -> int:
    await asyncio.sleep(0)
    return x


class Service:
    def __init__(self) -> None:
        self.cache = aiocachetools.LRUCache[Any, int](MAXSIZE)

    async def bare(self, x: int) -> int:
        return x

    @cached(maxsize=MAXSIZE)
    async def shared(self, x: int) -> int:
        return x

    @cachedmethod(lambda self: self.cache)
    async def own(self, x: int) -> int:
        return x


def hits(statement: str, **names: Any) -> Case:
    """Calls that hit, once they were made."""
    return timed(statement, **names), recurring


def misses(statement: str, **names: Any) -> Case:
    """Calls with arguments that were never seen."""
    return timed(statement, **names), never_seen()


async def crowd(waiters: list[int]) -> None:
    """Tasks that wait for one load, from being made until all are done."""
    gate = asyncio.Event()

    @cached
    async def load(x: int) -> int:
        await gate.wait()
        return x

    tasks = [asyncio.create_task(waiter(load)) for _ in waiters]
    for _ in range(3):
        await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*tasks)


async def crowd_on_future(waiters: list[int]) -> None:
    """The same with an asyncio.Future."""
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    tasks = [asyncio.create_task(waiter(lambda _: future)) for _ in waiters]
    for _ in range(3):
        await asyncio.sleep(0)
    future.set_result(0)
    await asyncio.gather(*tasks)


async def waiter(call: Callable[[int], Awaitable[int]]) -> int:
    return await call(1)


CASES: dict[str, Callable[[], Case]] = {
    "bare": lambda: hits("await f(x)", f=bare),
    "hit": lambda: hits("await f(x)", f=cached(bare)),
    "hit, 3 arguments": lambda: hits("await f(x, 2, 3)", f=cached(bare_three)),
    "hit, by keyword": lambda: hits("await f(x, 2, z=x)", f=cached(bare_three)),
    "hit, keyword-only": lambda: hits("await f(x, y=2)", f=cached(with_keyword_only)),
    "hit, ignore": lambda: hits("await f(db, x)", f=cached(ignore=("db",))(with_db), db=object()),
    "hit, TTL": lambda: hits("await f(x)", f=cached(maxsize=MAXSIZE, ttl=TTL)(bare)),
    "bare method": lambda: hits("await f.bare(x)", f=Service()),
    "hit, method": lambda: hits("await f.shared(x)", f=Service()),
    "hit, cachedmethod": lambda: hits("await f.own(x)", f=Service()),
    "hit, dict": lambda: hits("await f(x)", f=cached({})(bare)),
    "hit, cachetools.TTLCache": lambda: hits("await f(x)", f=cached(TTLCache(MAXSIZE, TTL))(bare)),
    "bare task": lambda: misses("await task(f(x))", f=suspending, task=asyncio.create_task),
    "miss, suspending": lambda: misses("await f(x)", f=cached(suspending)),
    "miss, not suspending": lambda: misses("await f(x)", f=cached(bare)),
    "join a future": lambda: (crowd_on_future, recurring),
    "join": lambda: (crowd, recurring),
}


def mark() -> None:
    os.getppid()


async def run(case: Callable[[], Case]) -> None:
    loop, arguments = case()
    for _ in range(2):
        await loop(arguments(WARM_UP))
    short, long = arguments(SHORT), arguments(LONG)
    gc.collect()
    gc.disable()
    mark()
    await loop(short)
    mark()
    await loop(long)
    mark()
    gc.enable()


def main(names: list[str]) -> None:
    for name in names or CASES:
        asyncio.run(run(CASES[name]))


if __name__ == "__main__":
    main(sys.argv[1:])
