"""One peer's read of a value that is in the server, by a number of callers.

Prints the seconds of a call, those of them that this process was at work, and how many calls of the
measured ones did not find their value.  It runs in the peer's own environment, where there is
nothing else of this repository's.
"""

import asyncio
import importlib
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

VALUE = "x" * 100
KEYS = 1000
# A peer may have to open a connection for each caller, and fail to in a crowd.
WARM_UPS = 10
Read = Callable[[int], Awaitable[object]]


class Loads:
    """How often a value was not found."""

    count = 0


def load() -> str:
    Loads.count += 1
    return VALUE


async def aiocachetools(port: int, callers: int) -> Read:
    from aiocachetools import cached
    from aiocachetools.redis import RedisTier

    tier = RedisTier(f"redis://127.0.0.1:{port}", prefix="throughput").using(name="read")

    @cached(maxsize=0, ttl=600, tier=tier)
    async def read(key: int) -> str:
        return load()

    return read


async def aiocache(port: int, callers: int) -> Read:
    module: Any = importlib.import_module("aiocache")
    serializers: Any = importlib.import_module("aiocache.serializers")

    @module.cached(  # type: ignore[untyped-decorator]
        ttl=600,
        cache=module.Cache.REDIS,
        endpoint="127.0.0.1",
        port=port,
        pool_max_size=callers + 10,
        serializer=serializers.JsonSerializer(),
    )
    async def read(key: int) -> str:
        return load()

    return read  # type: ignore[no-any-return]


async def cashews(port: int, callers: int) -> Read:
    cache: Any = importlib.import_module("cashews").cache
    cache.setup(f"redis://127.0.0.1:{port}/0", max_connections=callers + 10)

    @cache(ttl=600)  # type: ignore[untyped-decorator]
    async def read(key: int) -> str:
        return load()

    return read  # type: ignore[no-any-return]


async def redis(port: int, callers: int) -> Read:
    client: Any = importlib.import_module("redis.asyncio").Redis(port=port, max_connections=callers + 10)
    return await _plain(client)


async def glide(port: int, callers: int) -> Read:
    module: Any = importlib.import_module("glide")
    address = module.NodeAddress("127.0.0.1", port)
    options = module.GlideClientConfiguration([address], request_timeout=10_000)
    return await _plain(await module.GlideClient.create(options))


async def _plain(client: Any) -> Read:
    for key in range(KEYS):
        await client.set(f"plain-{key}", VALUE)

    async def read(key: int) -> object:
        return await client.get(f"plain-{key}")

    return read


PEERS: dict[str, Callable[[int, int], Awaitable[Read]]] = {
    "aiocachetools": aiocachetools,
    "aiocache": aiocache,
    "cashews": cashews,
    "redis": redis,
    "valkey-glide": glide,
}


async def measure(peer: str, port: int, callers: int, calls: int) -> tuple[float, float, int]:
    """What is printed."""
    read = await PEERS[peer](port, callers)
    for key in range(KEYS):
        await read(key)
    each = max(1, calls // callers)

    async def caller(number: int) -> None:
        for call in range(each):
            await read((number * 7 + call * 13) % KEYS if callers < KEYS else number)

    for _ in range(WARM_UPS):
        before = Loads.count
        await asyncio.gather(*map(caller, range(callers)))
        if Loads.count == before:
            break
    before, started, at_work = Loads.count, time.perf_counter(), time.process_time()
    await asyncio.gather(*map(caller, range(callers)))
    seconds, at_work = time.perf_counter() - started, time.process_time() - at_work
    return seconds / (each * callers), at_work / (each * callers), Loads.count - before


if __name__ == "__main__":
    print(*asyncio.run(measure(sys.argv[1], *map(int, sys.argv[2:]))), flush=True)
