"""How a scenario is timed: a loop of calls, in turns with the loop that it is compared with."""

import gc
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from itertools import count
from time import perf_counter
from typing import Any

MANY = 2**20  # a bound that no scenario reaches

# Runs a statement for each of the arguments and returns the seconds that took.
Loop = Callable[[list[int]], Coroutine[Any, Any, float]]
# Makes the arguments of one loop.
Arguments = Callable[[int], list[int]]


@dataclass(frozen=True)
class Effort:
    """How long to measure for."""

    calls: int = 20_000  # in one loop, at most
    seconds: float = 0.02  # for one loop, about
    repeats: int = 15
    waiters: int = 10_000
    entries: int = 100_000
    many_entries: int = 1_000_000
    filling: float = 60  # seconds to fill a cache in, at most


QUICK = Effort(calls=5_000, seconds=0.01, repeats=5, entries=20_000, many_entries=100_000)


@dataclass(frozen=True)
class Figure:
    """A measurement: a ratio, a number of bytes or milliseconds, and what to say beside it."""

    value: float
    remark: str = ""


LOOP = """
async def loop(args, {names}):
    start = perf_counter()
    for x in args:
        {statement}
    return perf_counter() - start
"""


def timed(statement: str, **names: Any) -> Loop:
    """A loop of the statement, which sees each argument as x, and the names."""
    scope: dict[str, Any] = {"perf_counter": perf_counter}
    exec(LOOP.format(statement=statement, names=", ".join(names)), scope)
    return partial(scope["loop"], **names)


def recurring(calls: int) -> list[int]:
    """A hundred different integers over and over, never the same object as in an earlier list.

    They are above 1,024, up to which 3.15 keeps one object of each.
    """
    return [int(str(2000 + n % 100)) for n in range(calls)]


def never_seen(first: int = 1000) -> Arguments:
    """Makes lists of integers of which no two are equal."""
    numbers = count(first)
    return lambda calls: [next(numbers) for _ in range(calls)]


async def fitting(loop: Loop, arguments: Arguments, effort: Effort) -> int:
    """How many calls fit into the time of one loop."""
    probe = min(100, effort.calls)
    await loop(arguments(probe))
    seconds = await loop(arguments(probe))
    return max(20, min(effort.calls, int(probe * effort.seconds / seconds)))


async def best_of(loops: list[Loop], arguments: Arguments, calls: int, repeats: int) -> list[float]:
    """The shortest time of each loop; they take turns, with the garbage collector at rest."""
    best = [float("inf")] * len(loops)
    for _ in range(repeats):
        for index, loop in enumerate(loops):
            args = arguments(calls)
            gc.collect()
            gc.disable()
            best[index] = min(best[index], await loop(args))
            gc.enable()
    return best


async def ratio(case: Loop, base: Loop, arguments: Arguments, effort: Effort) -> float:
    """How many times as long as the base the case takes, the looping itself taken off both."""
    calls = await fitting(case, arguments, effort)
    loops = [case, base, timed("pass", nothing=None)]
    case_time, base_time, looping = await best_of(loops, arguments, calls, effort.repeats)
    return (case_time - looping) / (base_time - looping)
