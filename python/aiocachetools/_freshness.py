"""Options that say how long results are good, and what is served when there is no good one."""

import contextlib
import inspect
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from datetime import timedelta
from typing import Any, cast

from ._core import Cache, FIFOCache, LFUCache, LRUCache, RRCache, TinyLFUCache, TLRUCache, TTLCache

__all__ = ("Errors", "Freshness", "FreshnessOptions", "Seconds", "Tags", "Ttl", "copy_of")

Seconds = float | timedelta
Ttl = Seconds | Callable[[Any], Seconds | None]
Errors = Mapping[type[Exception] | tuple[type[Exception], ...], Seconds]
Tags = str | Iterable[str] | Callable[..., str | Iterable[str]]

# Options that need no entries that expire.
_OF_ANY_CLASS = ("cache_errors", "tags")


class Freshness:
    """What the native function is told; times are in seconds."""

    def __init__(
        self, options: "FreshnessOptions", ttl: Any, call_later: Callable[..., Any] | None, entry_options: str
    ) -> None:
        self.ttl: float | Callable[[Any], Any] | None = ttl
        self.jitter: float = options.jitter
        self.while_revalidate: float = options.while_revalidate
        self.if_error: float = options.if_error
        self.cache_if: Callable[[Any], Any] | None = options.cache_if
        self.errors = options.errors
        self.soft_timeout: float | None = options.soft_timeout
        self.timeout: float | None = options.timeout
        self.call_later = call_later
        self.entry_options = entry_options
        self.tags: tuple[str, ...] | Callable[..., Any] | None = options.tags
        self.tags_of_value = options.tags_of_value


class FreshnessOptions:
    """The options of a decorator, checked."""

    def __init__(
        self,
        decorator: str,
        ttl: Any,
        jitter: Any,
        cache_if: Any,
        stale_while_revalidate: Any,
        stale_if_error: Any,
        soft_timeout: Any,
        timeout: Any,
        cache_errors: Any,
        tags: Any,
    ) -> None:
        def time(name: str, value: Any, default: Any = None) -> Any:
            return default if value is None else _seconds(decorator, name, value)

        self.decorator = decorator
        self.ttl: Any = ttl if callable(ttl) else time("ttl", ttl)
        self.jitter = time("jitter", jitter, 0.0)
        self.cache_if = cache_if
        self.while_revalidate = time("stale_while_revalidate", stale_while_revalidate, 0.0)
        self.if_error = time("stale_if_error", stale_if_error, 0.0)
        self.soft_timeout = time("soft_timeout", soft_timeout)
        self.timeout = time("timeout", timeout)
        self.errors = _errors(decorator, cache_errors)
        self.tags: Any = None
        self.tags_of_value = False
        if tags is not None:
            from ._tags import check_tags, wants_value

            self.tags = check_tags(decorator, tags)
            self.tags_of_value = wants_value(self.tags)
        if self.timeout == 0:
            raise ValueError(f"{decorator}: timeout must be a number of seconds above 0, not {timeout!r}")
        if cache_if is not None and not callable(cache_if):
            raise TypeError(f"{decorator}: cache_if must be a function of the value, not {cache_if!r}")

    @property
    def seconds(self) -> float | None:
        """The ttl that holds for every value, if there is one."""
        return None if callable(self.ttl) else self.ttl

    @property
    def of_entries(self) -> list[str]:
        """The options given that need a cache which keeps stale and failed entries."""
        given = {
            "jitter": self.jitter,
            "stale_while_revalidate": self.while_revalidate,
            "stale_if_error": self.if_error,
            "soft_timeout": self.soft_timeout is not None,
            "cache_errors": self.errors,
            "tags": self.tags,
        }
        return [name for name, value in given.items() if value]

    @property
    def keeps_time(self) -> bool:
        """Whether the options need a cache whose entries have times of their own."""
        return any(option != "tags" for option in self.of_entries)

    def check_tiered(self) -> None:
        """With a tier behind the cache, entries are what the tier has."""
        if self.tags is not None:
            raise TypeError(
                f"{self.decorator}: tags cannot be combined with tier, which has tags that reach every process: give "
                f"them to it, as in tier=tier.using(tags=...), and invalidate them there"
            )
        refused = self.of_entries + ["cache_if"] * (self.cache_if is not None)
        refused += ["a ttl function"] * callable(self.ttl)
        if refused:
            raise TypeError(
                f"{self.decorator}: {' and '.join(refused)} cannot be combined with tier, whose entries are fresh "
                f"or gone"
            )

    def parameters(self) -> dict[str, Any]:
        """What ``cache_parameters()`` tells."""
        return {
            "jitter": self.jitter,
            "cache_if": self.cache_if,
            "stale_while_revalidate": self.while_revalidate,
            "stale_if_error": self.if_error,
            "soft_timeout": self.soft_timeout,
            "timeout": self.timeout,
            "cache_errors": dict(self.errors),
            "tags": self.tags,
        }

    def for_cache(self, cache: Any, lock: Any, timer: Any, own: bool) -> Freshness | None:
        """What the native function is told of a cache; None where there is nothing to tell.

        Args:
            cache: The cache, or what resolves it.
            lock: The lock that is held around each access to it.
            timer: The clock that was given, if any.
            own: Whether the cache was made by the decorator's options.
        """
        ttl = self.ttl if own and not (self.ttl and isinstance(cache, TTLCache)) else None
        options = self.of_entries
        expiring = [option for option in options if option not in _OF_ANY_CLASS]
        if own and expiring and self.ttl is None:
            raise TypeError(
                f"{self.decorator}: {' and '.join(expiring)} needs entries that expire: give ttl as well"
            )
        if not options and ttl is None and self.cache_if is None and self.timeout is None:
            return None
        named = " and ".join(options)
        if options and isinstance(cache, MutableMapping):
            # A cache of the function's own expires by what `ttl` says, whatever its class.
            self._check_cache(cast(Any, cache), lock, named, "" if own else " and ".join(expiring))
        timer = getattr(cast(Any, cache), "timer", None) if timer is None else timer
        return Freshness(self, ttl, getattr(timer, "call_later", None), named)

    def check_parameters(self, parameters: Iterable[inspect.Parameter], name: str) -> None:
        """A tags function cannot be called with the value and an argument of that name."""
        if self.tags_of_value and any(parameter.name == "value" for parameter in parameters):
            raise TypeError(
                f"{self.decorator}: the tags function takes the value of {name}() as its keyword-only parameter "
                f"'value', which {name}() has a parameter of its own for: give that one another name"
            )

    def _check_cache(self, cache: Any, lock: Any, named: str, expiring: str) -> None:
        classes = (Cache, FIFOCache, LFUCache, LRUCache, RRCache, TinyLFUCache, TLRUCache, TTLCache)
        if lock is not None:
            raise TypeError(
                f"{self.decorator}: {named} cannot be combined with a lock: aiocachetools' own caches need none"
            )
        if type(cache) not in classes:
            raise TypeError(
                f"{self.decorator}: {named} needs one of aiocachetools' own caches, which know more of an entry than "
                f"its value, not {type(cache).__name__}: give aiocachetools.TTLCache(...), or maxsize= and ttl= "
                f"in place of the cache"
            )
        if expiring and not isinstance(cache, TTLCache | TLRUCache):
            raise TypeError(
                f"{self.decorator}: {expiring} needs entries that expire: give a TTLCache or a TLRUCache, or maxsize= "
                f"and ttl= in place of the cache"
            )


def copy_of(error: Exception) -> Exception:
    """An equal exception without a traceback; the exception itself where it cannot be copied."""
    import copy

    # Whatever the exception's own class makes of being copied.
    with contextlib.suppress(Exception):
        other = copy.copy(error)
        if type(other) is type(error) and other.args == error.args:
            return other
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _seconds(decorator: str, name: str, value: Any) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{decorator}: {name} must be a number of seconds or a timedelta, not {value!r}")
    if not seconds >= 0:
        raise ValueError(f"{decorator}: {name} must be a number of seconds from 0, not {value!r}")
    return float(seconds)


def _errors(decorator: str, given: Any) -> list[tuple[type[Exception], float]]:
    """Exception types and how many seconds they are remembered, in order."""
    if given is None:
        return []
    example = "cache_errors={NotFound: 30}"
    if not isinstance(given, Mapping):
        raise TypeError(
            f"{decorator}: cache_errors must map exception types to seconds, such as {example}, not {given!r}"
        )
    errors: list[tuple[type[Exception], float]] = []
    for classes, ttl in cast(Any, given).items():
        named: list[Any] = [*cast(Any, classes)] if isinstance(classes, tuple) else [classes]
        for error in named:
            if not (isinstance(error, type) and issubclass(error, Exception)):
                raise TypeError(
                    f"{decorator}: cache_errors must name subclasses of Exception, such as {example}, not {error!r}"
                )
            errors.append((error, _seconds(decorator, f"cache_errors[{error.__name__}]", ttl)))
    return errors
