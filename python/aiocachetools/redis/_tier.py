"""`RedisTier`, what users give to ``tier=``."""

import dataclasses
import secrets
from collections.abc import Callable, Coroutine
from datetime import timedelta
from types import MethodType
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, cast, overload

from aiocachetools._core import BoundFunction
from aiocachetools._tier import Loader, TieredFunction

from ._adapter import ClientAdapter, check_client
from ._address import Address
from ._client import Client
from ._codecs import SignedPickle
from ._function import RedisFunction
from ._keys import tag_key
from ._links import Links
from ._load import TAG_MS
from ._many import RedisManyFunction
from ._native import NativeClient
from ._options import FunctionOptions, LinkOptions, Tags, seconds
from ._stats import TierStats

__all__ = ("RedisTier",)

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Compression = Literal["lz4", "zstd"] | None

_UNSET: Any = object()


class _OfKeys(Protocol[P, R_co]):
    """A function of several keys, which is known by what it has for one."""

    def one(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]: ...


class RedisTier:
    """A cache in Redis or Valkey that several processes share, behind each one's own in memory.

    Give it to ``cached(tier=...)``.  A key that is in no process's memory is read from the server;
    one that is not there either is loaded by one process, while the others wait.

    Args:
        server: ``redis://``, ``rediss://`` or ``unix://`` and what follows, or an asyncio client of redis-py or
            valkey-py, which stays yours to close.
        prefix: What all keys begin with.
        ttl: Seconds that a value is good for, where the decorator does not say.
        l1_ttl: At most so many seconds of them in memory; None for no further limit.
        stale: Seconds after that in which a value still serves while it is loaded anew, or when that fails.
        lease: Seconds after which another process takes over from one that died while loading.
        codec: How values become bytes, by the function's return annotation: ``"msgpack"``, ``"json"``,
            ``"pydantic"``, or a `SignedPickle`.
        compression: ``"lz4"`` or ``"zstd"`` for values above a kilobyte.
        deadline: Seconds that an answer may take, before the server counts as not there.
        max_unverified: Seconds that values are kept in memory while changes cannot be heard of.
        strict: Drop them at once instead.
        max_bytes: Larger values are not shared; what claims to be larger is not read.

    Raises:
        ValueError: For a value that an option does not have.
    """

    def __init__(
        self,
        server: Any,
        *,
        prefix: str = "aiocachetools",
        ttl: float | timedelta = 3600,
        l1_ttl: float | timedelta | None = None,
        stale: float | timedelta = 0,
        lease: float | timedelta = 5,
        codec: Literal["msgpack", "json", "pydantic"] | SignedPickle = "msgpack",
        compression: Compression = None,
        deadline: float | timedelta = 0.25,
        max_unverified: float | timedelta = 5,
        strict: bool = False,
        max_bytes: int = 16 << 20,
    ) -> None:
        shared = LinkOptions(
            prefix=prefix,
            deadline=seconds(deadline),
            max_unverified=seconds(max_unverified),
            strict=strict,
            max_bytes=max_bytes,
        )
        self._links = Links(_client_maker(server, shared), shared)
        self._options = FunctionOptions(
            ttl=seconds(ttl),
            l1_ttl=None if l1_ttl is None else seconds(l1_ttl),
            stale=seconds(stale),
            lease=seconds(lease),
            name=None,
            version=1,
            codec=codec,
            compression=compression,
            tags=(),
        )

    def using(
        self,
        *,
        name: str = _UNSET,
        version: int | str = _UNSET,
        ttl: float | timedelta = _UNSET,
        l1_ttl: float | timedelta | None = _UNSET,
        stale: float | timedelta = _UNSET,
        lease: float | timedelta = _UNSET,
        codec: Literal["msgpack", "json", "pydantic"] | SignedPickle = _UNSET,
        compression: Compression = _UNSET,
        tags: Tags = _UNSET,
    ) -> "RedisTier":
        """The same tier, on the same connections, with other options for one function.

        Args:
            name: The function's name in every process; its module and qualified name by default.
            version: To be changed with the meaning of the results.
            tags: Names that its results can be invalidated by, or a function of the arguments that gives them.
            ttl: As of the tier, like all the others.
        """
        given = {
            "name": name, "version": version, "ttl": ttl, "l1_ttl": l1_ttl, "stale": stale,
            "lease": lease, "codec": codec, "compression": compression, "tags": tags,
        }  # fmt: skip
        changes: dict[str, Any] = {
            option: seconds(value) if isinstance(value, timedelta) else value
            for option, value in given.items()
            if value is not _UNSET
        }
        tier = object.__new__(type(self))
        tier._links = self._links
        tier._options = dataclasses.replace(self._options, **changes)
        return tier

    def attach(self, function: TieredFunction) -> Loader:
        """What is called in place of a function on a miss."""
        return RedisFunction(self._links, self._options, function).loader

    def attach_many(self, function: TieredFunction) -> Loader:
        """The same, for a function of several keys."""
        return RedisManyFunction(self._links, self._options, function).load

    @overload
    async def invalidate(self, function: _OfKeys[P, R], /, *args: P.args, **kwargs: P.kwargs) -> bool: ...
    @overload
    async def invalidate(
        self, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> bool: ...
    async def invalidate(self, function: Any, /, *args: Any, **kwargs: Any) -> bool:
        """Remove the value of a call in every process; whether the server had one.

        Of a function of several keys, the arguments have one key in the place of all.

        A load of it that is under way anywhere serves those who wait for it, and is not stored.

        Raises:
            TierUnavailableError: When the server does not answer.
        """
        bound, owner = _resolve(function)
        return await bound.invalidate((*owner, *args), kwargs)

    @overload
    async def put(self, function: _OfKeys[P, R], value: R, /, *args: P.args, **kwargs: P.kwargs) -> None: ...
    @overload
    async def put(
        self,
        function: Callable[P, Coroutine[Any, Any, R]],
        value: R,
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None: ...
    async def put(self, function: Any, value: Any, /, *args: Any, **kwargs: Any) -> None:
        """Store the value of a call for every process; it wins over loads under way.

        Raises:
            TierUnavailableError: When the server does not answer.
            TypeError: For a value that would not come back as it is.
        """
        bound, owner = _resolve(function)
        await bound.put(value, (*owner, *args), kwargs)

    async def clear(self, function: Callable[..., Coroutine[Any, Any, Any]], /) -> int:
        """Remove the values of all calls of a function in every process; how many the server had.

        It goes through all keys of the server: a tag is the cheaper way.

        Raises:
            TierUnavailableError: When the server does not answer.
        """
        bound, _ = _resolve(function)
        return await bound.clear()

    async def invalidate_tags(self, *tags: str) -> None:
        """Make the values of all calls with one of these tags invalid, in every process.

        Raises:
            TierUnavailableError: When the server does not answer.
        """
        link = self._links.get()
        for tag in tags:
            await link.bump(tag_key(self._links.options.prefix, tag), secrets.randbits(63), TAG_MS)

    def stats(self, function: Callable[..., Coroutine[Any, Any, Any]], /) -> TierStats:
        """What was counted of a function's loads in this process."""
        return _resolve(function)[0].stats()

    async def aclose(self) -> None:
        """Close the running loop's connection; a later call opens another."""
        await self._links.aclose()


def _resolve(function: Any) -> tuple[RedisFunction, tuple[Any, ...]]:
    """The part of a decorated function that deals with its tier, and the instance it is bound to."""
    owner: tuple[Any, ...] = ()
    if isinstance(function, BoundFunction | MethodType):
        bound_to = cast(Any, function)
        owner, function = (bound_to.__self__,), bound_to.__func__
    tiered = getattr(function, "cache_tier", None)
    bound = getattr(getattr(tiered, "loader", None), "__self__", None)
    if not isinstance(bound, RedisFunction):
        raise TypeError(f"{function!r} was not decorated with a RedisTier: cached(tier=...)")
    return bound, owner


def _client_maker(server: Any, options: LinkOptions) -> Callable[[bytes], Client]:
    channel = f"{options.prefix}!".encode()
    deadline = options.deadline
    if isinstance(server, str):
        address = Address.of(server)
        return lambda origin: NativeClient(
            address, deadline=deadline, channel=channel, origin=origin, max_bytes=options.max_bytes
        )
    check_client(server)
    return lambda origin: ClientAdapter(server, deadline=deadline, channel=channel, origin=origin)
