"""`make demo-resilience`: a FastAPI service whose upstream is slow and then gone, with a cache and without."""

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, cast

from rich.console import Console
from rich.table import Table

from examples.demo.database import zipf
from examples.view import View, view_of

from .client import Client
from .load import Figures, request, send
from .servers import Servers, reserved_port
from .upstream import PRODUCTS
from .view import Shown, add_phase, table_of


@dataclass
class Phase:
    """A time in which the upstream takes so many seconds over an answer, or is down."""

    name: str
    seconds: float
    delay: float | None

    @property
    def title(self) -> str:
        if self.delay is None:
            return f"For {self.seconds:g} s the upstream is down: its process is killed."
        return f"For {self.seconds:g} s the upstream takes {self.delay * 1000:g} ms over an answer."


@dataclass
class Result:
    """What came of a phase: each service's figures, and what the cache counted."""

    phase: Phase
    figures: dict[str, Figures]
    stale_served: int
    loads: int


def story(seconds: float) -> list[Phase]:
    """The upstream is down for so long; the times before and after are in proportion."""
    return [
        Phase("healthy", seconds / 2, 0.02),
        Phase("slow", seconds, 0.5),
        Phase("down", seconds, None),
        Phase("recovered", seconds / 2, 0.02),
    ]


class Demo:
    """The story, told to both services at once."""

    def __init__(self, servers: Servers, clients: dict[str, Client], rate: float) -> None:
        self._servers = servers
        self._clients = clients
        self._rate = rate
        self._shown = Shown()

    def view(self, console: Console) -> View:
        return view_of(self._shown.table, self._shown.sums, console)

    async def warm_up(self, view: View) -> None:
        view.chapter(f"Each of {PRODUCTS} products is asked for once, so that the cache is warm.")
        figures = self._begin("warm-up", PRODUCTS)
        for product in range(PRODUCTS):
            for service, client in self._clients.items():
                await request(client, product, time.perf_counter(), figures[service])
            view.refresh()
        if figures["with"].errors:
            raise RuntimeError("the cache could not be warmed")

    async def run(self, phase: Phase, view: View) -> Result:
        await self._servers.set_upstream(phase.delay)
        view.chapter(phase.title)
        before = await self._stats()
        products = zipf(list(range(PRODUCTS)), round(phase.seconds * self._rate))
        figures = self._begin(phase.name, len(products))
        await self._send(products, figures, view)
        after = await self._stats()
        return Result(
            phase,
            figures,
            after["stale_served"] - before["stale_served"],
            after["loads"] - before["loads"],
        )

    def _begin(self, phase: str, requests: int) -> dict[str, Figures]:
        figures = {service: Figures() for service in self._clients}
        self._shown.begin(phase, requests, figures)
        return figures

    async def _send(self, products: Sequence[int], figures: dict[str, Figures], view: View) -> None:
        async with asyncio.TaskGroup() as group:
            drawing = group.create_task(_draw(view))
            sending = [
                send(client, products, self._rate, figures[service])
                for service, client in self._clients.items()
            ]
            await asyncio.gather(*sending)
            drawing.cancel()
        view.refresh()

    async def _stats(self) -> dict[str, Any]:
        _, body = await self._clients["with"].request("/stats")
        return cast(dict[str, Any], json.loads(body))


async def _draw(view: View) -> None:
    while True:
        view.refresh()
        await asyncio.sleep(0.25)


async def demo(phases: Sequence[Phase], rate: float, console: Console) -> list[Result]:
    async with AsyncExitStack() as stack:
        servers = Servers(stack.enter_context(reserved_port()))
        with console.status("Starting the upstream and the two services..."):
            await stack.enter_async_context(servers.running())
        clients = {
            service: await stack.enter_async_context(Client(server.port))
            for service, server in servers.services.items()
        }
        story = Demo(servers, clients, rate)
        view = story.view(console)
        with view:
            await story.warm_up(view)
            return [await story.run(phase, view) for phase in phases]


def summary(results: Sequence[Result]) -> Table:
    table = table_of("What callers saw")
    for result in results:
        add_phase(table, result.phase.name, result.figures)
    return table


def explanation(results: Sequence[Result]) -> str:
    """What the cache did, in words."""
    requests = sum(result.figures["with"].requests for result in results)
    stale = sum(result.stale_served for result in results)
    loads = sum(result.loads for result in results)
    return (
        f"Of {requests:,} requests to the service with a cache, {stale:,} were served a value older than its "
        f"ttl; the upstream was asked {loads:,} times, without a cache {requests:,} times. A latency is from "
        "when a request was due until its answer was there, errors included."
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="make demo-resilience", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="how long the upstream is down (10)")
    parser.add_argument("--rate", type=float, default=20, help="requests per second to each service (20)")
    options = parser.parse_args()
    console = Console()
    results = asyncio.run(demo(story(options.seconds), options.rate, console))
    console.print(summary(results))
    console.print(explanation(results), highlight=False)


if __name__ == "__main__":
    main()
