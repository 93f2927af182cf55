"""Values as bytes, and back: never another type, and never anything that runs."""

import hashlib
import hmac
import inspect
import pickle
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, cast

import msgspec

from ._lossless import difference

__all__ = ("Codec", "DecodeError", "EncodeError", "SignedPickle", "check_codec", "make_codec")

_SCHEMA_BYTES = 8
_MIN_SECRET_BYTES = 16
_KEY_AND_VALUE = 2
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class DecodeError(ValueError):
    """Bytes that are not a value of the type that is wanted."""


class EncodeError(TypeError):
    """A value that would not come back as it is; the text says in what way."""


class Codec(Protocol):
    """Encodes the results of one function."""

    number: int
    """What the envelope knows the codec by."""
    schema: bytes
    """Eight bytes that change with the type of the results."""

    @property
    def loads(self) -> Callable[[bytes], Any] | None:
        """Decodes whatever the key, and raises anything; None where the key has to be known."""
        ...

    def encode(self, value: Any, key: bytes) -> bytes:
        """The value as bytes that mean something under this key.

        Raises:
            EncodeError: For a value that would not come back as it is.
        """
        ...

    def decode(self, data: bytes, key: bytes) -> Any:
        """The value again.

        Raises:
            DecodeError: For bytes that this codec has not made for this key and type.
        """
        ...


class SignedPickle:
    """Pickle, for results that nothing else can encode: signed, and read only where the signature holds.

    Unpickling runs what the bytes say, so that whoever knows a secret can run code in every
    process that reads with it.  Signatures are HMAC-SHA-256 of the cache key and the pickle.

    Args:
        secret: At least 16 random bytes, which only those processes know.
        retired: Former secrets, which are still read with but no longer written with.
        protocol: The pickle protocol.
    """

    def __init__(self, secret: bytes, *retired: bytes, protocol: int = 5) -> None:
        for key in (secret, *retired):
            if not isinstance(key, bytes) or len(key) < _MIN_SECRET_BYTES:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ValueError(
                    f"SignedPickle(): a secret must be bytes, at least {_MIN_SECRET_BYTES} of them"
                )
        self._secrets = (secret, *retired)
        self._protocol = protocol

    def __repr__(self) -> str:
        return "SignedPickle(<secret>)"

    def dumps(self, value: Any, key: bytes) -> bytes:
        """The signature, then the pickle."""
        try:
            data = pickle.dumps(value, protocol=self._protocol)
        except Exception as error:  # whatever a __reduce__ raises
            raise EncodeError(str(error)) from error
        return _signature(self._secrets[0], data, key) + data

    def loads(self, data: bytes, key: bytes) -> Any:
        """The value of a pickle whose signature holds."""
        signature, pickled = data[:32], data[32:]
        if not any(hmac.compare_digest(_signature(s, pickled, key), signature) for s in self._secrets):
            raise DecodeError("the signature does not hold")
        try:
            return pickle.loads(pickled)
        except Exception as error:
            raise DecodeError(f"{type(error).__name__} while unpickling") from error


def _digest(schema: bytes) -> bytes:
    return hashlib.blake2b(schema, digest_size=_SCHEMA_BYTES).digest()


def _signature(secret: bytes, data: bytes, key: bytes) -> bytes:
    mac = hmac.new(secret, b"aiocachetools pickle 1", hashlib.sha256)
    mac.update(len(key).to_bytes(8, "big") + key)
    mac.update(data)
    return mac.digest()


class _CheckedCodec:
    """A codec driven by the type of the results, which reads everything that it writes once."""

    def __init__(
        self, number: int, schema: bytes, dumps: Callable[[Any], bytes], loads: Callable[[bytes], Any]
    ) -> None:
        self.number = number
        self.schema = _digest(schema)
        self._dumps = dumps
        self.loads = loads

    def encode(self, value: Any, key: bytes) -> bytes:
        try:
            data = self._dumps(value)
            found = difference(value, self.loads(data))
        except Exception as error:  # a codec's own, of many kinds
            raise EncodeError(str(error)) from error
        if found is not None:
            raise EncodeError(found)
        return data

    def decode(self, data: bytes, key: bytes) -> Any:
        try:
            return self.loads(data)
        except Exception as error:  # a codec's own, or that of a class it makes an instance of
            raise DecodeError(f"{type(error).__name__}: {error}") from error


def _msgpack(annotation: Any) -> Codec:
    schema = b"msgpack" + _schema_of(annotation)
    return _CheckedCodec(
        1, schema, msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder[Any](annotation).decode
    )


def _json(annotation: Any) -> Codec:
    schema = b"json" + _schema_of(annotation)
    return _CheckedCodec(
        2, schema, msgspec.json.Encoder().encode, msgspec.json.Decoder[Any](annotation).decode
    )


def _pydantic(annotation: Any) -> Codec:
    try:
        from pydantic import TypeAdapter
    except ImportError as error:
        raise TypeError("codec='pydantic' needs pydantic: pip install pydantic") from error
    adapter = TypeAdapter[Any](annotation)
    schema = b"pydantic" + msgspec.json.encode(adapter.json_schema(), order="sorted")
    return _CheckedCodec(3, schema, adapter.dump_json, adapter.validate_json)


class _PickleCodec:
    number = 4
    loads = None

    def __init__(self, signed: SignedPickle, annotation: Any) -> None:
        self.schema = _digest(b"pickle" + _describe(annotation))
        self.encode = signed.dumps
        self.decode = signed.loads


_BY_NAME: dict[str, Callable[[Any], Codec]] = {"msgpack": _msgpack, "json": _json, "pydantic": _pydantic}


def check_codec(codec: object) -> None:
    """Raise ValueError for what `make_codec` does not know."""
    if not isinstance(codec, SignedPickle) and codec not in _BY_NAME:
        raise ValueError(
            f"RedisTier: codec must be one of {', '.join(map(repr, _BY_NAME))} or a SignedPickle, not {codec!r}"
        )


def make_codec(
    codec: str | SignedPickle, function: Callable[..., Any], name: str, *, of_values: bool = False
) -> Codec:
    """The codec of a function's results, by its return annotation; or of the values of the mappings that it returns.

    Raises:
        TypeError: For an annotation that the codec cannot restore, or that names what is not there.
    """
    annotation = _return_annotation(function, name)
    if of_values:
        annotation = _values_of(annotation)
    if isinstance(codec, SignedPickle):
        return _PickleCodec(codec, annotation)
    try:
        return _BY_NAME[codec](annotation)
    except Exception as error:  # a codec's own, of many kinds
        raise TypeError(f"{name}(): codec={codec!r} cannot restore {annotation!r}: {error}") from error


def _return_annotation(function: Callable[..., Any], name: str) -> Any:
    function = inspect.unwrap(function)
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise TypeError(f"{name}(): the annotations cannot be resolved: {error}") from error
    except TypeError:  # what has no annotations, such as a partial
        return Any
    return hints.get("return", Any)


def _values_of(annotation: Any) -> Any:
    """The type of the values of an annotated mapping."""
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    is_mapping = isinstance(origin, type) and issubclass(origin, Mapping)
    return arguments[1] if is_mapping and len(arguments) == _KEY_AND_VALUE else Any


def _describe(annotation: Any) -> bytes:
    return _ADDRESS.sub("", repr(annotation)).encode("utf-8", "surrogatepass")


def _schema_of(annotation: Any) -> bytes:
    """All that an annotation says, the fields of its classes included.

    Raises:
        TypeError: For one that has a class whose instances msgspec cannot restore.
    """
    try:
        return _describe(annotation) + msgspec.json.encode(msgspec.json.schema(annotation), order="sorted")
    except TypeError:
        # JSON Schema is narrower than msgpack; what it cannot say, the name has to.
        _refuse_custom(msgspec.inspect.type_info(annotation))
        return _describe(annotation)


def _refuse_custom(info: Any) -> None:
    seen: set[int] = set()
    pending = [info]
    while pending:
        info = pending.pop()
        if id(info) in seen:
            continue
        seen.add(id(info))
        if isinstance(info, msgspec.inspect.CustomType):
            raise TypeError(
                f"{info.cls!r} is of a kind that it does not know; choose another: tier.using(codec='pydantic') or "
                f"tier.using(codec=SignedPickle(secret))"
            )
        if isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field):
            pending += [part for name in info.__struct_fields__ for part in _parts(getattr(info, name))]


def _parts(value: object) -> Iterable[object]:
    return cast(Iterable[object], value) if isinstance(value, tuple) else (value,)
