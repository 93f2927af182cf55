"""The decorator of functions that take several keys at once."""

import functools
import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar, cast, overload

import aiocachetools  # what annotations name of it is imported when they are read

from ._core import CachedManyFunction
from ._decorators import Options
from ._freshness import Errors, FreshnessOptions, Seconds, Tags, Ttl
from ._own_cache import UNSET, Policy
from ._signature import name_of, parameters_of

__all__ = ("cached_many",)

P = ParamSpec("P")
K = TypeVar("K")
V = TypeVar("V")
S = TypeVar("S")

Missing = Literal["error", "absent"]
Many = Callable[Concatenate[list[K], P], Coroutine[Any, Any, Mapping[K, V]]]
ManyMethod = Callable[Concatenate[S, list[K], P], Coroutine[Any, Any, Mapping[K, V]]]
_Cached = CachedManyFunction[Concatenate[Iterable[K], P], Concatenate[K, P], K, V]
_CachedMethod = CachedManyFunction[Concatenate[S, Iterable[K], P], Concatenate[S, K, P], K, V]

_BY_POSITION = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)


class _Decorator(Protocol):
    @overload
    def __call__(self, function: Many[K, P, V], /) -> _Cached[K, P, V]: ...
    @overload
    def __call__(self, function: ManyMethod[S, K, P, V], /) -> _CachedMethod[S, K, P, V]: ...


@overload
def cached_many(cache: Many[K, P, V], /) -> _Cached[K, P, V]: ...
@overload
def cached_many(cache: ManyMethod[S, K, P, V], /) -> _CachedMethod[S, K, P, V]: ...
@overload
def cached_many(
    cache: MutableMapping[Any, Any] | None = ...,
    key: Callable[..., Any] | None = ...,
    lock: AbstractContextManager[Any] | None = ...,
    condition: AbstractContextManager[Any] | None = ...,
    info: bool = ...,
    *,
    max_batch: int | None = ...,
    missing: Missing = ...,
    default: Any = ...,
    maxsize: float | None = ...,
    ttl: Ttl | None = ...,
    timer: Callable[[], Any] = ...,
    policy: Policy = ...,
    getsizeof: Callable[[Any], float] | None = ...,
    typed: bool = ...,
    ignore: str | Iterable[str] = ...,
    on_abandon: Literal["cancel", "finish"] = ...,
    tier: "aiocachetools.ManyTier | None" = ...,
    listener: "Callable[[aiocachetools.CacheEvent], object] | None" = ...,
    jitter: Seconds | None = ...,
    cache_if: Callable[[Any], object] | None = ...,
    stale_while_revalidate: Seconds | None = ...,
    stale_if_error: Seconds | None = ...,
    soft_timeout: Seconds | None = ...,
    timeout: Seconds | None = ...,
    cache_errors: Errors | None = ...,
    tags: Tags | None = ...,
) -> _Decorator: ...
def cached_many(
    cache: Any = UNSET,
    key: Callable[..., Any] | None = None,
    lock: AbstractContextManager[Any] | None = None,
    condition: AbstractContextManager[Any] | None = None,
    info: bool = True,
    *,
    max_batch: int | None = None,
    missing: Missing = "error",
    default: Any = UNSET,
    maxsize: float | None = UNSET,
    ttl: Ttl | None = None,
    timer: Callable[[], Any] = UNSET,
    policy: Policy = UNSET,
    getsizeof: Callable[[Any], float] | None = None,
    typed: bool = False,
    ignore: str | Iterable[str] = (),
    on_abandon: Literal["cancel", "finish"] = "cancel",
    tier: "aiocachetools.ManyTier | None" = None,
    listener: "Callable[[aiocachetools.CacheEvent], object] | None" = None,
    jitter: Seconds | None = None,
    cache_if: Callable[[Any], object] | None = None,
    stale_while_revalidate: Seconds | None = None,
    stale_if_error: Seconds | None = None,
    soft_timeout: Seconds | None = None,
    timeout: Seconds | None = None,
    cache_errors: Errors | None = None,
    tags: Tags | None = None,
) -> Any:
    """Cache a coroutine function that takes a list of keys and returns a mapping of them, key by key.

    A call takes any iterable of keys, returns a dict of them in the order asked, and has the
    function load only those that are neither cached nor being loaded.  Each key is an entry and a
    load of its own: calls that overlap share what they have in common.

    The keys are the function's first parameter (after ``self`` or ``cls``); further arguments are
    part of each entry's key unless they are ignored.  ``one(key)`` of the decorated function is the
    value of one key, and such calls of one round of the event loop are loaded together.

    Args:
        cache: As for `cached`, and so are ``key`` (called with one key in the place of the list),
            ``lock``, ``condition``, ``info``, ``maxsize``, ``ttl``, ``timer``, ``policy``,
            ``getsizeof``, ``typed``, ``ignore``, ``on_abandon`` (a load is abandoned when nobody
            waits for any of its keys), ``jitter``, ``cache_if`` (of one key's value), ``timeout`` (of
            a run of the function), ``stale_while_revalidate``, ``stale_if_error``, ``soft_timeout``,
            ``cache_errors`` and ``tags`` (a function is called with one key in the place of the list,
            and one key's value).
        max_batch: How many keys the function is given at a time, at most; a call that needs more
            loads as many parts at once as it takes.
        missing: What becomes of a key that the function's result lacks: ``"error"``, a
            `MissingKeyError` for the calls that asked for it, or ``"absent"``, which is cached and
            leaves the key out of their results.
        default: The value of a key that the function's result lacks, in place of ``missing``.
        listener: As for `cached`; it is told of each key by itself.

    Raises:
        TypeError: As `cached` does, and for a function without a parameter for the keys.
        ValueError: For a value that an option does not have.
    """
    if missing not in ("error", "absent"):
        raise ValueError(f"cached_many(): missing must be 'error' or 'absent', not {missing!r}")
    if default is not UNSET and missing != "error":
        raise TypeError("cached_many(): default cannot be combined with missing: a key has a value or none")
    _check_max_batch(max_batch)
    options = _ManyOptions("cached_many()", key, lock, condition, typed, ignore, on_abandon, tier, listener)
    options.many = (max_batch, missing, [] if default is UNSET else [default])
    if tier is not None and not callable(getattr(tier, "attach_many", None)):
        raise TypeError(f"cached_many(): tier must be a ManyTier such as RedisTier(...), not {tier!r}")
    options.freshness = FreshnessOptions(
        "cached_many()",
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
    return (
        options.decorate(cache, make_cache)
        if bare
        else functools.partial(options.decorate, make_cache=make_cache)
    )


def _check_max_batch(max_batch: Any) -> None:
    if max_batch is None:
        return
    if not isinstance(max_batch, int) or isinstance(max_batch, bool):
        raise TypeError(f"cached_many(): max_batch must be a number of keys or None, not {max_batch!r}")
    if max_batch < 1:
        raise ValueError(f"cached_many(): max_batch must be at least 1, not {max_batch}")


class _ManyOptions(Options):
    """The options of `cached_many`."""

    def decorate(self, function: Any, make_cache: Callable[[], Any]) -> Any:
        inner: Any = function
        if isinstance(function, classmethod | staticmethod):
            inner = cast(Any, function).__func__
        if callable(inner) and not any(parameter.kind in _BY_POSITION for parameter in parameters_of(inner)):
            raise TypeError(
                f"cached_many(): {name_of(inner)}() takes no argument by position: its first parameter (after "
                f"self or cls) must be the list of keys"
            )
        return super().decorate(function, make_cache)

    def _parameters(self, cache: Any) -> dict[str, Any]:
        max_batch, missing, default = self.many
        return {
            **super()._parameters(cache),
            "max_batch": max_batch,
            "missing": "default" if default else missing,
        }
