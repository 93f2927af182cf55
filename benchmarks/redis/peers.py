"""One peer's read of a value that is in the server, by a number of callers: prints seconds for each.

It runs in the peer's own environment, where there is nothing else of this repository's.
"""

import asyncio
import importlib
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

VALUE = "x" * 100
KEYS = 1000
Read = Callable[[int], Awaitable[object]]


async def aiocachetools(port: int, callers: int) -> Read:
    from aiocachetools import cached
    from aiocachetools.redis import RedisTier

    tier = RedisTier(f"redis://127.0.0.1:{port}", prefix="throughput").using(name="read")

    @cached(maxsize=0, ttl=600, tier=tier)
    async def read(key: int) -> str:
        return VALUE

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
        return VALUE

    return read  # type: ignore[no-any-return]


async def cashews(port: int, callers: int) -> Read:
    cache: Any = importlib.import_module("cashews").cache
    cache.setup(f"redis://127.0.0.1:{port}/0", max_connections=callers + 10)

    @cache(ttl=600)  # type: ignore[untyped-decorator]
    async def read(key: int) -> str:
        return VALUE

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


async def measure(peer: str, port: int, callers: int, calls: int) -> float:
    """Seconds for a call."""
    read = await PEERS[peer](port, callers)
    for key in range(KEYS):
        await read(key)
    each = max(1, calls // callers)

    async def caller(number: int) -> None:
        for call in range(each):
            await read((number * 7 + call * 13) % KEYS if callers < KEYS else number)

    await asyncio.gather(*map(caller, range(callers)))
    started = time.perf_counter()
    await asyncio.gather(*map(caller, range(callers)))
    return (time.perf_counter() - started) / (each * callers)


if __name__ == "__main__":
    print(asyncio.run(measure(sys.argv[1], *map(int, sys.argv[2:]))), flush=True)
