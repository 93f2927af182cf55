"""A decorated function with a Redis tier: what its loads go through, and what reaches every process."""

import functools
import secrets
import weakref
from collections.abc import Callable, MutableMapping
from typing import Any

from loguru import logger

from aiocachetools._tier import TieredFunction

from ._errors import ReplyError
from ._format import Format, Found
from ._link import OUTAGE, Link
from ._links import Links
from ._load import Load, read, tag_versions
from ._near import Place, Visit
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
        # The places of its keys, on the link that it was called on last.
        self._places: dict[Any, Place] = {}
        self._of_link: Callable[[], Link | None] = _no_link

    async def load(self, *args: Any, **kwargs: Any) -> Any:
        """The value of a call: the fleet's, or one that is loaded for all."""
        link = self._links.get()
        if not link.is_ready:
            await link.ready()
        cache, visit = self._enter(link, args, kwargs)
        found: Found | None = None
        try:
            # A value that the server has is the usual case, and costs one coroutine beside this one.
            if not link.breaker.is_open:
                try:
                    found = await read(self.form, link, visit, self.counts)
                except OUTAGE as error:
                    link.breaker.trip(error)
                except ReplyError as error:
                    logger.warning("redis tier: {}", error)
            if found is not None and found.usable and not found.stale:
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
        if not tiered.has_own_cache:
            cache = tiered.cache(*args)
            cache_key = tiered.cache_key(*args, **kwargs)
            return cache, self._enter_anew(link, cache, cache_key, key, args, kwargs)
        if self._of_link() is not link:
            self._of_link, self._places = weakref.ref(link), {}
        place = self._places.get(key)
        if place is not None and (own := place.cache()) is not None:
            return own, link.near.visit(place)
        cache = tiered.cache(*args)
        visit = self._enter_anew(link, cache, key, key, args, kwargs)
        self._places[key] = visit.place
        visit.place.known_in = self._places
        return cache, visit

    def _enter_anew(
        self,
        link: Link,
        cache: MutableMapping[Any, Any],
        cache_key: Any,
        key: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Visit:
        """The load of a key whose place is not known."""
        tier_key = self.form.key(key, args, kwargs)
        return link.near.enter(cache, cache_key, tier_key, self.form.tags(args, kwargs))

    def _keep(self, link: Link, cache: MutableMapping[Any, Any], visit: Visit, seconds: float) -> None:
        """Say for how long memory may keep the value that a load is about to return."""
        if not link.client.connected:
            seconds = link.bounded(seconds)
        if seconds > self._l1_ttl:
            seconds = self._l1_ttl
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


def _no_link() -> None:
    return None
