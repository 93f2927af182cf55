"""Scenarios of what a cache takes: memory, the time to import it, and how its calls slow down as it grows."""

import gc
import os
import subprocess
import sys
from pathlib import Path
from random import Random

from .peers import Peer, UnsupportedError, needs_await
from .timing import Effort, Figure, Loop, never_seen, ratio, timed

AT_ONCE = 1_000
FIRST = 1_000  # the first key


async def constant(x: int) -> int:
    return 1


BARE = timed("await f(x)", f=constant)
IMPORT = "import asyncio, time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


async def memory(peer: Peer, effort: Effort) -> Figure:
    """bytes per entry beyond its key and value (100,000 entries; 20,000 with --quick)"""
    needs_await(peer)
    keys = list(range(1000, 1000 + effort.entries))
    fill = timed("await f(x)", f=peer.cached(constant, len(keys) + 10))
    await fill([1, 2, 3])
    gc.collect()
    before = resident()
    for start in range(0, len(keys), 2000):
        await fill(keys[start : start + 2000])
        gc.collect()  # what a peer drops in cycles does not count as kept
    return Figure((resident() - before) / len(keys))


def resident() -> int:
    """The memory, in bytes, that this process has in use now."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        raise UnsupportedError("needs /proc")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def importing(peer: Peer, effort: Effort) -> Figure:
    """milliseconds to import it, and what it imports, in a process that has asyncio"""
    return Figure(min(seconds_to_import(peer.module) for _ in range(effort.repeats)) * 1000)


def seconds_to_import(module: str) -> float:
    """How long an import takes; the first one of a module may compile it, as its installation does."""
    command = [sys.executable, "-c", IMPORT.format(module)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout)


async def large_hit(peer: Peer, effort: Effort) -> Figure:
    """a hit among 1,000,000 entries (100,000 with --quick), in random order / `await bare(x)`"""
    case = await filled(peer, effort.many_entries, effort)
    random = Random(0)
    keys = range(FIRST, FIRST + effort.many_entries)
    return Figure(await ratio(case, BARE, lambda calls: random.choices(keys, k=calls), effort))


async def large_flood(peer: Peer, effort: Effort) -> Figure:
    """as flood, through a cache that is full of 1,000,000 entries (100,000 with --quick) / `await bare(x)`"""
    case = await filled(peer, effort.many_entries, effort)
    return Figure(await ratio(case, BARE, never_seen(FIRST + effort.many_entries), effort))


async def filled(peer: Peer, size: int, effort: Effort) -> Loop:
    """Calls of a function whose cache is full of so many entries.

    A peer that takes too long to fill it does not take part.
    """
    needs_await(peer)
    calls = timed("await f(x)", f=peer.cached(constant, size))
    seconds = 0.0
    for start in range(FIRST, FIRST + size, AT_ONCE):
        seconds += await calls(list(range(start, start + AT_ONCE)))
        if seconds > max(1, effort.filling * (start - FIRST + AT_ONCE) / size):
            raise UnsupportedError
    return calls
