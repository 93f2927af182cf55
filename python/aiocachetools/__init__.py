"""Asyncio caching: decorators for coroutine functions, on native caches or cachetools'.

Concurrent calls for a key wait for one load.  Hits, misses and more are reported through Loguru
at DEBUG, off until ``logger.enable("aiocachetools")``.
"""

import gc as _gc
import os as _os
import sys as _sys
from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

from ._core import (
    Cache,
    CachedFunction,
    CachedManyFunction,
    FIFOCache,
    LFUCache,
    LoadTimeout,
    LRUCache,
    RecursiveLoadError,
    RRCache,
    TinyLFUCache,
    TLRUCache,
    TTLCache,
)
from ._core import after_fork_in_child as _after_fork_in_child
from ._core import before_collection as _before_collection
from ._decorators import cached, cachedmethod

if _TYPE_CHECKING:
    from ._event import CacheEvent
    from ._info import CacheInfo, CacheStats, Stats
    from ._many import cached_many
    from ._missing import ABSENT, MissingKeyError
    from ._removal import RemovalCause
    from ._tags import invalidate_tag, invalidate_tags
    from ._tier import ManyTier, Tier, TieredFunction
    from ._warm import WarmUp
    from .redis import RedisTier as RedisTier

__all__ = (
    "ABSENT",
    "Cache",
    "CacheEvent",
    "CacheInfo",
    "CacheStats",
    "CachedFunction",
    "CachedManyFunction",
    "FIFOCache",
    "LFUCache",
    "LRUCache",
    "LoadTimeout",
    "ManyTier",
    "MissingKeyError",
    "RRCache",
    "RecursiveLoadError",
    "RemovalCause",
    "Stats",
    "TLRUCache",
    "TTLCache",
    "Tier",
    "TieredFunction",
    "TinyLFUCache",
    "WarmUp",
    "cached",
    "cached_many",
    "cachedmethod",
    "invalidate_tag",
    "invalidate_tags",
)

__version__ = "0.1.0"

if "loguru" in _sys.modules:
    from . import _log as _log
_gc.callbacks.append(_before_collection)

if hasattr(_os, "register_at_fork"):
    _os.register_at_fork(after_in_child=_after_fork_in_child)


# What is imported when it is asked for, and where from: most programs have no use for it, or not at
# once, and not everyone has what `RedisTier` needs.
_LATER = {
    "ABSENT": "_missing",
    "CacheEvent": "_event",
    "CacheInfo": "_info",
    "CacheStats": "_info",
    "ManyTier": "_tier",
    "MissingKeyError": "_missing",
    "RedisTier": "redis",
    "RemovalCause": "_removal",
    "Stats": "_info",
    "Tier": "_tier",
    "TieredFunction": "_tier",
    "WarmUp": "_warm",
    "cached_many": "_many",
    "invalidate_tag": "_tags",
    "invalidate_tags": "_tags",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(_import_module(f".{_LATER[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
