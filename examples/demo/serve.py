"""Serves the burst with one contender and measures it, in a process of its own.

Run as `python -m examples.demo.serve CONTENDER DATABASE`. What it prints are lines of JSON: how many
requests are done, now and then, and at last the measurement.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import aiosqlite

from .contenders import CONTENDERS, Lookup, Queries
from .database import requested

REPORT_EVERY = 100


@dataclass
class Measurement:
    """What one contender did; memory is the growth of the process's peak."""

    queries: int
    requests: int
    seconds: float
    p50: float
    p99: float
    memory: int


def percentile(values: list[float], percent: float) -> float:
    """The smallest of the values that at least so many percent of them do not exceed."""
    ranked = sorted(values)
    return ranked[max(0, -int(-len(ranked) * percent // 100) - 1)]


def peak_memory() -> int:
    """The most memory, in bytes, that this process has had in use."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        import resource  # where there is no /proc; macOS counts in bytes

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (peak,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024


async def burst(
    lookup: Lookup, db: aiosqlite.Connection, codepoints: list[int], report: Callable[[int], None]
) -> list[float]:
    """Makes all requests at once; returns how long after that each of them had its answer."""
    latencies: list[float] = []
    arrived = perf_counter()

    async def request(codepoint: int) -> None:
        character = await lookup(db, codepoint)
        latencies.append(perf_counter() - arrived)
        if character[0] != codepoint:
            raise AssertionError(f"asked for {codepoint}, got {character[0]}")
        if len(latencies) % REPORT_EVERY == 0:
            report(len(latencies))

    async with asyncio.TaskGroup() as group:
        for codepoint in codepoints:
            group.create_task(request(codepoint))
    return latencies


async def measure(contender: str, database: Path, report: Callable[[int], None]) -> Measurement:
    codepoints = requested(database)
    queries = Queries()
    lookup = CONTENDERS[contender](queries.lookup())
    async with aiosqlite.connect(database) as db:
        before = peak_memory()
        start = perf_counter()
        latencies = await burst(lookup, db, codepoints, report)
        seconds = perf_counter() - start
        memory = peak_memory() - before
    return Measurement(
        queries.count,
        len(codepoints),
        seconds,
        percentile(latencies, 50),
        percentile(latencies, 99),
        memory,
    )


def tell(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def main(contender: str, database: str) -> None:
    result = asyncio.run(measure(contender, Path(database), lambda done: tell(done=done)))
    tell(result=asdict(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
