"""The decorators: options are checked here, once, and handed to a native object."""

import functools
import inspect
from collections.abc import Callable, Coroutine, Iterable, MutableMapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Protocol, TypeVar, cast, overload

import aiocachetools  # what annotations name of it is imported when they are read

from ._core import CachedFunction, decorate
from ._freshness import Errors, FreshnessOptions, Seconds, Tags, Ttl
from ._own_cache import UNSET, Policy, own_cache, policy_of
from ._signature import (
    check_coroutine_function,
    check_ignore,
    mark_coroutine_function,
    name_of,
    parameters_of,
)

if TYPE_CHECKING:
    from ._event import Listener
    from ._tier import Tier, TieredFunction

__all__ = ("cached", "cachedmethod")

P = ParamSpec("P")
R = TypeVar("R")

Mapping = MutableMapping[Any, Any]
Key = Callable[..., Any]
Lock = AbstractContextManager[Any]


class _Decorator(Protocol):
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> CachedFunction[P, R]: ...


@overload
def cached(cache: Callable[P, Coroutine[Any, Any, R]], /) -> CachedFunction[P, R]: ...
@overload
def cached(
    cache: Mapping | None = ...,
    key: Key | None = ...,
    lock: Lock | None = ...,
    condition: Lock | None = ...,
    info: bool = ...,
    *,
    maxsize: float | None = ...,
    ttl: Ttl | None = ...,
    timer: Callable[[], Any] = ...,
    policy: Policy = ...,
    getsizeof: Callable[[Any], float] | None = ...,
    typed: bool = ...,
    ignore: str | Iterable[str] = ...,
    on_abandon: Literal["cancel", "finish"] = ...,
    jitter: Seconds | None = ...,
    cache_if: Callable[[Any], object] | None = ...,
    stale_while_revalidate: Seconds | None = ...,
    stale_if_error: Seconds | None = ...,
    soft_timeout: Seconds | None = ...,
    timeout: Seconds | None = ...,
    cache_errors: Errors | None = ...,
    tags: Tags | None = ...,
    tier: "aiocachetools.Tier | None" = ...,
    listener: "Callable[[aiocachetools.CacheEvent], object] | None" = ...,
) -> _Decorator: ...
def cached(
    cache: Any = UNSET,
    key: Key | None = None,
    lock: Lock | None = None,
    condition: Lock | None = None,
    info: bool = True,
    *,
    maxsize: float | None = UNSET,
    ttl: Ttl | None = None,
    timer: Callable[[], Any] = UNSET,
    policy: Policy = UNSET,
    getsizeof: Callable[[Any], float] | None = None,
    typed: bool = False,
    ignore: str | Iterable[str] = (),
    on_abandon: Literal["cancel", "finish"] = "cancel",
    jitter: Seconds | None = None,
    cache_if: Callable[[Any], object] | None = None,
    stale_while_revalidate: Seconds | None = None,
    stale_if_error: Seconds | None = None,
    soft_timeout: Seconds | None = None,
    timeout: Seconds | None = None,
    cache_errors: Errors | None = None,
    tags: Tags | None = None,
    tier: "aiocachetools.Tier | None" = None,
    listener: "Callable[[aiocachetools.CacheEvent], object] | None" = None,
) -> Any:
    """Cache the results of a coroutine function; concurrent calls for a key wait for one load.

    Use it bare (``@cached``: least recently used, 128 entries), with the size and age of a native
    cache of its own (``@cached(maxsize=10_000, ttl=60)``), or with any mutable mapping
    (``@cached(TTLCache(1024, 60))``, of aiocachetools, of cachetools, a dict).

    Args:
        cache: Where results are kept; ``None`` switches caching off.
        key: Makes the key of a call from its arguments, as in cachetools.  Without it the key is
            ``cachetools.keys.hashkey`` of the arguments as the signature binds them, so that
            ``f(1)``, ``f(x=1)`` and ``f(1, y=<the default>)`` are one entry.
        lock: A synchronous context manager held around each access to the mapping, never while
            a load runs.
        condition: The same, by the name that cachetools has for it.
        info: Accepted for cachetools' sake; ``cache_info()`` is always there.
        maxsize: Entries that the function's own cache holds (what their sizes may add up to, with
            ``getsizeof``); ``None`` for no limit, 0 to keep nothing and only share loads.
        ttl: Seconds (or a timedelta) after which an entry expires, or a function of the value that
            returns them, or ``None`` for never.
        timer: The clock of ``ttl``; ``time.monotonic`` by default.
        policy: Who leaves the function's own cache when it is full: the least recently used
            (``"lru"``, the default), the least frequently used (``"lfu"``), the first in
            (``"fifo"``), anybody (``"rr"``), or by ``"tinylfu"``, which keeps what is used often and
            adapts to the traffic (W-TinyLFU).
        getsizeof: The size of a value in the function's own cache; each counts 1 without it.
        typed: Whether arguments of different types are different keys even when equal.
        ignore: Names of parameters that take no part in the key.
        on_abandon: What becomes of a load when its last caller is cancelled: ``"cancel"`` it too,
            or let it ``"finish"`` and be stored.
        jitter: Up to so many seconds are added to each entry's ``ttl``, at random, so that entries
            stored together do not expire together.
        cache_if: Called with a load's result; it is stored if the answer is true.
        stale_while_revalidate: For so many seconds after its ``ttl`` an entry is served at once,
            while one load in the background refreshes it (RFC 5861, section 3).
        stale_if_error: For so many seconds after its ``ttl`` an entry is served where the load that
            should replace it fails (RFC 5861, section 4).
        soft_timeout: So many seconds a caller waits for a load where ``stale_if_error`` has a value
            to serve; then it gets that, and the load goes on.
        timeout: So many seconds a load may take; it is cancelled then, and has failed with
            `LoadTimeout`.
        cache_errors: Exception types, or tuples of them, and for how many seconds a load that
            raised one is not tried again: its callers get a stale value if ``stale_while_revalidate``
            or ``stale_if_error`` has one, or an equal exception.
        tags: Names that entries can be made invalid by, with `invalidate_tag`: one, or an iterable of
            them, or a function that returns either.  It is called with the arguments of a call as
            ``key`` is, and with the result as ``value`` if it has a keyword-only parameter of that
            name.
        tier: Where to look before loading: a cache that several processes share, such as
            `aiocachetools.redis.RedisTier`.
        listener: Called with a `CacheEvent` of every hit, miss, join, store, failed load, eviction,
            expiration and invalidation, when it has happened; it may use the cache.  What it raises
            goes to `sys.unraisablehook`.

    Raises:
        TypeError: For what is not a coroutine function, an unknown name in ``ignore``, or options
            that contradict each other.
        ValueError: For a value that an option does not have.
    """
    options = Options("cached()", key, lock, condition, typed, ignore, on_abandon, tier, listener)
    options.freshness = FreshnessOptions(
        "cached()",
        ttl,
        jitter,
        cache_if,
        stale_while_revalidate,
        stale_if_error,
        soft_timeout,
        timeout,
        cache_errors,
        tags,
    )
    bare, make_cache = options.cache_maker(cache, maxsize, ttl, timer, policy, getsizeof)
    if bare:
        return options.decorate(cache, make_cache)
    return functools.partial(options.decorate, make_cache=make_cache)


def cachedmethod(
    cache: Callable[[Any], Mapping | None],
    key: Key | None = None,
    lock: Callable[[Any], Lock] | None = None,
    condition: Callable[[Any], Lock] | None = None,
    info: bool = True,
    *,
    typed: bool = False,
    ignore: str | Iterable[str] = (),
    on_abandon: Literal["cancel", "finish"] = "cancel",
    jitter: Seconds | None = None,
    cache_if: Callable[[Any], object] | None = None,
    stale_while_revalidate: Seconds | None = None,
    stale_if_error: Seconds | None = None,
    soft_timeout: Seconds | None = None,
    timeout: Seconds | None = None,
    cache_errors: Errors | None = None,
    tags: Tags | None = None,
    tier: "aiocachetools.Tier | None" = None,
    listener: "Callable[[aiocachetools.CacheEvent], object] | None" = None,
) -> _Decorator:
    """Cache the results of a coroutine method in a cache that the instance (or class) provides.

    Args:
        cache: Called with the instance, returns its cache; ``None`` switches caching off.
        key: Makes the key of a call from its arguments, ``self`` first, as in cachetools.  Without
            it the key holds the method's identity, the instance's identity (held weakly, so the
            instance need not be hashable and is not kept alive) and the bound arguments.
        lock: Called with the instance, returns a synchronous context manager that is held around
            each access to its cache.
        condition: The same, by the name that cachetools has for it.
        info: Accepted for cachetools' sake; ``cache_info()`` is always there.
        typed: Whether arguments of different types are different keys even when equal.
        ignore: Names of parameters that take no part in the key.  With ``"self"``, instances that
            share a cache share its entries.
        on_abandon: What becomes of a load when its last caller is cancelled: ``"cancel"`` it too,
            or let it ``"finish"`` and be stored.
        listener: Called with a `CacheEvent` of everything that happens, as for `cached`.
        jitter: As for `cached`, and so are ``cache_if``, ``stale_while_revalidate``,
            ``stale_if_error``, ``soft_timeout``, ``timeout``, ``cache_errors``, ``tags`` and
            ``tier``.  The instance's cache says how long entries live; what is about stale, failed or
            tagged entries needs one of aiocachetools' own.

    Raises:
        TypeError: As `cached` does, and for a ``cache``, ``lock`` or ``condition`` that cannot be
            called with the instance.
    """
    for name, value in (("cache", cache), ("lock", lock), ("condition", condition)):
        if (value is not None or name == "cache") and not callable(value):
            raise TypeError(
                f"cachedmethod(): {name} must be a function of the instance, such as `lambda self: self._{name}`, "
                f"not {value!r}"
            )
    options = Options("cachedmethod()", key, None, None, typed, ignore, on_abandon, tier, listener)
    options.lock, options.condition, options.kind = lock, condition, "method"
    options.freshness = FreshnessOptions(
        "cachedmethod()",
        None,
        jitter,
        cache_if,
        stale_while_revalidate,
        stale_if_error,
        soft_timeout,
        timeout,
        cache_errors,
        tags,
    )
    resolver: Any = cache
    return cast(_Decorator, functools.partial(options.decorate, make_cache=lambda: resolver))


class Options:
    """The options that all decorators have."""

    lock: Any
    condition: Any
    kind = "function"
    timer: Any = None
    own = False
    many: Any = None
    freshness: FreshnessOptions

    def __init__(
        self,
        decorator: str,
        key: Key | None,
        lock: Lock | None,
        condition: Lock | None,
        typed: bool,
        ignore: str | Iterable[str],
        on_abandon: Literal["cancel", "finish"],
        tier: "Tier | None",
        listener: "Listener | None",
    ) -> None:
        if key is not None and not callable(key):
            raise TypeError(f"{decorator}: key must be a function of the arguments, not {key!r}")
        if key is not None and typed:
            raise TypeError(
                f"{decorator}: typed has no effect on a key function: give key=cachetools.keys.typedkey"
            )
        if on_abandon not in ("cancel", "finish"):
            raise ValueError(f"{decorator}: on_abandon must be 'cancel' or 'finish', not {on_abandon!r}")
        self.decorator = decorator
        self.key = key
        self.lock = _check_lock(decorator, "lock", lock)
        self.condition = _check_lock(decorator, "condition", condition)
        self.typed = typed
        self.ignore = ignore if isinstance(ignore, str) else tuple(ignore)
        self.on_abandon: Literal["cancel", "finish"] = on_abandon
        if tier is not None and not callable(getattr(tier, "attach", None)):
            raise TypeError(f"{decorator}: tier must be a Tier such as RedisTier(...), not {tier!r}")
        self.tier = tier
        self.listener = listener
        if listener is not None:
            from ._event import check_listener

            check_listener(decorator, listener)

    def cache_maker(
        self, cache: Any, maxsize: Any, ttl: Any, timer: Any, policy: Any, getsizeof: Any
    ) -> tuple[bool, Callable[[], Any]]:
        """Whether ``cache`` is the function itself, decorated without options, and what makes its cache."""
        tiered, timed = self.tier is not None, self.freshness.keeps_time
        self.own = True
        if _is_decorated(cache):
            return True, functools.partial(own_cache, tiered=tiered)
        if cache is UNSET:
            self.timer = None if timer is UNSET else timer
            make_cache = functools.partial(
                own_cache, maxsize, ttl, timer, policy, getsizeof, tiered=tiered, timed=timed
            )
            # What is wrong with the options is said here, not at the function.
            self.freshness.for_cache(make_cache(), self.lock or self.condition, self.timer, own=True)
            return False, make_cache
        self.own = False
        given: dict[str, Any] = {"maxsize": maxsize, "timer": timer, "policy": policy}
        contradicting = [name for name, value in given.items() if value is not UNSET]
        given = {"ttl": ttl, "getsizeof": getsizeof}
        contradicting += [name for name, value in given.items() if value is not None]
        if contradicting:
            raise TypeError(
                f"{self.decorator}: {' and '.join(contradicting)} cannot be combined with a cache: give them to "
                f"the cache's constructor, or leave the cache out"
            )
        if cache is not None and not isinstance(cache, MutableMapping) and not _is_mapping(cache):
            raise TypeError(
                f"{self.decorator}: cache must be a mutable mapping or None, not {cache!r}"
                + (
                    f"; Expected Coroutine function for a bare @{self.decorator[:-2]}"
                    if callable(cache)
                    else ""
                )
            )
        mapping = cast(Any, cache)
        return False, lambda: mapping

    def decorate(self, function: Any, make_cache: Callable[[], Any]) -> Any:
        """The decorated function, for either order with classmethod and staticmethod."""
        if isinstance(function, staticmethod):
            return staticmethod(self.decorate(cast(Any, function).__func__, make_cache))
        kind = self.kind
        resolved = kind == "method"
        if isinstance(function, classmethod):
            function, kind = cast(Any, function).__func__, "classmethod"
        check_coroutine_function(function, self.decorator)
        if self.tier is not None:
            self.freshness.check_tiered()
        parameters = parameters_of(function)
        self.freshness.check_parameters(parameters, name_of(function))
        cache = make_cache()
        own = self.own and self.tier is None
        decorated_with = functools.partial(
            decorate,
            function,
            name=name_of(function),
            signature=parameters,
            ignore=check_ignore(self.ignore, parameters, function, self.decorator),
            typed=self.typed,
            key=self.key,
            resolved=resolved,
            class_method=kind == "classmethod",
            lock=self.lock,
            condition=self.condition,
            on_abandon=self.on_abandon,
            parameters=self._parameters(cache),
            many=self.many,
            listener=self.listener,
            freshness=self.freshness.for_cache(cache, self.lock or self.condition, self.timer, own),
        )
        tiered = self._attach(function, parameters, cache, resolved)
        decorated = decorated_with(cache=cache, loader=None if tiered is None else tiered.loader)
        functools.update_wrapper(decorated, function)
        mark_coroutine_function(decorated, function)
        if tiered is not None:
            tiered.bind(decorated, self.own, resolved, lambda other: decorated_with(cache=other))
            decorated.cache_tier = tiered
        return decorated

    def _attach(
        self, function: Any, parameters: list[inspect.Parameter], cache: Any, resolved: bool
    ) -> "TieredFunction | None":
        """The function as its tier sees it, if there is one."""
        if self.tier is None or cache is None:
            return None
        from ._tier import TieredFunction, check_cache

        name = name_of(function)
        if not resolved:
            check_cache(cache, name)
        keeps_absence = self.many is not None and self.many[1:] != ("error", [])
        return TieredFunction(
            self.tier,
            function,
            name,
            parameters,
            self.freshness.seconds,
            self.key is not None,
            self.many is not None,
            keeps_absence,
        )

    def _parameters(self, cache: Any) -> dict[str, Any]:
        """What ``cache_parameters()`` tells."""
        return {
            "maxsize": getattr(cache, "maxsize", None),
            "ttl": self.freshness.ttl if self.tier else getattr(cache, "ttl", self.freshness.ttl),
            "policy": policy_of(cache),
            "typed": self.typed,
            "ignore": self.ignore,
            "key": self.key,
            "on_abandon": self.on_abandon,
            "tier": self.tier,
            "listener": self.listener,
            **self.freshness.parameters(),
        }


def _check_lock(decorator: str, name: str, lock: Any) -> Any:
    if lock is None or isinstance(lock, AbstractContextManager):
        return cast(Any, lock)
    asynchronous = (
        " an asyncio lock cannot be held in a synchronous access:" if hasattr(lock, "__aenter__") else ""
    )
    raise TypeError(
        f"{decorator}: {name} must be a synchronous context manager, not {lock!r};{asynchronous} use threading.Lock(), "
        f"or none at all, since concurrent calls share one load without it"
    )


def _is_mapping(cache: Any) -> bool:
    return not isinstance(cache, type) and all(
        hasattr(cache, name) for name in ("__getitem__", "__setitem__", "__delitem__")
    )


def _is_decorated(cache: Any) -> bool:
    """Whether it is a function that `cached` was put on without options."""
    if cache is UNSET or cache is None or _is_mapping(cache):
        return False
    return callable(cache) or isinstance(cache, classmethod | staticmethod)
