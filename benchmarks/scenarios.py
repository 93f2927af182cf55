"""What is measured: each scenario takes a peer and gives back a figure."""

import asyncio
from collections.abc import Callable, Coroutine, MutableMapping
from typing import Any

from .crowds import stampede, waiters
from .peers import Peer, needs_await, needs_mapping
from .resources import importing, large_flood, large_hit, memory
from .timing import MANY, Effort, Figure, never_seen, ratio, recurring, timed

FEW = 1_000  # a bound above the number of keys that recur, and below that of a flood


async def bare(x: int) -> int:
    return x


async def bare_three(x: int, y: int, z: int = 0) -> int:
    return x


async def bare_keyword(*, x: int) -> int:
    return x


async def bare_with_db(db: object, x: int) -> int:
    return x


async def suspending(x: int) -> int:
    await asyncio.sleep(0)
    return x


def plain(x: int) -> int:
    return x


def plain_three(x: int, y: int, z: int = 0) -> int:
    return x


def plain_keyword(*, x: int) -> int:
    return x


class Bare:
    async def load(self, x: int) -> int:
        return x


async def hit(peer: Peer, effort: Effort) -> Figure:
    """a hit, one int argument (equal to the key, not identical) / `await bare(x)`"""
    if peer.awaited:
        case = timed("await f(x)", f=peer.cached(bare, FEW))
    else:
        case = timed("f(x)", f=peer.cached(plain, FEW))
    return Figure(await ratio(case, timed("await f(x)", f=bare), recurring, effort))


async def hit_three(peer: Peer, effort: Effort) -> Figure:
    """a hit, three arguments, one of them by keyword / `await bare(x, y, z=z)`"""
    if peer.awaited:
        case = timed("await f(x, 2, z=x)", f=peer.cached(bare_three, FEW))
    else:
        case = timed("f(x, 2, z=x)", f=peer.cached(plain_three, FEW))
    return Figure(await ratio(case, timed("await f(x, 2, z=x)", f=bare_three), recurring, effort))


async def hit_keyword(peer: Peer, effort: Effort) -> Figure:
    """a hit, the one argument by the name of a keyword-only parameter / `await bare(x=x)`"""
    if peer.awaited:
        case = timed("await f(x=x)", f=peer.cached(bare_keyword, FEW))
    else:
        case = timed("f(x=x)", f=peer.cached(plain_keyword, FEW))
    return Figure(await ratio(case, timed("await f(x=x)", f=bare_keyword), recurring, effort))


async def hit_ttl(peer: Peer, effort: Effort) -> Figure:
    """a hit on an entry with a time to live / `await bare(x)`"""
    needs_await(peer)
    case = timed("await f(x)", f=peer.cached_ttl(bare, FEW))
    return Figure(await ratio(case, timed("await f(x)", f=bare), recurring, effort))


async def hit_ignore(peer: Peer, effort: Effort) -> Figure:
    """a hit, with a first argument `db` that is no part of the key / `await bare(db, x)`"""
    needs_await(peer)
    case = timed("await f(db, x)", f=peer.cached_ignoring_db(bare_with_db, FEW), db=object())
    base = timed("await f(db, x)", f=bare_with_db, db=object())
    return Figure(await ratio(case, base, recurring, effort))


async def hit_method(peer: Peer, effort: Effort) -> Figure:
    """a hit of a method, one cache for all instances / the bare method"""
    needs_await(peer)
    service = type("Service", (), {"load": peer.cached_method(Bare.load, FEW)})
    return await compare_methods(service(), effort)


async def hit_own(peer: Peer, effort: Effort) -> Figure:
    """a hit of a method that finds the cache in its instance / the bare method"""
    needs_await(peer)
    service: Any = type("Service", (), {"load": peer.cached_own(Bare.load)})()
    service.cache = peer.own_cache(FEW)
    return await compare_methods(service, effort)


async def compare_methods(service: Any, effort: Effort) -> Figure:
    statement = "await service.load(x)"
    base = timed(statement, service=Bare())
    return Figure(await ratio(timed(statement, service=service), base, recurring, effort))


async def hit_cachetools(peer: Peer, effort: Effort) -> Figure:
    """a hit through cachetools.LRUCache / `await bare(x)`"""
    needs_mapping(peer)
    from cachetools import LRUCache

    return await hit_through(peer, LRUCache(FEW), effort)


async def hit_dict(peer: Peer, effort: Effort) -> Figure:
    """a hit through a dict / `await bare(x)`"""
    needs_mapping(peer)
    return await hit_through(peer, {}, effort)


async def hit_through(peer: Peer, mapping: MutableMapping[Any, Any], effort: Effort) -> Figure:
    case = timed("await f(x)", f=peer.cached_through(bare, mapping))
    return Figure(await ratio(case, timed("await f(x)", f=bare), recurring, effort))


async def miss(peer: Peer, effort: Effort) -> Figure:
    """a miss whose loader suspends once / `await create_task(loader(x))`"""
    return await compare_misses(peer, suspending, effort)


async def miss_ready(peer: Peer, effort: Effort) -> Figure:
    """a miss whose loader does not suspend / `await create_task(loader(x))`"""
    return await compare_misses(peer, bare, effort)


async def compare_misses(peer: Peer, loader: Callable[..., Any], effort: Effort) -> Figure:
    needs_await(peer)
    case = timed("await f(x)", f=peer.cached(loader, MANY))
    base = timed("await task(f(x))", f=loader, task=asyncio.create_task)
    return Figure(await ratio(case, base, never_seen(), effort))


async def flood(peer: Peer, effort: Effort) -> Figure:
    """distinct keys without end through a cache of 1,000 (loader does not suspend) / `await bare(x)`"""
    needs_await(peer)
    numbers = never_seen()
    case = timed("await f(x)", f=peer.cached(bare, FEW))
    await case(numbers(2 * FEW))
    return Figure(await ratio(case, timed("await f(x)", f=bare), numbers, effort))


SCENARIOS: dict[str, Callable[[Peer, Effort], Coroutine[Any, Any, Figure]]] = {
    "hit": hit,
    "3 args": hit_three,
    "keyword": hit_keyword,
    "TTL": hit_ttl,
    "ignore": hit_ignore,
    "large": large_hit,
    "method": hit_method,
    "own cache": hit_own,
    "cachetools": hit_cachetools,
    "dict": hit_dict,
    "miss": miss,
    "ready miss": miss_ready,
    "flood": flood,
    "large flood": large_flood,
    "waiters": waiters,
    "stampede": stampede,
    "bytes": memory,
    "import": importing,
}
