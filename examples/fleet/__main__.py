"""`make demo-fleet`: four processes that share one cache in Valkey, through a crash and an outage."""

import argparse
import asyncio
import time
from dataclasses import dataclass
from functools import partial

from rich.console import Console

from examples.view import View, view_of

from .fleet import COLD_TASKS, Fleet, Limits
from .view import sums, table

WORKERS = 4


@dataclass
class Outcome:
    """What came of it."""

    cold_keys: int
    loads_of_cold_keys: list[int]
    loads_of_the_killed: int
    takeover_seconds: float
    loads_in_outage: int
    requests: int
    errors: int
    slowest: float


async def watch(view: View, seconds: float) -> None:
    """Let the fleet work for a while."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        view.refresh()
        await asyncio.sleep(0.1)


async def tell(fleet: Fleet, view: View, cold_keys: int, pause: float) -> Outcome:
    """The story."""
    view.chapter(
        f"{WORKERS} workers serve hot keys; each keeps them in memory for a second, Valkey for five minutes."
    )
    await watch(view, pause)

    view.chapter(
        f"{cold_keys} cold keys, one after another: {COLD_TASKS} requests in every worker, all at once."
    )
    for number in range(cold_keys):
        fleet.burst(f"cold-{number}")
        await fleet.answered(f"cold-{number}")
        view.refresh()

    view.chapter("One more cold key, and the worker that loads it is killed in the middle.")
    fleet.burst("killed", seconds=fleet.limits.long_load)
    await fleet.kill_leader("killed")
    killed_at = time.monotonic()
    view.refresh()
    await fleet.answered("killed")
    takeover = time.monotonic() - killed_at
    await watch(view, pause)

    view.chapter("Valkey is stopped. What is in memory serves on; the rest is loaded once in each worker.")
    before = fleet.total["loads"]
    fleet.stop_server()
    await watch(view, pause)
    loads_in_outage = fleet.total["loads"] - before

    view.chapter("Valkey is back, and empty. Nobody has to be told.")
    fleet.start_server()
    await watch(view, pause)
    fleet.burst("last")
    await fleet.answered("last")
    await watch(view, 0.5)

    total = fleet.total
    return Outcome(
        cold_keys=cold_keys,
        loads_of_cold_keys=[fleet.loads[f"cold-{number}"] for number in range(cold_keys)],
        loads_of_the_killed=fleet.loads["killed"],
        takeover_seconds=takeover,
        loads_in_outage=loads_in_outage,
        requests=total["requests"],
        errors=total["errors"],
        slowest=max(member.slowest for member in fleet.members),
    )


def summary(outcome: Outcome, limits: Limits) -> str:
    """What was counted, in words."""
    cold = COLD_TASKS * WORKERS * outcome.cold_keys
    once = outcome.loads_of_cold_keys.count(1)
    return (
        f"{cold:,} requests for {outcome.cold_keys} cold keys: {once} of them were loaded once in the whole fleet.\n"
        f"The key whose worker was killed was loaded {outcome.loads_of_the_killed} times, and all other workers had it "
        f"{outcome.takeover_seconds:.2f} s after the kill (the lease is {limits.lease:g} s, the load {limits.long_load:g} s).\n"
        f"{outcome.loads_in_outage:,} loads while Valkey was away.\n"
        f"{outcome.requests:,} requests in all, {outcome.errors} errors; the slowest took {outcome.slowest:.2f} s."
    )


async def demo(cold_keys: int, pause: float, console: Console, limits: Limits) -> Outcome:
    async with Fleet(WORKERS, limits) as fleet:
        view = view_of(partial(table, fleet), partial(sums, fleet), console)
        with view:
            return await tell(fleet, view, cold_keys, pause)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make demo-fleet", description=__doc__)
    parser.add_argument("--cold-keys", type=int, default=20, help="how many cold keys (20)")
    parser.add_argument("--pause", type=float, default=3.0, help="seconds for each chapter (3)")
    options = parser.parse_args()
    console, limits = Console(), Limits()
    outcome = asyncio.run(demo(options.cold_keys, options.pause, console, limits))
    console.print(summary(outcome, limits), highlight=False)


if __name__ == "__main__":
    main()
