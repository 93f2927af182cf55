"""The ways to look a character up: from the database each time, or through a cache."""

from collections.abc import Callable, Coroutine
from typing import Any, cast

import aiosqlite

from .database import Character

# The same bound for both caches: less than the burst has keys, so that both must evict.
MAXSIZE = 2048

Lookup = Callable[[aiosqlite.Connection, int], Coroutine[Any, Any, Character]]


class Queries:
    """The uncached lookup, which counts the queries that it runs."""

    def __init__(self) -> None:
        self.count = 0

    def lookup(self) -> Lookup:
        async def character(db: aiosqlite.Connection, codepoint: int) -> Character:
            self.count += 1
            query = "SELECT * FROM characters WHERE codepoint = ?"
            (row,) = await db.execute_fetchall(query, (codepoint,))
            return cast(Character, row)

        return character


def uncached(lookup: Lookup) -> Lookup:
    return lookup


def with_cachetools_async(lookup: Lookup) -> Lookup:
    from cachetools import LRUCache
    from cachetools.keys import hashkey
    from cachetools_async import cached  # pyright: ignore[reportUnknownVariableType]

    def key(db: aiosqlite.Connection, codepoint: int) -> Any:
        return hashkey(codepoint)

    decorated: Lookup = cached(LRUCache(MAXSIZE), key=key)(lookup)
    return decorated


def with_aiocachetools(lookup: Lookup) -> Lookup:
    from aiocachetools import LRUCache, cached

    return cached(LRUCache(MAXSIZE), ignore=("db",))(lookup)


CONTENDERS: dict[str, Callable[[Lookup], Lookup]] = {
    "uncached": uncached,
    "cachetools-async": with_cachetools_async,
    "aiocachetools": with_aiocachetools,
}
