"""Measures what is done to a cache as a mapping, against the classes of cachetools and cachebox.

Run as `make bench-mapping`.  All three take turns in one process with a dict's lookup, in many short
rounds; each figure is the median of the rounds.  It is the thread's own time that counts, since a loop
that takes long is interrupted by whatever else the machine does, and one that is quick is not.
"""

import argparse
import asyncio
import gc
import importlib
import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from statistics import median
from time import thread_time
from typing import Any

from .bench import uv
from .environments import REQUIREMENTS, ROOT, make, requirements
from .report import number, row
from .timing import Arguments, Loop, never_seen, recurring, timed

SIZE = 1_000
TTL = 3600
KINDS = ("LRU", "TTL")
MODULES = ("aiocachetools", "cachetools", "cachebox")
# What cachetools and aiocachetools need besides the peer, in the environment that holds all three.
COMPANIONS = ("cachetools>=7", "loguru>=0.7")
TIMES_CACHETOOLS = 6


@dataclass(frozen=True)
class Operation:
    """A statement on a full cache, and what makes the keys that it is given."""

    name: str
    statement: str
    arguments: Callable[[], Arguments] = lambda: recurring


def zipf() -> Arguments:
    """Makes keys of which few are frequent: ten times as many as fit, the n-th as often as 1/n."""
    keys = range(1000, 1000 + 10 * SIZE)
    weights = [1 / rank for rank in range(1, len(keys) + 1)]
    random = Random(0)
    return lambda calls: random.choices(keys, weights, k=calls)


OPERATIONS = [
    Operation("get", "cache[x]"),
    Operation("overwrite", "cache[x] = x"),
    Operation("evict", "cache[x] = x", lambda: never_seen(10 * SIZE)),
    Operation("mix", "if cache.get(x) is None: cache[x] = x", zipf),
]


def caches(kind: str) -> dict[str, Any]:
    """A full cache of the kind from each module; the keys that recur are in it."""
    arguments = (SIZE, TTL) if kind == "TTL" else (SIZE,)
    made = {
        module: getattr(importlib.import_module(module), f"{kind}Cache")(*arguments) for module in MODULES
    }
    for cache in made.values():
        cache.update({key: key for key in range(1000, 1000 + SIZE)})
    return made


async def seconds(loop: Loop, keys: list[int]) -> float:
    """What the loop takes of the processor's time on keys that are equal to these, not identical."""
    copies = [int(str(key)) for key in keys]
    gc.collect()
    gc.disable()
    start = thread_time()
    try:
        await loop(copies)
        return thread_time() - start
    finally:
        gc.enable()


async def measure(kind: str, operation: Operation, calls: int, rounds: int) -> dict[str, float]:
    """How many times as long as a dict's lookup the operation takes with each module's class."""
    loops = {module: timed(operation.statement, cache=cache) for module, cache in caches(kind).items()}
    looping = timed("pass", nothing=None)
    lookup = timed("known[x]", known={key: key for key in recurring(100)})
    ratios: dict[str, list[float]] = {module: [] for module in loops}
    arguments = operation.arguments()
    for _ in range(rounds):
        keys = arguments(calls)
        empty = await seconds(looping, keys)
        base = await seconds(lookup, recurring(calls)) - empty
        for module, loop in loops.items():
            ratios[module].append((await seconds(loop, keys) - empty) / base)
    return {module: median(values) for module, values in ratios.items()}


def cells(kind: str, operation: Operation, times: dict[str, float]) -> list[str]:
    ours, reference, peer = (times[module] for module in MODULES)
    missed = reference / ours < TIMES_CACHETOOLS or ours > peer
    figures = (ours, reference, peer, reference / ours, peer / ours)
    return [f"{kind}, {operation.name}", *map(number, figures), "missed" if missed else ""]


def compare(calls: int, rounds: int, only: str) -> None:
    """Prints the table, a row as soon as it is measured."""
    head = ["a dict's lookup is 1", *MODULES, "cachetools / ours", "cachebox / ours", "goal"]
    widths = [max(20, len(head[0])), *map(len, head[1:-1]), 6]
    print(f"CPython {platform.python_version()}\n")
    print(row(head, widths))
    print(row(["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])], widths))
    for kind in KINDS:
        for operation in OPERATIONS:
            if only in f"{kind}, {operation.name}":
                times = asyncio.run(measure(kind, operation, calls, rounds))
                print(row(cells(kind, operation, times), widths), flush=True)


def run_beside_peers(arguments: list[str]) -> int:
    """Runs this module in an environment that has the peers, with the package from the source tree."""
    peer = requirements(REQUIREMENTS.read_text())["cachebox"]
    interpreter, reason = make(uv(), "mapping", [peer, *COMPANIONS])
    if reason:
        raise SystemExit(f"bench-mapping: the peers could not be installed: {reason}")
    command = [interpreter, "-m", "benchmarks.mapping", *arguments]
    path = os.pathsep.join([str(ROOT / "python"), str(ROOT)])
    return subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}).returncode


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-mapping", description=__doc__)
    parser.add_argument("--rounds", type=int, default=101)
    parser.add_argument("--calls", type=int, default=5_000, help="in one round")
    parser.add_argument("--only", default="", help="only rows with this in their name")
    options = parser.parse_args()
    if importlib.util.find_spec("cachebox") is None:
        sys.exit(run_beside_peers(sys.argv[1:]))
    compare(options.calls, options.rounds, options.only)


if __name__ == "__main__":
    main()
