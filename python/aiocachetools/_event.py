"""What a decorated function's listener is told."""

import inspect
from collections.abc import Callable, Hashable
from typing import Any, Literal, NamedTuple

__all__ = ("CacheEvent", "EventName", "Listener", "check_listener")

EventName = Literal[
    "hit", "miss", "join", "store", "load_error", "evict", "expire", "invalidate", "stale", "refresh"
]


class CacheEvent(NamedTuple):
    """Something that happened to a call of a decorated function, or to an entry of its cache.

    Attributes:
        name: A call found its value (``"hit"``), began a load (``"miss"``) or waits for one that is
            under way (``"join"``); a load's result was stored (``"store"``), or it raised or was
            cancelled (``"load_error"``); an entry was evicted to make room (``"evict"``), was
            removed because its time was up (``"expire"``), or ``cache_invalidate`` was called for
            its key (``"invalidate"``); a value was served that was no longer fresh (``"stale"``), and
            a load began for nobody meanwhile (``"refresh"``).
        function: The function's qualified name.
        key: The key, as in the cache.
        error: The exception, of ``load_error``; else None.
        seconds: How long the load took, of ``store`` (but by ``cache_set``) and ``load_error``; else None.
    """

    name: EventName
    function: str
    key: Hashable
    error: BaseException | None = None
    seconds: float | None = None


Listener = Callable[[CacheEvent], object]


def check_listener(decorator: str, listener: Any) -> None:
    """Raise TypeError for a listener that cannot be called, or would have to be awaited."""
    if not callable(listener):
        raise TypeError(f"{decorator}: listener must be a function of a CacheEvent or None, not {listener!r}")
    if inspect.iscoroutinefunction(listener) or inspect.iscoroutinefunction(type(listener).__call__):
        raise TypeError(
            f"{decorator}: listener must not be a coroutine function: it is called in the midst of what it is told of; "
            f"let it put the event into a queue, from which a task takes it"
        )
