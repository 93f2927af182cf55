"""What ``cache_info()`` returns."""

from typing import NamedTuple

__all__ = ("CacheInfo",)


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
