"""Measures the goals that the call path is held to: ratios of two loops that take turns in one process.

Run as `python -m benchmarks.goals`.  Each figure is the median of many short rounds, so that what else
the machine does in some of them is left out.
"""

import argparse
import asyncio
import gc
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from typing import Any

from cachetools import TTLCache

import aiocachetools
from aiocachetools import cached, cachedmethod

from .bench import measure
from .crowds import crowd, crowd_on_future
from .report import number
from .scenarios import bare, bare_three, plain_three, suspending
from .timing import MANY, Arguments, Effort, Loop, fitting, never_seen, recurring, timed
from .worker import loop_factory

FEW = 1_000
TTL = 3600
EFFORT = Effort(calls=20_000, seconds=0.002)
# A task can start at once, so that a load that does not suspend needs no turn of the loop.
EAGER = sys.version_info >= (3, 12)

# What is measured, and what it is measured against.
Pair = tuple[Loop, Loop]


class Service:
    def __init__(self) -> None:
        self.cache = aiocachetools.LRUCache[Any, int](FEW)

    async def bare(self, x: int) -> int:
        return x

    @cached(maxsize=FEW)
    async def shared(self, x: int) -> int:
        return x

    @cachedmethod(lambda self: self.cache)
    async def own(self, x: int) -> int:
        return x


@dataclass(frozen=True)
class Goal:
    name: str
    at_most: float
    pair: Callable[[], Pair]
    arguments: Callable[[], Arguments] = lambda: recurring
    calls: int = 0  # as many as take EFFORT's time


def against(base: Loop, statement: str, **names: Any) -> Pair:
    return timed(statement, **names), base


def against_bare(f: Any) -> Pair:
    return against(timed("await f(x)", f=bare), "await f(x)", f=f)


def against_task(loader: Any) -> Pair:
    base = timed("await task(f(x))", f=loader, task=asyncio.create_task)
    return against(base, "await f(x)", f=cached(maxsize=MANY)(loader))


def against_method(name: str) -> Pair:
    service = Service()
    return against(timed("await s.bare(x)", s=service), f"await s.{name}(x)", s=service)


def three(base: str, f: Any) -> Pair:
    return against(timed(base, f=f), "await f(x, 2, z=x)", f=cached(maxsize=FEW)(bare_three))


def through_ttl_cache() -> Pair:
    cache: TTLCache[tuple[int], int] = TTLCache(FEW, TTL)
    return against(timed("cache[x,]", cache=cache), "await f(x)", f=cached(cache)(bare))


def through_dict() -> Pair:
    native = timed("await f(x)", f=cached(maxsize=FEW)(bare))
    return against(native, "await f(x)", f=cached({})(bare))


def waiting() -> Pair:
    gate = asyncio.Event()

    async def load(x: int) -> int:
        await gate.wait()
        return x

    decorated = cached(maxsize=MANY)(load)

    async def on_flight(waiters: list[int]) -> float:
        gate.clear()
        return await crowd(lambda: decorated(waiters[0]), gate.set, len(waiters))

    async def on_future(waiters: list[int]) -> float:
        return await crowd_on_future(len(waiters))

    return on_flight, on_future


GOALS = [
    Goal(
        "hit, one argument / bare await",
        1.0 if EAGER else 0.7,
        lambda: against_bare(cached(maxsize=FEW)(bare)),
    ),
    Goal(
        "hit, 3 arguments, one by keyword / bare await", 1.1, lambda: three("await f(x, 2, z=x)", bare_three)
    ),
    Goal(
        "the same / lru_cache without await", 0.6, lambda: three("f(x, 2, z=x)", lru_cache(FEW)(plain_three))
    ),
    Goal("hit, TTL / bare await", 1.05, lambda: against_bare(cached(maxsize=FEW, ttl=TTL)(bare))),
    Goal("hit, method / bare method", 1.2, lambda: against_method("shared")),
    Goal("hit, cachedmethod / bare method", 1.8, lambda: against_method("own")),
    Goal("hit through a dict / native hit", 1.5, through_dict),
    Goal("hit through cachetools.TTLCache / its own lookup", 1.3, through_ttl_cache),
    Goal("miss that suspends / create_task", 1.2, lambda: against_task(suspending), never_seen),
    Goal(
        "miss that does not suspend / create_task",
        0.25 if EAGER else 1.2,
        lambda: against_task(bare),
        never_seen,
    ),
    Goal("10,000 waiters / on one Future", 1.0, waiting, never_seen, 10_000),
]
BYTES = ("bytes per entry beyond key and value", 64)


async def paired(goal: Goal, rounds: int) -> float:
    """How many times as long as what it is measured against something takes: the median of the rounds."""
    arguments = goal.arguments()
    case, base = goal.pair()
    looping = timed("pass", nothing=None)
    calls = goal.calls or await fitting(case, arguments, EFFORT)
    await case(arguments(calls))
    ratios = []
    for _ in range(rounds):
        seconds = []
        for loop in (looping, base, case, base):
            args = arguments(calls)
            gc.collect()
            gc.disable()
            seconds.append(await loop(args))
            gc.enable()
        empty, before, measured, after = seconds
        ratios.append((measured - empty) / ((before + after) / 2 - empty))
    return median(ratios)


def line(name: str, value: float, at_most: float) -> str:
    return f"| {name:<48} | {number(value):>5} | {number(at_most):>5} | {'' if value <= at_most else 'missed':<6} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.goals", description=__doc__)
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    parser.add_argument("--rounds", type=int, default=101)
    parser.add_argument("--only", default="", help="only goals with this in their name")
    options = parser.parse_args()
    print(f"CPython {platform.python_version()}, {options.loop}\n")
    print(f"| {'':<48} | ratio | goal  |        |\n|{'-' * 50}|------:|------:|--------|")
    for goal in GOALS:
        if options.only in goal.name:
            rounds = options.rounds if not goal.calls else max(3, options.rounds // 8)
            with asyncio.Runner(loop_factory=loop_factory(options.loop)) as runner:
                print(line(goal.name, runner.run(paired(goal, rounds)), goal.at_most), flush=True)
    if options.only in BYTES[0]:
        answer = measure(sys.executable, "aiocachetools", "bytes", options.loop, "full")
        print(line(BYTES[0], answer["value"], BYTES[1]))


if __name__ == "__main__":
    main()
