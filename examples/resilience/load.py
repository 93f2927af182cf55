"""The load: requests that come at a steady rate, however long the answers take."""

import asyncio
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from examples.demo.serve import percentile

from .client import Client


@dataclass
class Figures:
    """What became of one service's requests; a latency is from when a request was due to its answer."""

    latencies: list[float] = field(default_factory=list[float])
    errors: int = 0

    @property
    def requests(self) -> int:
        return len(self.latencies)

    @property
    def error_rate(self) -> float:
        return self.errors / self.requests if self.requests else 0.0

    def milliseconds(self, percent: float) -> str:
        """The latency that so many percent of the requests did not exceed."""
        value = percentile(self.latencies, percent) * 1000 if self.latencies else 0.0
        return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


async def request(client: Client, product: int, due: float, figures: Figures) -> None:
    status, body = await client.request(f"/products/{product}")
    figures.latencies.append(time.perf_counter() - due)
    if status != 200:
        figures.errors += 1
    elif json.loads(body)["id"] != product:
        raise AssertionError(f"asked for {product}, got {body!r}")


async def send(client: Client, products: Iterable[int], rate: float, figures: Figures) -> None:
    """Ask for the products one by one, so many a second; return when all are answered."""
    due = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for product in products:
            await asyncio.sleep(due - time.perf_counter())
            group.create_task(request(client, product, due, figures))
            due += 1 / rate
