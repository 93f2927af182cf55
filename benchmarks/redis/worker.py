"""One process of the fleet in `cold`: calls many at once, and loads slowly."""

import asyncio
import os
import sys
import time
from typing import Any

import redis.asyncio

from aiocachetools import cached
from aiocachetools.redis import RedisTier

from .process import say, serve


async def main(url: str, lease: str, load_seconds: str) -> None:
    control = redis.asyncio.Redis.from_url(url)
    tier = RedisTier(url, prefix="cold", lease=float(lease))

    @cached(maxsize=100_000, ttl=600, tier=tier.using(name="load"))
    async def load(key: str) -> str:
        await control.rpush(f"loads-{key}", f"{os.getpid()} {time.time()}")
        await asyncio.sleep(float(load_seconds))
        return key

    async def call(key: str, tasks: int) -> dict[str, Any]:
        outcomes = await asyncio.gather(*(load(key) for _ in range(tasks)), return_exceptions=True)
        return {"right": sum(outcome == key for outcome in outcomes), "pid": os.getpid()}

    await load("warm")
    say("ready")
    await serve(call)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
