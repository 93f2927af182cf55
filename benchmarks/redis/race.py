"""Keys that change while they are read, by a process whose handlers block the loop: is anything stale for good?"""

import asyncio
import random
import sys
import time
from typing import Any

import redis.asyncio

from aiocachetools import CachedFunction, cached
from aiocachetools.redis import RedisTier

from .process import Process, serve
from .server import Server

BLOCKING = 0.003
READERS = 20


def run(server: Server, keys: int) -> None:
    """Have one process read what another one changes."""
    with (
        Process("race", "read", server.url, str(keys)) as reader,
        Process("race", "write", server.url, str(keys)) as writer,
    ):
        writer.do(what="prepare")
        reader.do(what="prepare")
        reader.ask(what="follow")
        writer.do(what="change")
        found = reader.answer()
    print(
        f"near-cache race, {keys} keys: {found['stale']} stale of {found['entries']} in memory; {found['refused']} stores refused, {found['repeated']} reads repeated"
    )


class Side:
    """What both processes have."""

    def __init__(self, url: str, keys: int) -> None:
        self.keys = keys
        self.control: Any = redis.asyncio.Redis.from_url(url)
        self.tier = RedisTier(url, prefix="race")
        tier = self.tier.using(name="value")

        @cached(maxsize=2 * keys, ttl=600, tier=tier)
        async def value(key: int) -> int:
            return -1

        self.value: CachedFunction[[int], int] = value

    async def do(self, what: str) -> Any:
        return await getattr(self, what)()


class Writer(Side):
    async def prepare(self) -> None:
        for key in range(self.keys):
            await self.tier.put(self.value, 0, key)

    async def change(self) -> None:
        for key in range(self.keys):
            await self.tier.put(self.value, 1, key)
            await self.control.set("race-position", key + 1)
            await asyncio.sleep(random.random() * 0.0006)


class Reader(Side):
    position = 0

    async def prepare(self) -> None:
        await self.value(0)

    async def follow(self) -> dict[str, int]:
        """Read the keys around the writer's position; what is out of date in memory when it is done."""
        await asyncio.gather(self._track(), self._block(), *(self._read() for _ in range(READERS)))
        await asyncio.sleep(1.0)  # whatever was under way has come
        entries = dict(self.value.cache.items())
        stale = sum(value != 1 for value in entries.values())
        return {"stale": stale, "entries": len(entries), **self.tier.stats(self.value)._asdict()}

    async def _track(self) -> None:
        while self.position < self.keys:
            self.position = int(await self.control.get("race-position") or 0)
            await asyncio.sleep(0)

    async def _block(self) -> None:
        while self.position < self.keys:
            await asyncio.sleep(0.001)
            time.sleep(BLOCKING)  # noqa: ASYNC251 - the handler that blocks

    async def _read(self) -> None:
        while self.position < self.keys:
            await self.value(min(self.keys - 1, self.position + random.randint(0, 5)))
            await asyncio.sleep(0)


async def main(side: str, url: str, keys: str) -> None:
    sides = {"read": Reader, "write": Writer}
    await serve(sides[side](url, int(keys)).do)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
