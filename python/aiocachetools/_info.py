"""What ``cache_info()``, ``cache_stats()`` and a native cache's ``stats`` are."""

from typing import NamedTuple

__all__ = ("CacheInfo", "CacheStats", "Stats")


class CacheInfo(NamedTuple):
    """Statistics of one decorated function's use of one cache.

    ``hits`` and ``misses`` add up to the calls that were awaited; joining a load that is under way
    is a hit.  ``maxsize`` and ``currsize`` are the cache's (``None`` and the number of entries for
    a mapping that has no size of its own).
    """

    hits: int
    misses: int
    maxsize: float | None
    currsize: float


class CacheStats(NamedTuple):
    """All that is counted of one decorated function's use of one cache.

    ``joins`` are the hits that waited for a load which was under way.  ``loads`` are those that
    ended, ``load_errors`` those of them that raised or were cancelled, and ``load_time`` is how
    long they took together, in seconds.  ``evictions`` and ``expirations`` are the cache's, for
    all who use it; ``None`` for a mapping that is not a cache of aiocachetools.  ``stale_served``
    are the calls that got a value which was no longer fresh, and ``refreshes`` the loads that were
    started for nobody while such a value was served.
    """

    hits: int
    misses: int
    maxsize: float | None
    currsize: float
    joins: int
    loads: int
    load_errors: int
    load_time: float
    evictions: int | None
    expirations: int | None
    stale_served: int
    refreshes: int


class Stats(NamedTuple):
    """What a native cache counted since it was made, whoever used it.

    ``hits`` and ``misses`` are lookups (``cache[key]``, ``get``, ``setdefault``, calls of decorated
    functions; ``in`` is none); ``insertions`` are values stored under new keys.  The others are what
    left: ``replacements`` values that made way for newer ones, ``evictions`` entries that made room,
    ``expirations`` those whose time was up and ``removals`` those that the user removed.
    """

    hits: int
    misses: int
    insertions: int
    replacements: int
    evictions: int
    expirations: int
    removals: int

    @property
    def hit_ratio(self) -> float:
        """The share of lookups that found a value; 0.0 before the first one."""
        return self.hits / max(self.hits + self.misses, 1)
