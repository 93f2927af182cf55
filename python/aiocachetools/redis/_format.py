"""How one function's results are kept in Redis: under which keys, in which envelopes."""

import inspect
from collections.abc import Sequence
from time import monotonic
from typing import Any, NamedTuple, cast

from loguru import logger

from aiocachetools._core import PlainFormat
from aiocachetools._missing import ABSENT
from aiocachetools._tier import TieredFunction

from . import _envelope
from ._codecs import Codec, DecodeError, EncodeError, make_codec
from ._encoding import NotEncodableError, encode
from ._envelope import Entry, Marker
from ._keys import FunctionKeys, identity_of, tag_key
from ._options import FunctionOptions, LinkOptions

__all__ = ("Format", "Found")

FOREVER = float("inf")
# The codec of an entry that says that there is no value.
NO_VALUE = 0


class Found(NamedTuple):
    """What a read has found."""

    value: Any = None
    usable: bool = False
    """There is a value."""
    stale: bool = False
    """The value should be loaded anew."""
    uncacheable: bool = False
    """Each process loads for itself."""
    seconds: float = FOREVER
    """How long it is good for."""
    refused: bytes | None = None
    """The header of what is there and cannot be used, or not any more."""
    tags: Sequence[bytes | None] = ()
    """The versions of the tags."""

    @property
    def fresh(self) -> bool:
        """There is a value that need not be loaded anew."""
        return self.usable and not self.stale


class Format:
    """The keys and envelopes of one function.

    Args:
        tiered: The function, as the decorator tells of it.
        options: The function's options.
        shared: The tier's.

    Raises:
        TypeError: For a function without a name of its own.
    """

    def __init__(self, tiered: TieredFunction, options: FunctionOptions, shared: LinkOptions) -> None:
        self.name = tiered.name
        self._tiered = tiered
        self._options = options
        self._prefix = shared.prefix
        self._max_bytes = shared.max_bytes
        parameters = () if tiered.keyed else tiered.parameters
        identity = options.name or identity_of(tiered.function)
        self._keys = FunctionKeys(shared.prefix, identity, options.version, parameters)
        self.beginning, self.pattern = self._keys.beginning, self._keys.pattern
        ttl = options.ttl if tiered.ttl is None else tiered.ttl
        self.seconds = ttl
        self._longest = ttl + options.stale
        self.ttl_ms = int(self._longest * 1000)
        self._stale_ms = int(options.stale * 1000)
        self._compressor = options.compressor
        self._fixed_tags = None if callable(options.tags) else self._tag_keys(options.tags)
        self._codec_made: Codec | None = None
        self._plain: PlainFormat | None = None

    def _codec(self) -> Codec:
        # Made at the first use: annotations may name what is defined after the function.
        if self._codec_made is None:
            codec = self._codec_made = make_codec(
                self._options.codec, self._tiered.function, self.name, of_values=self._tiered.takes_keys
            )
            if codec.loads is not None:
                beginning = _envelope.beginning_of(codec.number, codec.schema)
                self._plain = PlainFormat(beginning, codec.loads, self._max_bytes, self._longest)
        return self._codec_made

    def plain(self) -> PlainFormat | None:
        """What reads an entry that is neither compressed nor tagged; None where its key has to be known."""
        self._codec()
        return self._plain

    def key(self, key: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """Where the value of a call is, by its key in memory.

        Raises:
            TypeError: For an argument that means nothing to another process, naming it.
        """
        try:
            return self._keys.of(key)
        except NotEncodableError as error:
            raise TypeError(self._complaint(args, kwargs, error)) from error

    def tags(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bytes, ...]:
        """The keys of a call's tags."""
        if self._fixed_tags is not None:
            return self._fixed_tags
        names: Any = self._options.tags
        return self._tag_keys(names(*args, **kwargs))

    def _tag_keys(self, tags: Any) -> tuple[bytes, ...]:
        keys = tuple(tag_key(self._prefix, tag) for tag in tags)
        if len(keys) > _envelope.MAX_TAGS:
            raise ValueError(f"{self.name}(): {len(keys)} tags are more than {_envelope.MAX_TAGS}")
        return keys

    def _complaint(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: NotEncodableError) -> str:
        if self._tiered.keyed:
            return f"{self.name}(): the key function's answer has {error}; let it answer with plain values"
        parameter = self._parameter_of(args, kwargs)
        return (
            f"{self.name}(): {parameter!r} is {error}, and cannot be part of a key that processes share; leave it "
            f"out with ignore=({parameter!r},), or make the key of something else with key="
        )

    def _parameter_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """The name of the argument that has no encoding: the instance's, if all others have one."""
        bound = inspect.Signature(self._tiered.parameters).bind(*args, **kwargs)
        first, *others = bound.arguments
        for name in others:
            value = bound.arguments[name]
            try:
                encode(tuple(cast(dict[str, Any], value).items()) if isinstance(value, dict) else value)
            except NotEncodableError:
                return name
        return first

    def pack(self, value: Any, key: bytes, nonce: bytes, tags: Sequence[bytes]) -> bytes | None:
        """A value as it is stored; a marker for one that is too large, None where there is nothing to share.

        Raises:
            TypeError: For one that would not come back as it is.
        """
        codec = self._codec()
        if value is ABSENT:
            if not self._tiered.keeps_absence:
                return None
            absence = Entry(NO_VALUE, codec.schema, self._stale_ms, nonce, _envelope.pack_tags(tags), b"")
            return _envelope.pack(absence)
        try:
            payload = codec.encode(value, key)
        except EncodeError as error:
            raise TypeError(
                f"{self.name}(): the result cannot be shared as it is: {error}; return what the annotation says, annotate "
                f"what is returned, or choose another codec: tier.using(codec='pydantic'), "
                f"tier.using(codec=SignedPickle(secret))"
            ) from error
        if len(payload) > self._max_bytes:
            logger.warning("redis tier: a result of {}() has {} bytes: not shared", self.name, len(payload))
            return _envelope.pack_marker(_envelope.UNCACHEABLE, nonce)
        versions = _envelope.pack_tags(tags)
        entry = Entry(codec.number, codec.schema, self._stale_ms, nonce, versions, payload)
        return _envelope.pack(entry, self._compressor)

    def read(self, reply: Sequence[Any], key: bytes, asked: float) -> Found:
        """What is said by a value, its milliseconds to live and the versions of its tags.

        Args:
            reply: All of these.
            key: Where the value is.
            asked: When the server was asked, by `time.monotonic`.
        """
        data, ttl_ms = reply[0], reply[1]
        versions: Sequence[Any] = reply[2:]
        if data is None:
            return Found(tags=versions)
        seconds = ttl_ms / 1000
        if not 0 <= seconds < self._longest:
            seconds = self._longest
        seconds -= monotonic() - asked
        try:
            codec, plain = self._codec(), self._plain
            read = plain.read(data) if plain is not None and not versions else None
            if read is not None:
                stale_ms, value = read
            else:
                envelope = _envelope.unpack(data, self._max_bytes)
                if isinstance(envelope, Marker):
                    return Found(uncacheable=True, seconds=seconds, tags=versions)
                stale_ms = envelope.stale_ms
                value = self._value_of(envelope, versions, key, codec)
        except ValueError as error:
            logger.debug("redis tier: {!r} cannot be used: {}", key, error)
            return Found(refused=_envelope.header_of(data), tags=versions)
        spare = stale_ms / 1000
        if spare and seconds <= spare:
            return Found(value, True, True, False, seconds, _envelope.header_of(data), versions)
        return Found(value, True, False, False, seconds - spare, None, versions)

    def _value_of(self, entry: Entry, versions: Sequence[bytes | None], key: bytes, codec: Codec) -> Any:
        if entry.codec != codec.number and not (entry.codec == NO_VALUE and self._tiered.keeps_absence):
            raise DecodeError("of another codec")
        if entry.schema != codec.schema:
            raise DecodeError("of another type")
        if entry.tags or versions:
            _check_tags(entry.tags, versions)
        if entry.codec == NO_VALUE:
            return ABSENT
        return codec.decode(entry.payload, key)


def _check_tags(stored: bytes, versions: Sequence[bytes | None]) -> None:
    present = [version for version in versions if version is not None]
    if len(present) != len(versions) or stored != _envelope.pack_tags(present):
        raise DecodeError("a tag was invalidated")
