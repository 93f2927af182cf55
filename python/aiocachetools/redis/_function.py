"""A decorated function with a Redis tier: what its loads go through, and what reaches every process."""

import secrets
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

from aiocachetools._core import Fetch, TierLoader
from aiocachetools._tier import TieredFunction

from ._format import Format
from ._link import Link
from ._links import Links
from ._load import tag_versions
from ._near import Place, Visit
from ._options import FunctionOptions
from ._reading import Reading
from ._stats import Counts, TierStats

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
        self.options = options
        self._tiered = tiered
        self._l1_ttl = float("inf") if options.l1_ttl is None else options.l1_ttl
        self.form = Format(tiered, options, links.options)
        self.counts = Counts()
        self.loader = TierLoader(self, self._l1_ttl)
        # The places of its keys, on the link that it was called on last.
        self._places: dict[Any, Place] = {}
        self._of_link: Callable[[], Link | None] = _no_link

    def load(self, *args: Any, **kwargs: Any) -> Fetch | Coroutine[Any, Any, Any]:
        """The value of a call: the fleet's, or one that is loaded for all."""
        link = self._links.get()
        if link.port.connection is not None:
            place = self.place(link, args, kwargs)
            fetch = self.loader.ask(link.port, place, self.form.plain(), args, kwargs)
            if fetch is not None:
                return fetch
        return self._load(link, args, kwargs)

    async def _load(self, link: Link, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not link.is_ready:
            await link.ready()
        reading = Reading(self, link, self.place(link, args, kwargs), args, kwargs)
        link.near.enter(reading)
        return await reading.run()

    def reading(self, fetch: Fetch, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Reading:
        """What goes on with a load that the native loader has begun."""
        link = self._links.get()
        reading = Reading(self, link, fetch.place, args, kwargs)
        reading.asked -= fetch.age
        reading.fenced = fetch.fenced
        if fetch.heard:
            reading.hear()
        link.near.replace(fetch, reading)
        return reading

    def stats(self) -> TierStats:
        """What was counted so far."""
        stats = self.counts.read()
        return stats._replace(hits=stats.hits + self.loader.hits)

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Coroutine[Any, Any, Any]:
        """The user's function, running."""
        return self._tiered.function(*args, **kwargs)

    def place(self, link: Link, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Place:
        """Where the value of a call will be in memory."""
        tiered = self._tiered
        key = tiered.key(*args, **kwargs)
        if not tiered.has_own_cache:
            return self._new_place(link, tiered.cache_key(*args, **kwargs), key, args, kwargs)
        if self._of_link() is not link:
            self._of_link, self._places = weakref.ref(link), {}
            self.loader.open(link.port, self._places, self.form.plain())
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = self._new_place(link, key, key, args, kwargs)
            place.known_in = self._places
        return place

    def _new_place(
        self, link: Link, cache_key: Any, key: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Place:
        """The place of a key that the function does not know of."""
        cache, tier_key = self._tiered.cache(*args), self.form.key(key, args, kwargs)
        return link.near.place(cache, cache_key, tier_key, self.form.tags(args, kwargs))

    def keep(self, link: Link, visit: Visit, seconds: float) -> None:
        """Say for how long memory may keep the value that a load is about to return."""
        place = visit.place
        cache = place.cache()
        seconds = min(link.bounded(seconds), self._l1_ttl)
        if visit.fenced:
            self.counts.refused += 1
        elif seconds <= 0:
            visit.fence()
        elif cache is not None:
            self._tiered.limit(place.key, cache, seconds)

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
