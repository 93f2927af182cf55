"""What is measured: each scenario takes a peer and gives back a figure."""

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from .peers import Peer, UnsupportedError
from .timing import Effort, never_seen, ratio, recurring, timed

FEW = 1_000  # a bound above the number of keys that recur, and below that of a flood
MANY = 2**20  # a bound that no scenario reaches


@dataclass(frozen=True)
class Figure:
    """A measurement: a ratio, or a number of bytes, and what to say beside it."""

    value: float
    remark: str = ""


async def bare(x: int) -> int:
    return x


async def bare_three(x: int, y: int, z: int = 0) -> int:
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


async def waiters(peer: Peer, effort: Effort) -> Figure:
    """callers of one key under way, joining and waking / as many that await one Future (10,000)"""
    needs_await(peer)
    gate = asyncio.Event()
    loads = 0

    async def load(x: int) -> int:
        nonlocal loads
        loads += 1
        await gate.wait()
        return x

    decorated = peer.cached(load, MANY)
    case_time = base_time = float("inf")
    rounds = max(3, effort.repeats // 3)
    for x in range(1000, 1000 + rounds):
        gate.clear()
        base_time = min(base_time, await crowd_on_future(effort.waiters))
        case_time = min(case_time, await crowd(lambda x=x: decorated(x), gate.set, effort.waiters))  # type: ignore[misc]
    remark = "" if loads == rounds else f"{loads // rounds:,} loads"
    return Figure(case_time / base_time, remark)


async def crowd_on_future(size: int) -> float:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    return await crowd(lambda: future, lambda: future.set_result(1), size)


async def crowd(wait: Callable[[], Awaitable[int]], release: Callable[[], None], size: int) -> float:
    """The seconds that so many tasks take from being made until all are done; released once all wait."""

    async def waiter() -> int:
        return await wait()

    start = perf_counter()
    tasks = [asyncio.create_task(waiter()) for _ in range(size)]
    for _ in range(3):
        await asyncio.sleep(0)
    release()
    await asyncio.gather(*tasks)
    return perf_counter() - start


async def memory(peer: Peer, effort: Effort) -> Figure:
    """bytes per entry beyond its key and value (100,000 entries; 20,000 with --quick)"""
    needs_await(peer)
    keys = list(range(1000, 1000 + effort.entries))
    fill = timed("await f(x)", f=peer.cached(constant, len(keys) + 10))
    await fill([1, 2, 3])
    gc.collect()
    before = resident()
    for start in range(0, len(keys), 2000):
        await fill(keys[start : start + 2000])
        gc.collect()  # what a peer drops in cycles does not count as kept
    return Figure((resident() - before) / len(keys))


async def constant(x: int) -> int:
    return 1


def resident() -> int:
    """The memory, in bytes, that this process has in use now."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        raise UnsupportedError("needs /proc")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def needs_await(peer: Peer) -> None:
    if not peer.awaited:
        raise UnsupportedError


def needs_mapping(peer: Peer) -> None:
    if type(peer).cached_through is Peer.cached_through:
        raise UnsupportedError


SCENARIOS: dict[str, Callable[[Peer, Effort], Coroutine[Any, Any, Figure]]] = {
    "hit": hit,
    "3 args": hit_three,
    "TTL": hit_ttl,
    "ignore": hit_ignore,
    "method": hit_method,
    "own cache": hit_own,
    "cachetools": hit_cachetools,
    "dict": hit_dict,
    "miss": miss,
    "ready miss": miss_ready,
    "flood": flood,
    "waiters": waiters,
    "bytes": memory,
}
