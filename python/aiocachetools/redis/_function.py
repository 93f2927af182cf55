"""A decorated function with a Redis tier: what its loads go through, and what reaches every process."""

import functools
import secrets
from collections.abc import MutableMapping
from typing import Any

from aiocachetools._tier import TieredFunction

from ._format import Format
from ._link import Link
from ._links import Links
from ._load import Load, glance, tag_versions
from ._near import Visit
from ._options import FunctionOptions
from ._stats import Counts

__all__ = ("RedisFunction",)


class RedisFunction:
    """A decorated function with a Redis tier.

    Args:
        links: The tier's connections.
        options: The function's options.
        tiered: The function, as the decorator tells of it.
    """

    def __init__(self, links: Links, options: FunctionOptions, tiered: TieredFunction) -> None:
        self._links = links
        self._options = options
        self._tiered = tiered
        self._l1_ttl = float("inf") if options.l1_ttl is None else options.l1_ttl
        self.form = Format(tiered, options, links.options)
        self.counts = Counts()

    async def load(self, *args: Any, **kwargs: Any) -> Any:
        """The value of a call: the fleet's, or one that is loaded for all."""
        link = self._links.get()
        if not link.is_ready:
            await link.ready()
        cache, visit = self._enter(link, args, kwargs)
        try:
            found = None if link.breaker.is_open else await glance(self.form, link, visit, self.counts)
            if found is not None and found.fresh:
                self.counts.hits += 1
                value: Any = found.value
                seconds = found.seconds
            else:
                call = functools.partial(self._tiered.function, *args, **kwargs)
                load = Load(self.form, link, visit, call, self._options.lease, self.counts)
                value, seconds = await load.run(found)
            self._keep(link, cache, visit, seconds)
        finally:
            link.near.leave(visit)
        return value

    def _enter(
        self, link: Link, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[MutableMapping[Any, Any], Visit]:
        """The cache of a call, and its load, as the near cache knows it from now on."""
        tiered = self._tiered
        key = tiered.key(*args, **kwargs)
        tier_key = self.form.key(key, args, kwargs)
        cache = tiered.cache(*args)
        cache_key = key if tiered.has_own_cache else tiered.cache_key(*args, **kwargs)
        return cache, link.near.enter(cache, cache_key, tier_key, self.form.tags(args, kwargs))

    def _keep(self, link: Link, cache: MutableMapping[Any, Any], visit: Visit, seconds: float) -> None:
        """Say for how long memory may keep the value that a load is about to return."""
        seconds = min(link.bounded(seconds), self._l1_ttl)
        if visit.fenced:
            self.counts.refused += 1
        elif seconds > 0:
            self._tiered.limit(visit.place.key, cache, seconds)
        else:
            visit.fence()

    async def invalidate(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Remove the value of a call in every process; whether there was one."""
        link, key = await self._reach(args, kwargs)
        self._evict(args, kwargs)
        removed = await link.invalidate(key)
        self._evict(args, kwargs)
        return removed

    async def put(self, value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Store the value of a call for every process."""
        link, key = await self._reach(args, kwargs)
        tags = self.form.tags(args, kwargs)
        known: list[Any] = (
            await link.guarded(link.client.execute_many([(b"GET", tag) for tag in tags])) if tags else []
        )
        versions = await link.guarded(tag_versions(link, tags, known))
        envelope = self.form.pack(value, key, secrets.token_bytes(8), versions)
        if envelope is None:
            raise TypeError(f"{self.form.name}(): a value is needed to be stored, not {value!r}")
        self._evict(args, kwargs)
        await link.put(key, envelope, self.form.ttl_ms)
        self._evict(args, kwargs)

    async def clear(self) -> int:
        """Remove the values of all calls in every process; how many there were."""
        return await self._links.get().clear(self.form.beginning, self.form.pattern)

    async def _reach(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Link, bytes]:
        key = self.form.key(self._tiered.key(*args, **kwargs), args, kwargs)
        link = self._links.get()
        await link.ready()
        return link, key

    def _evict(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._tiered.cache(*args).pop(self._tiered.cache_key(*args, **kwargs), None)
