"""The adapters: each peer, seen the way that the scenarios use it.

A feature that a peer lacks is a method that its adapter does not override.
"""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

Function = Callable[..., Any]
TTL = 3600


class UnsupportedError(Exception):
    """The peer has no such feature."""


class Peer:
    """What a peer can do; every method gives the decorated function back."""

    module: str  # what a user imports
    awaited = True  # False: a plain function, called without await

    def cached(self, fn: Function, maxsize: int) -> Any:
        raise UnsupportedError

    def cached_ttl(self, fn: Function, maxsize: int) -> Any:
        """As cached, with entries that expire after TTL seconds."""
        raise UnsupportedError

    def cached_ignoring_db(self, fn: Function, maxsize: int) -> Any:
        """As cached, for fn(db, x) with keys made of x alone."""
        raise UnsupportedError

    def cached_method(self, fn: Function, maxsize: int) -> Any:
        """As cached, for a function in a class: one cache for all instances."""
        return self.cached(fn, maxsize)

    def cached_through(self, fn: Function, mapping: MutableMapping[Any, Any]) -> Any:
        """Uses the mapping that it is given as its cache."""
        raise UnsupportedError

    def own_cache(self, maxsize: int) -> Any:
        """A cache for one instance to hold in its attribute `cache`."""
        raise UnsupportedError

    def cached_own(self, fn: Function) -> Any:
        """For a method that uses the cache in its instance's attribute `cache`."""
        raise UnsupportedError


class AioCacheTools(Peer):
    module = "aiocachetools"

    def cached(self, fn: Function, maxsize: int) -> Any:
        from aiocachetools import cached

        return cached(maxsize=maxsize)(fn)

    def cached_ttl(self, fn: Function, maxsize: int) -> Any:
        from aiocachetools import cached

        return cached(maxsize=maxsize, ttl=TTL)(fn)

    def cached_ignoring_db(self, fn: Function, maxsize: int) -> Any:
        from aiocachetools import cached

        return cached(maxsize=maxsize, ignore=("db",))(fn)

    def cached_through(self, fn: Function, mapping: MutableMapping[Any, Any]) -> Any:
        from aiocachetools import cached

        return cached(mapping)(fn)

    def own_cache(self, maxsize: int) -> Any:
        from aiocachetools import LRUCache

        return LRUCache(maxsize)

    def cached_own(self, fn: Function) -> Any:
        from aiocachetools import cachedmethod

        return cachedmethod(lambda self: self.cache)(fn)


class CacheToolsPeer(Peer):
    """What the two decorators for cachetools' caches have in common."""

    decorators: Any

    def cached(self, fn: Function, maxsize: int) -> Any:
        return self.cached_through(fn, self.own_cache(maxsize))

    def cached_ttl(self, fn: Function, maxsize: int) -> Any:
        from cachetools import TTLCache

        return self.cached_through(fn, TTLCache(maxsize, TTL))

    def cached_ignoring_db(self, fn: Function, maxsize: int) -> Any:
        from cachetools.keys import hashkey

        cache = self.own_cache(maxsize)
        return self.decorators.cached(cache, key=lambda db, x: hashkey(x))(fn)

    def cached_through(self, fn: Function, mapping: MutableMapping[Any, Any]) -> Any:
        return self.decorators.cached(mapping)(fn)

    def own_cache(self, maxsize: int) -> Any:
        from cachetools import LRUCache

        return LRUCache(maxsize)

    def cached_own(self, fn: Function) -> Any:
        return self.decorators.cachedmethod(lambda self: self.cache)(fn)


class CacheToolsAsync(CacheToolsPeer):
    module = "cachetools_async"

    def __init__(self) -> None:
        import cachetools_async

        self.decorators = cachetools_async


class AsynCache(CacheToolsPeer):
    module = "asyncache"

    def __init__(self) -> None:
        import asyncache

        self.decorators = asyncache


class AsyncLru(Peer):
    module = "async_lru"

    def __init__(self) -> None:
        from async_lru import alru_cache

        self.alru_cache: Any = alru_cache

    def cached(self, fn: Function, maxsize: int) -> Any:
        return self.alru_cache(maxsize=maxsize)(fn)

    def cached_ttl(self, fn: Function, maxsize: int) -> Any:
        return self.alru_cache(maxsize=maxsize, ttl=TTL)(fn)

    def cached_ignoring_db(self, fn: Function, maxsize: int) -> Any:
        return self.alru_cache(maxsize=maxsize, key=lambda db, x: x)(fn)


class AsyncCache(Peer):
    module = "cache"

    def cached(self, fn: Function, maxsize: int) -> Any:
        from cache import AsyncLRU

        return AsyncLRU(maxsize)(fn)

    def cached_ttl(self, fn: Function, maxsize: int) -> Any:
        from cache import AsyncTTL

        return AsyncTTL(TTL, maxsize)(fn)

    def cached_ignoring_db(self, fn: Function, maxsize: int) -> Any:
        from cache import AsyncLRU

        return AsyncLRU(maxsize, skip_args=1)(fn)


class AioCache(Peer):
    module = "aiocache"

    def __init__(self) -> None:
        from aiocache import cached_stampede

        self.cached_stampede: Any = cached_stampede

    def cached(self, fn: Function, maxsize: int) -> Any:
        return self.cached_stampede(ttl=None)(fn)

    def cached_ttl(self, fn: Function, maxsize: int) -> Any:
        return self.cached_stampede(ttl=TTL)(fn)

    def cached_ignoring_db(self, fn: Function, maxsize: int) -> Any:
        return self.cached_stampede(ttl=None, key_builder=lambda fn, db, x: str(x))(fn)


class Cashews(Peer):
    module = "cashews"

    def decorate(self, fn: Function, maxsize: int, **options: Any) -> Any:
        from cashews import Cache

        cache = Cache()
        cache.setup(f"mem://?size={maxsize}")
        return cache(**options)(fn)

    def cached(self, fn: Function, maxsize: int) -> Any:
        return self.decorate(fn, maxsize, ttl=None)

    def cached_ttl(self, fn: Function, maxsize: int) -> Any:
        return self.decorate(fn, maxsize, ttl=TTL)

    def cached_ignoring_db(self, fn: Function, maxsize: int) -> Any:
        return self.decorate(fn, maxsize, ttl=None, key="{x}")


class CacheBox(Peer):
    module = "cachebox"

    def __init__(self, lock: bool = True) -> None:
        import cachebox

        self.cachebox: Any = cachebox
        self.lock = lock

    def decorate(self, fn: Function, cache: Any, **options: Any) -> Any:
        return self.cachebox.cached(cache, lock=self.lock, **options)(fn)

    def cached(self, fn: Function, maxsize: int) -> Any:
        return self.decorate(fn, self.own_cache(maxsize))

    def cached_ttl(self, fn: Function, maxsize: int) -> Any:
        return self.decorate(fn, self.cachebox.TTLCache(maxsize, TTL))

    def cached_ignoring_db(self, fn: Function, maxsize: int) -> Any:
        return self.decorate(fn, self.own_cache(maxsize), key_maker=lambda db, x: x)

    def own_cache(self, maxsize: int) -> Any:
        return self.cachebox.LRUCache(maxsize)

    def cached_own(self, fn: Function) -> Any:
        return self.decorate(fn, lambda self: self.cache)


class MokaPy(Peer):
    module = "moka_py"

    def __init__(self, wait: bool = True) -> None:
        self.wait = wait

    def decorate(self, fn: Function, **options: Any) -> Any:
        from moka_py import cached

        return cached(wait_concurrent=self.wait, policy="lru", **options)(fn)

    def cached(self, fn: Function, maxsize: int) -> Any:
        return self.decorate(fn, maxsize=maxsize)

    def cached_ttl(self, fn: Function, maxsize: int) -> Any:
        return self.decorate(fn, maxsize=maxsize, ttl=TTL)


class Theine(Peer):
    module = "theine"

    def cached(self, fn: Function, maxsize: int, ttl: timedelta | None = None) -> Any:
        from theine import Memoize

        return Memoize(maxsize, ttl)(fn)

    def cached_ttl(self, fn: Function, maxsize: int) -> Any:
        return self.cached(fn, maxsize, timedelta(seconds=TTL))

    def cached_ignoring_db(self, fn: Function, maxsize: int) -> Any:
        decorated = self.cached(fn, maxsize)
        decorated.key(lambda db, x: x)
        return decorated


class LruCache(Peer):
    module = "functools"
    awaited = False

    def cached(self, fn: Function, maxsize: int) -> Any:
        from functools import lru_cache

        return lru_cache(maxsize)(fn)


def needs_await(peer: Peer) -> None:
    if not peer.awaited:
        raise UnsupportedError


def needs_mapping(peer: Peer) -> None:
    if type(peer).cached_through is Peer.cached_through:
        raise UnsupportedError


@dataclass(frozen=True)
class Entry:
    """A row of the table: the distribution that the peer comes from, its adapter, and how it was set up."""

    package: str
    adapter: Callable[[], Peer]
    note: str = ""


PEERS = {
    "aiocachetools": Entry("aiocachetools", AioCacheTools),
    "cachetools-async": Entry("cachetools-async", CacheToolsAsync),
    "async-lru": Entry("async-lru", AsyncLru),
    "asyncache": Entry("asyncache", AsynCache, "has no stampede protection without an asyncio.Lock for all"),
    "async-cache": Entry("async-cache", AsyncCache),
    "aiocache": Entry("aiocache", AioCache, "cached_stampede; its memory cache has no bound"),
    "cashews": Entry("cashews", Cashews, "its memory backend"),
    "cachebox": Entry("cachebox", CacheBox),
    "cachebox, bare": Entry("cachebox", lambda: CacheBox(lock=False), "lock=False: no stampede protection"),
    "moka-py": Entry("moka-py", MokaPy, "policy='lru', wait_concurrent=True"),
    "moka-py, bare": Entry("moka-py", lambda: MokaPy(wait=False), "policy='lru': no stampede protection"),
    "theine": Entry("theine", Theine),
    "lru_cache": Entry("python", LruCache, "functools', a plain function called without await: a yardstick"),
}
