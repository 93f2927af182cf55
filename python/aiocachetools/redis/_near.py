"""The near cache: which entries in memory came from which keys, and what becomes of them when those change.

The cache itself is the function's; here is what the server's messages need to find an entry.  One
rule keeps it coherent: a load is known here before it asks the server, so that a message about its
key finds either the entry or the flight, and `cache.pop` removes the one and fences the other.
"""

import asyncio
import weakref
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from loguru import logger

from aiocachetools._core import Fetch

from ._keys import is_function, is_lease, key_of

__all__ = ("NearCache", "Place", "Visit")

Mapping = MutableMapping[Any, Any]

_MIN_SWEEP = 1024
_CHUNK = 1000


class Place:
    """One key of one cache in memory, and the loads under way that may store there."""

    __slots__ = ("_cache", "alike", "key", "known_in", "latest", "loads", "tags", "tier_key")

    def __init__(self, cache: Mapping, key: Any, tier_key: bytes, tags: Sequence[bytes]) -> None:
        self._cache = weakref.ref(cache)
        self.key = key
        self.tier_key = tier_key
        self.tags = tags
        self.loads = 0
        self.latest: Visit | Fetch | None = None
        # Other places of the same value: caches of several instances, or functions of one name.
        self.alike: Place | None = None
        # Where a function looks for it by its key, for as long as messages find it.
        self.known_in: dict[Any, Place] | None = None

    def cache(self) -> Mapping | None:
        """The cache, if it is still there."""
        return self._cache()

    def is_at(self, cache: Mapping, key: Any) -> bool:
        """Whether it is this key of this cache."""
        return self._cache() is cache and (self.key is key or bool(self.key == key))

    def is_dead(self) -> bool:
        """Whether nothing will ever be stored there."""
        return not self.loads and self._cache() is None

    def is_idle(self) -> bool:
        """Whether the cache has no entry there, and no load may store one."""
        cache = self._cache()
        try:
            return not self.loads and (cache is None or self.key not in cache)
        except Exception:  # a key's own, from its __eq__
            return False

    def forget(self) -> None:
        """Be known to no function any more."""
        known, self.known_in = self.known_in, None
        if known is None:
            return
        try:
            known.pop(self.key, None)
        except Exception:  # a key's own, from its __eq__
            known.clear()

    def evict(self) -> None:
        """Remove the entry, and keep what is being loaded from being stored."""
        if self.latest is not None:
            self.latest.fenced = True
        cache = self._cache()
        if cache is None:
            return
        try:
            cache.pop(self.key, None)
        except Exception:  # a key's own, or that of a subclass of the cache
            logger.exception("redis tier: a key cannot be removed from a cache, which is cleared instead")
            with suppress(Exception):
                cache.clear()


class Visit:
    """One load under way at a place.

    While it has read nothing it *watches*: a message only makes it look again.  From then on a
    message fences it.
    """

    __slots__ = ("_heard", "_wakeup", "fenced", "leads", "place", "watches")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.watches = False
        self.fenced = False
        """Its value may not be stored."""
        self.leads: bytes | None = None
        """The lease's key, while this process loads the value."""
        self._heard = False
        self._wakeup: asyncio.Future[None] | None = None

    def watch(self) -> None:
        """Have nothing, from here on."""
        self.watches, self._heard = True, False

    def settle(self) -> bool:
        """Have what was read, from here on; False when a message came while it was being read."""
        self.watches = False
        return not self._heard

    def lead(self, lease: bytes) -> None:
        """Be the one who loads the value, from here on."""
        self.watches, self.leads = False, lease

    def fence(self) -> None:
        """Keep the value from being stored."""
        self.place.evict()

    def hear(self) -> None:
        """There is a message about the place."""
        self._heard = True
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)

    async def wait(self, seconds: float) -> None:
        """Sleep until a message comes, or has come since `watch`, for at most some seconds."""
        if self._heard:
            return
        self._wakeup = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait((self._wakeup,), timeout=seconds)
        finally:
            self._wakeup = None


class NearCache:
    """The entries in memory that one connection keeps coherent.

    Args:
        max_unverified: Seconds that entries are kept when the connection is lost.
    """

    def __init__(self, max_unverified: float) -> None:
        self._max_unverified = max_unverified
        self._places: dict[bytes, Place] = {}
        self._tagged: dict[bytes, set[Place]] = {}
        self.visits: set[Visit | Fetch] = set()
        """The loads under way."""
        self._count = 0
        self._sweep_at = _MIN_SWEEP
        self._unverified: asyncio.TimerHandle | None = None
        self.epoch = 0
        """Changes whenever messages may have been missed."""

    def __len__(self) -> int:
        return self._count

    def enter(self, visit: Visit) -> None:
        """A load begins; from here on messages about its keys reach it."""
        place = visit.place
        place.latest = visit
        place.loads += 1
        self.visits.add(visit)

    def replace(self, fetch: Fetch, by: Visit) -> None:
        """A load goes on as another visit."""
        if by.place.latest is fetch:
            by.place.latest = by
        self.visits.discard(fetch)
        self.visits.add(by)

    def leave(self, visit: Visit) -> None:
        """The load is over, and what it came to is about to be stored."""
        visit.leads = None
        visit.place.loads -= 1
        if visit.place.latest is visit:
            visit.place.latest = None
        self.visits.discard(visit)

    def place(self, cache: Mapping, key: Any, tier_key: bytes, tags: Sequence[bytes]) -> Place:
        """The place of a key, where messages find it."""
        for place in self._at(tier_key):
            if place.is_at(cache, key):
                return place
            if place.is_dead():
                self._remove(place)
        place = Place(cache, key, tier_key, tags)
        place.alike = self._places.get(tier_key)
        self._places[tier_key] = place
        self._count += 1
        for tag in tags:
            self._tagged.setdefault(tag, set()).add(place)
        if self._count > self._sweep_at:
            self._sweep_at = 2 * self._count
            self._sweep(iter(tuple(self._all())), ())
        return place

    def _at(self, tier_key: bytes) -> Iterator[Place]:
        """The places of a value; the one that is out may be removed."""
        place = self._places.get(tier_key)
        while place is not None:
            following = place.alike
            yield place
            place = following

    def hear(self, keys: Iterable[bytes] | None) -> None:
        """The server's keys have changed; None for all of them."""
        if keys is None:
            self.forget_all()
            return
        for key in keys:
            # A tag may look like anything.
            for place in (*self._at(key), *self._tagged.get(key, ())):
                self._invalidate(place)
            if is_lease(key):
                self._hear_lease(key)
            elif is_function(key):
                self._hear_function(key)

    def hear_beside(self, changed: Place) -> None:
        """The value at a place was changed from there: the others of the same value hear of it."""
        for place in self._at(changed.tier_key):
            if place is not changed:
                self._invalidate(place)

    def _hear_lease(self, key: bytes) -> None:
        for place in self._at(key_of(key)):
            visit = place.latest
            if visit is not None and visit.leads == key:
                # Who holds the lease changes it unheard: it was taken away.
                place.evict()
            elif visit is not None:
                visit.hear()

    def _hear_function(self, beginning: bytes) -> None:
        for place in tuple(self._all()):
            if place.tier_key.startswith(beginning):
                self._invalidate(place)

    def wake(self) -> None:
        """Those who wait for another process look what has become of it."""
        for visit in tuple(self.visits):
            if visit.watches:
                visit.hear()

    def _invalidate(self, place: Place) -> None:
        visit = place.latest
        if visit is not None and visit.watches:
            visit.hear()
            return
        place.evict()
        if not place.loads:
            self._remove(place)

    def _remove(self, place: Place) -> None:
        places = list(self._at(place.tier_key))
        kept = [other for other in places if other is not place]
        if len(kept) == len(places):
            return
        self._count -= 1
        place.forget()
        if kept:
            self._places[place.tier_key] = kept[0]
            for other, following in zip(kept, [*kept[1:], None], strict=True):
                other.alike = following
        else:
            del self._places[place.tier_key]
        for tag in place.tags:
            tagged = self._tagged.get(tag, set())
            tagged.discard(place)
            if not tagged:
                self._tagged.pop(tag, None)

    def disconnected(self, strict: bool) -> None:
        """From here on messages are missed."""
        self._new_epoch()
        if strict:
            self.forget_all()
        elif self._unverified is None:
            loop = asyncio.get_running_loop()
            self._unverified = loop.call_later(self._max_unverified, self._drop, iter(tuple(self._all())))

    def connected(self) -> None:
        """Messages come again; what was missed is not known, so that all entries are read anew."""
        self._new_epoch()
        self.close()
        self._drop(iter(tuple(self._all())))

    def close(self) -> None:
        """Have nothing more to do later."""
        if self._unverified is not None:
            self._unverified.cancel()
            self._unverified = None

    def _new_epoch(self) -> None:
        self.epoch += 1
        for visit in tuple(self.visits):
            if visit.watches:
                visit.hear()
            elif visit.leads is None:  # the server will know whether a load's lease has held
                visit.place.evict()

    def forget_all(self) -> None:
        """Remove every entry."""
        for place in tuple(self._all()):
            self._invalidate(place)

    def _drop(self, places: Iterator[Place]) -> None:
        """Remove entries, some at a time: they may be served a little longer."""
        chunk = tuple(islice(places, _CHUNK))
        for place in chunk:
            self._invalidate(place)
        if chunk:
            asyncio.get_running_loop().call_soon(self._drop, places)

    def _all(self) -> Iterable[Place]:
        for tier_key in self._places:
            yield from self._at(tier_key)

    def _sweep(self, places: Iterator[Place], idle: Iterable[Place]) -> None:
        """Remove the places that hold nothing, some at a time.

        A load that is over may not have been stored yet, so that a place goes when it is found idle twice.
        """
        for place in idle:
            if place.is_idle():
                self._remove(place)
        chunk = tuple(islice(places, _CHUNK))
        if chunk:
            idle = [place for place in chunk if place.is_idle()]
            asyncio.get_running_loop().call_soon(self._sweep, places, idle)
        else:
            self._sweep_at = max(_MIN_SWEEP, 2 * self._count)
