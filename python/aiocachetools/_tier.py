"""A tier behind the cache in memory: what one has to be, and what it is told of a function."""

import asyncio
import inspect
import weakref
from collections.abc import Callable, Coroutine, MutableMapping, Sequence
from typing import Any, Protocol, cast

from ._core import Cache, Fetch, LRUCache, limit_load

__all__ = ("ManyTier", "Tier", "TieredFunction", "check_cache")

Loader = Callable[..., Coroutine[Any, Any, Any] | Fetch]

# The keys are the first of a function's parameters, or follow `self` or `cls`.
_FIRST_PARAMETERS = 2


class Tier(Protocol):
    """Where a cached function looks before it loads: a cache that several processes share.

    It has its part within the load of a key, of which there is one at a time in a process; calls
    that find their value in memory never get here.
    """

    def attach(self, function: "TieredFunction") -> Loader:
        """What is called, with the arguments of a call, where the function itself would be.

        It returns the value: the tier's, or that of awaiting ``function.function`` with the same
        arguments.  What it raises reaches the callers.
        """
        ...


class ManyTier(Tier, Protocol):
    """A tier that functions of several keys may have as well."""

    def attach_many(self, function: "TieredFunction") -> Loader:
        """As `attach`, for a function that is called with a list of keys and returns a mapping of them.

        So does what this returns.  Where the mapping raises for a key, those who wait for that key
        get the exception, and nobody else.
        """
        ...


class TieredFunction:
    """A decorated function as its tier sees it.

    Attributes:
        function: The user's function, which loads.
        name: Its qualified name.
        parameters: Its parameters.
        keyed: Whether the user's own ``key`` function makes its keys.
        takes_keys: Whether it is a function of several keys (`cached_many`): where the keys are, there
            is a list of those to load in a call of the loader, and one of them in a call of `key`,
            `cache_key` or `cache`.
        keeps_absence: Whether memory keeps that a key has no value.
        has_own_cache: Whether the cache was made for this function, so that `key` and `cache_key` are one.
        loader: What the tier has called where the function would be.
        ttl: Seconds that a result is good for; None where the decorator does not say.
    """

    def __init__(
        self,
        tier: Tier,
        function: Callable[..., Coroutine[Any, Any, Any]],
        name: str,
        parameters: Sequence[inspect.Parameter],
        ttl: float | None,
        keyed: bool,
        takes_keys: bool = False,
        keeps_absence: bool = False,
    ) -> None:
        self.function = function
        self.name = name
        self.parameters = parameters
        self.ttl = ttl
        self.keyed = keyed
        self.takes_keys = takes_keys
        self.keeps_absence = keeps_absence
        self._decorated: Any = None
        self._plain: Any = None
        self._marked = False
        self._resolved = False
        self.has_own_cache = False
        self.loader = cast(ManyTier, tier).attach_many(self) if takes_keys else tier.attach(self)

    def bind(self, decorated: Any, own: bool, resolved: bool, decorate: Callable[[Any], Any]) -> None:
        """Take the decorated function, when it is there.

        Args:
            decorated: The function.
            own: Whether its cache was made for it.
            resolved: Whether it has a function that finds its cache.
            decorate: Decorates the function in the same way with another cache.
        """
        self._decorated, self._resolved = decorated, resolved
        if own and not resolved:
            self._plain, self.has_own_cache = decorated, True
            return
        # Keys in a cache that others use as well may have a mark in them, which depends on who came
        # first.  A cache of nobody else's makes keys without.
        nowhere = LRUCache[Any, Any](0)
        self._marked = resolved and not self.keyed
        self._plain = decorate(_Always(nowhere) if resolved else nowhere)

    def key(self, *args: Any, **kwargs: Any) -> Any:
        """The key of a call, by its arguments alone."""
        key = self._plain.cache_key(*args, **kwargs)
        return key[1:] if self._marked else key

    def cache_key(self, *args: Any, **kwargs: Any) -> Any:
        """The key of a call in the cache in memory."""
        return self._decorated.cache_key(*args, **kwargs)

    def cache(self, *args: Any) -> MutableMapping[Any, Any]:
        """The cache in memory that a call with these arguments uses.

        Raises:
            TypeError: For one that cannot keep a load from being stored.
        """
        cache: Any = self._decorated.cache
        if self._resolved:
            cache = cache(args[0])
            check_cache(cache, self.name)
        mapping: MutableMapping[Any, Any] = cache
        return mapping

    def split(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[int | str, list[Any]]:
        """Where the keys are in a call for several, by position or by name, and the keys."""
        for position, argument in enumerate(args[:_FIRST_PARAMETERS]):
            if type(argument) is list:  # an instance is of a class of its own
                return position, cast(Any, argument)
        name = next(parameter.name for parameter in self.parameters if parameter.name in kwargs)
        return name, kwargs[name]

    def limit(self, key: Any, cache: MutableMapping[Any, Any], seconds: float) -> None:
        """Let the value that the present load of a cache's key returns be kept no longer than this."""
        if not limit_load(cache, key, seconds):  # a subclass, which stores in a way of its own
            asyncio.get_running_loop().call_later(max(0.0, seconds), _expire, weakref.ref(cache), key)


class _Always:
    """Resolves every instance to one cache."""

    def __init__(self, cache: MutableMapping[Any, Any]) -> None:
        self._cache = cache

    def __call__(self, _instance: object) -> MutableMapping[Any, Any]:
        return self._cache


def check_cache(cache: object, name: str) -> None:
    """Raise TypeError for a cache whose changes are not noticed by the loads under way."""
    if not isinstance(cache, Cache):
        raise TypeError(
            f"{name}(): a tier needs a cache of aiocachetools, which knows the loads under way, not "
            f"{type(cache).__qualname__}"
        )


def _expire(cache_ref: "weakref.ref[Any]", key: Any) -> None:
    cache = cache_ref()
    if cache is not None:
        cache.pop(key, None)
