"""What callers see of a server in trouble, and for how long."""

import asyncio
import itertools
import signal
import statistics
import time
from collections.abc import Callable

from aiocachetools import CachedFunction, cached
from aiocachetools.redis import RedisTier

from .server import Server

CALLS = 200
_NEW_KEYS = itertools.count(CALLS)


class Case:
    """One kind of trouble: how it begins, and how it ends."""

    def __init__(self, name: str, begin: Callable[[Server], object], end: Callable[[Server], object]) -> None:
        self.name, self.begin, self.end = name, begin, end


def _command(*command: str) -> Callable[[Server], object]:
    def execute(server: Server) -> None:
        with server.client() as client:
            for one in command:
                client.execute_command(*one.split())

    return execute


CASES = (
    Case("refused", Server.stop, Server.start),
    Case("SIGSTOP", lambda server: server.send(signal.SIGSTOP), lambda server: server.send(signal.SIGCONT)),
    Case("out of memory", _command("CONFIG SET maxmemory 1"), _command("CONFIG SET maxmemory 0")),
    Case("read-only", _command("REPLICAOF 127.0.0.1 1"), _command("REPLICAOF NO ONE")),
    Case("scripts flushed", _command("SCRIPT FLUSH"), _command("PING")),
    Case("connections cut", _command("CLIENT KILL TYPE pubsub", "CLIENT KILL TYPE normal"), _command("PING")),
)


def run(kind: str) -> None:
    """Print the table."""
    print(
        f"{'server':<18} {'first call':>12} {'median of next':>15} {'slowest of next':>16} {'errors':>7} {'loads':>7} {'recovered':>12}"
    )
    for case in CASES:
        with Server(kind) as server:
            print(f"{case.name:<18} {asyncio.run(_measure(server, case))}", flush=True)
    with Server(kind) as server:
        _command("CONFIG SET requirepass secret")(server)
        print(
            f"{'wrong password':<18} {asyncio.run(_measure(server, Case('', lambda _: None, lambda _: None)))}"
        )


async def _measure(server: Server, case: Case) -> str:
    tier = RedisTier(server.url, prefix="outage")

    @cached(maxsize=10_000, ttl=600, tier=tier.using(name="value"))
    async def value(key: int) -> int:
        return key

    await value(-1)
    if case.name:  # otherwise there is nothing to wait for
        await _recovery(tier, value)
    before = tier.stats(value).loads
    case.begin(server)
    first = await _time(value, 0)
    seconds, errors = [], 0
    for key in range(1, CALLS):
        try:
            seconds.append(await _time(value, key))
        except Exception:
            errors += 1
    loads = tier.stats(value).loads - before
    case.end(server)
    recovered = await _recovery(tier, value)
    await tier.aclose()
    ms = [first, statistics.median(seconds), max(seconds)]
    shown = [f"{second * 1000:.2f} ms" for second in ms]
    return f"{shown[0]:>12} {shown[1]:>15} {shown[2]:>16} {errors:>7} {loads:>7} {recovered:>12}"


async def _time(value: CachedFunction[[int], int], key: int) -> float:
    started = time.perf_counter()
    assert await value(key) == key
    return time.perf_counter() - started


async def _recovery(tier: RedisTier, value: CachedFunction[[int], int]) -> str:
    """How long until values are shared again."""
    started = time.perf_counter()
    while time.perf_counter() - started < 5:
        key = next(_NEW_KEYS)
        await value(key)
        value.cache_clear()
        hits = tier.stats(value).hits
        await value(key)
        if tier.stats(value).hits > hits:
            return f"{(time.perf_counter() - started) * 1000:.0f} ms"
        await asyncio.sleep(0.01)
    return "no"
