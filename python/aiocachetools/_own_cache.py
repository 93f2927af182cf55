"""The native cache of a function that was decorated with a size, an age or a policy."""

import math
import time
from collections.abc import Callable, MutableMapping
from datetime import timedelta
from typing import Any, Literal

from ._core import Cache, FIFOCache, LFUCache, LRUCache, RRCache, TinyLFUCache, TTLCache

__all__ = ("DEFAULT_MAXSIZE", "UNSET", "Policy", "own_cache", "policy_of")

Policy = Literal["lru", "lfu", "fifo", "rr", "tinylfu"]

DEFAULT_MAXSIZE = 128

_CLASSES: dict[str, type[Cache[Any, Any]]] = {
    "lru": LRUCache,
    "lfu": LFUCache,
    "fifo": FIFOCache,
    "rr": RRCache,
    "tinylfu": TinyLFUCache,
}


class _Unset:
    """The type of an argument that was not given."""

    def __repr__(self) -> str:
        return "<not given>"


UNSET: Any = _Unset()


def own_cache(
    maxsize: Any = UNSET,
    ttl: Any = None,
    timer: Any = UNSET,
    policy: Any = UNSET,
    getsizeof: Callable[[Any], float] | None = None,
    tiered: bool = False,
    timed: bool = False,
) -> MutableMapping[Any, Any]:
    """An empty cache by the options of `cached`; ``timed`` where entries have times of their own."""
    if maxsize is UNSET:
        maxsize = DEFAULT_MAXSIZE
    elif maxsize is None:
        maxsize = math.inf
    elif not isinstance(maxsize, int | float):
        raise TypeError(f"cached(): maxsize must be a number of entries or None, not {maxsize!r}")
    if getsizeof is not None and not callable(getsizeof):
        raise TypeError(f"cached(): getsizeof must be a function of the value, not {getsizeof!r}")
    made_by = _class_of("lru" if policy is UNSET else policy)
    if tiered:
        _check_tiered(timer, made_by, getsizeof)
        return TTLCache(maxsize, math.inf if ttl is None else _span(ttl, time.monotonic))
    timed = timed or ttl is not None
    if timer is not UNSET and not timed:
        raise TypeError("cached(): timer is the clock of ttl: give ttl as well")
    timer = time.monotonic if timer is UNSET else timer
    if ttl is not None and not callable(ttl) and made_by is LRUCache:
        return TTLCache(maxsize, _span(ttl, timer), timer, getsizeof)
    if not timed:
        return made_by(maxsize, getsizeof=getsizeof)
    return made_by(maxsize, getsizeof=getsizeof, timer=timer)


def _span(ttl: Any, timer: Callable[[], Any]) -> Any:
    """A time to live as the timer counts it: a timedelta is seconds to one that tells numbers."""
    if isinstance(ttl, timedelta) and isinstance(timer(), int | float):
        return ttl.total_seconds()
    return ttl


def _check_tiered(timer: Any, made_by: type[Cache[Any, Any]], getsizeof: Any) -> None:
    if timer is not UNSET:
        raise TypeError(
            "cached(): timer cannot be combined with tier, whose entries expire by the server's clock"
        )
    if made_by is not LRUCache or getsizeof is not None:
        raise TypeError("cached(): policy and getsizeof cannot be combined with tier")


def policy_of(cache: Any) -> str | None:
    """The name of a native cache's policy."""
    if isinstance(cache, TTLCache):
        return "lru"
    return next((name for name, made_by in _CLASSES.items() if type(cache) is made_by), None)


def _class_of(policy: Any) -> type[Cache[Any, Any]]:
    for name, made_by in _CLASSES.items():
        if policy == name:
            return made_by
    names = ", ".join(map(repr, _CLASSES))
    raise ValueError(f"cached(): policy must be one of {names}, not {policy!r}")
