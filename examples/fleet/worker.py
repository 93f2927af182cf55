"""One process of the fleet: serves requests for hot keys all the time, and bursts for cold ones when told.

It reports on standard output, one JSON object a line.
"""

import asyncio
import json
import random
import sys
import time
from typing import Any

from aiocachetools import cached
from aiocachetools.redis import RedisTier

HOT_KEYS = 500
CALLERS = 20
REPORT_EVERY = 0.2


def report(event: str, **facts: Any) -> None:
    print(json.dumps({"event": event, **facts}), flush=True)


class Worker:
    """What is served, and what is counted of it."""

    def __init__(self, url: str, lease: float, deadline: float) -> None:
        self.tier = RedisTier(url, prefix="demo", lease=lease, deadline=deadline, max_unverified=10)
        self.requests = self.errors = 0
        self.slowest = 0.0

        @cached(maxsize=10_000, ttl=300, tier=self.tier.using(name="page", l1_ttl=1))
        async def page(key: str, seconds: float) -> str:
            report("load", key=key)
            await asyncio.sleep(seconds)  # a slow database
            return f"page {key}"

        self.page = page

    async def request(self, key: str, seconds: float = 0.02) -> None:
        started = time.perf_counter()
        self.requests += 1
        try:
            assert await self.page(key, seconds) == f"page {key}"
        except Exception as error:
            self.errors += 1
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        self.slowest = max(self.slowest, time.perf_counter() - started)

    async def serve_hot_keys(self) -> None:
        while True:
            await self.request(f"hot-{int(HOT_KEYS * random.random() ** 3)}")
            await asyncio.sleep(random.expovariate(100))

    async def serve_cold_keys(self) -> None:
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            burst = json.loads(line)
            requests = [self.request(burst["key"], burst["seconds"]) for _ in range(burst["tasks"])]
            await asyncio.gather(*requests)
            report("answered", key=burst["key"])

    async def report_counts(self) -> None:
        while True:
            tier, memory = self.tier.stats(self.page), self.page.cache_stats()
            report(
                "counts",
                requests=self.requests,
                errors=self.errors,
                memory=memory.hits - memory.joins,
                joined=memory.joins,
                shared=tier.hits,
                waits=tier.waits,
                loads=tier.loads,
                unshared=tier.unshared,
                slowest=self.slowest,
            )
            await asyncio.sleep(REPORT_EVERY)


async def main(url: str, lease: str, deadline: str) -> None:
    worker = Worker(url, float(lease), float(deadline))
    await worker.request("warm-up")
    worker.requests, worker.slowest = 0, 0.0
    report("ready")
    serving = [worker.serve_hot_keys() for _ in range(CALLERS)]
    await asyncio.gather(worker.serve_cold_keys(), worker.report_counts(), *serving)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
