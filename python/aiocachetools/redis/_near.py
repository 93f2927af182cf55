"""The near cache: which entries in memory came from which keys, and what becomes of them when those change.

The cache itself is the function's; here is what the server's messages need to find an entry.  One
rule keeps it coherent: a load is known here before it asks the server, so that a message about its
key finds either the entry or the flight, and `cache.pop` removes the one and fences the other.
"""

import asyncio
import weakref
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any

from ._keys import is_lease, key_of

__all__ = ("NearCache", "Place", "Visit")

Mapping = MutableMapping[Any, Any]

_MIN_SWEEP = 1024
_CHUNK = 1000


class Place:
    """One key of one cache in memory, and the loads under way that may store there."""

    __slots__ = ("_cache", "alike", "key", "latest", "loads", "tags", "tier_key")

    def __init__(self, cache: Mapping, key: Any, tier_key: bytes, tags: Sequence[bytes]) -> None:
        self._cache = weakref.ref(cache)
        self.key = key
        self.tier_key = tier_key
        self.tags = tags
        self.loads = 0
        self.latest: Visit | None = None
        # Other places of the same value: caches of several instances, or functions of one name.
        self.alike: Place | None = None

    def is_at(self, cache: Mapping, key: Any) -> bool:
        """Whether it is this key of this cache."""
        return self._cache() is cache and (self.key is key or bool(self.key == key))

    def is_stored(self) -> bool:
        """Whether the cache has an entry there."""
        cache = self._cache()
        return cache is not None and self.key in cache

    def evict(self) -> None:
        """Remove the entry, and keep what is being loaded from being stored."""
        if self.latest is not None:
            self.latest.fenced = True
        cache = self._cache()
        if cache is not None:
            cache.pop(self.key, None)


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
        self._visits: set[Visit] = set()
        self._sweep_at = _MIN_SWEEP
        self._unverified: asyncio.TimerHandle | None = None
        self.epoch = 0
        """Changes whenever messages may have been missed."""

    def __len__(self) -> int:
        return len(self._places)

    def enter(self, cache: Mapping, key: Any, tier_key: bytes, tags: Sequence[bytes]) -> Visit:
        """A load begins; from here on messages about its keys reach it."""
        place = self._place(cache, key, tier_key, tags)
        visit = place.latest = Visit(place)
        place.loads += 1
        self._visits.add(visit)
        return visit

    def leave(self, visit: Visit) -> None:
        """The load is over, and what it came to is about to be stored."""
        visit.leads = None
        visit.place.loads -= 1
        if visit.place.latest is visit:
            visit.place.latest = None
        self._visits.discard(visit)

    def _place(self, cache: Mapping, key: Any, tier_key: bytes, tags: Sequence[bytes]) -> Place:
        first = place = self._places.get(tier_key)
        while place is not None:
            if place.is_at(cache, key):
                return place
            place = place.alike
        place = self._places[tier_key] = Place(cache, key, tier_key, tags)
        place.alike = first
        for tag in tags:
            self._tagged.setdefault(tag, set()).add(place)
        if len(self._places) > self._sweep_at:
            self._sweep_at = 2 * len(self._places)
            self._begin_sweep()
        return place

    def hear(self, keys: Iterable[bytes] | None) -> None:
        """The server's keys have changed; None for all of them."""
        if keys is None:
            self.forget_all()
            return
        for key in keys:
            if is_lease(key):
                self._hear_lease(key)
                continue
            place = self._places.get(key)
            while place is not None:
                following = place.alike
                self._invalidate(place)
                place = following
            for tagged in tuple(self._tagged.get(key, ())):
                self._invalidate(tagged)

    def _hear_lease(self, key: bytes) -> None:
        place = self._places.get(key_of(key))
        while place is not None:
            visit, following = place.latest, place.alike
            if visit is not None and visit.leads == key:
                # Who holds the lease changes it unheard: it was taken away.
                place.evict()
            elif visit is not None:
                visit.hear()
            place = following

    def _invalidate(self, place: Place) -> None:
        visit = place.latest
        if visit is not None and visit.watches:
            visit.hear()
            return
        place.evict()
        if not place.loads:
            self._remove(place)

    def _remove(self, place: Place) -> None:
        first = self._places.get(place.tier_key)
        if first is place:
            if place.alike is None:
                del self._places[place.tier_key]
            else:
                self._places[place.tier_key] = place.alike
        while first is not None:
            if first.alike is place:
                first.alike = place.alike
            first = first.alike
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
            self._unverified = loop.call_later(self._max_unverified, self._drop, tuple(self._all()))

    def connected(self) -> None:
        """Messages come again; what was missed is not known, so that all entries are read anew."""
        self._new_epoch()
        if self._unverified is not None:
            self._unverified.cancel()
            self._unverified = None
        self._drop(tuple(self._all()))

    def _new_epoch(self) -> None:
        self.epoch += 1
        for visit in tuple(self._visits):
            if visit.watches:
                visit.hear()
            elif visit.leads is None:  # the server will know whether a load's lease has held
                visit.fence()

    def forget_all(self) -> None:
        """Remove every entry."""
        for place in tuple(self._all()):
            self._invalidate(place)

    def _drop(self, places: Sequence[Place]) -> None:
        """Remove entries, some at a time: they may be served a little longer."""
        for place in places[:_CHUNK]:
            self._invalidate(place)
        if len(places) > _CHUNK:
            asyncio.get_running_loop().call_soon(self._drop, places[_CHUNK:])

    def _all(self) -> Iterable[Place]:
        for first in self._places.values():
            place: Place | None = first
            while place is not None:
                yield place
                place = place.alike

    def _begin_sweep(self) -> None:
        """Find the places that hold nothing; they go when loads that are over have been stored."""
        gone = [place for place in self._all() if not place.loads and not place.is_stored()]
        asyncio.get_running_loop().call_soon(self._end_sweep, gone)

    def _end_sweep(self, gone: Sequence[Place]) -> None:
        for place in gone:
            if not place.loads and not place.is_stored():
                self._remove(place)
        self._sweep_at = max(_MIN_SWEEP, 2 * len(self._places))
