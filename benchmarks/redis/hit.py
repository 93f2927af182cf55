"""A hit in memory with a tier behind it, beside one without."""

import asyncio
import statistics
import time

from aiocachetools import CachedFunction, TLRUCache, cached
from aiocachetools.redis import RedisTier

from .server import Server

HITS = 20_000


def run(server: Server, rounds: int) -> None:
    """Print the ratio."""
    print(asyncio.run(_compare(server, rounds)))


async def _compare(server: Server, rounds: int) -> str:
    tier = RedisTier(server.url, prefix="hit")

    async def value(key: int) -> int:
        return key

    # The kind of cache that a tier's functions have by default.
    plain = cached(TLRUCache(1000, lambda _key, _value, now: now + 600))(value)
    tiered = cached(maxsize=1000, ttl=600, tier=tier.using(name="value"))(value)
    seconds: dict[str, list[float]] = {"plain": [], "tiered": []}
    for _ in range(rounds):
        seconds["plain"].append(await _time(plain))
        seconds["tiered"].append(await _time(tiered))
    await tier.aclose()
    ratio = statistics.median(
        tiered / plain for plain, tiered in zip(seconds["plain"], seconds["tiered"], strict=True)
    )
    return f"hit in memory with a tier: {ratio:.2f} times one without, by the median of {rounds} rounds"


async def _time(function: CachedFunction[[int], int]) -> float:
    await function(1)
    started = time.perf_counter()
    for _ in range(HITS):
        await function(1)
    return time.perf_counter() - started
