"""Arguments as bytes: the same in every process, and different wherever a cache's keys are.

Two values have one encoding exactly where they are one key in memory: ``1``, ``1.0`` and ``True``
are, ``1`` and ``"1"`` are not.  Each encoding starts with a letter for its kind and tells where it
ends, so that a sequence of them can be taken apart in one way only.
"""

import dataclasses
import enum
import math
import struct
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, cast
from uuid import UUID

from cachetools.keys import hashkey

from aiocachetools._core import FunctionKey, InstanceKey

__all__ = ("NotEncodableError", "encode", "encode_all")

# What hashkey puts between positional and keyword arguments.
_KEYWORDS = type(hashkey())
_FLOAT = struct.Struct(">d")
# Integers of more bits than this are left in their exponential form.
_MAX_EXPONENT = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NotEncodableError(TypeError):
    """A value means nothing to another process."""


def _kind_of(value: object) -> Any:
    return type(value)


def encode(value: Any) -> bytes:
    """One value as bytes.

    Raises:
        NotEncodableError: For a value without an encoding; its text completes "it is ...".
    """
    encoder = _EXACT.get(_kind_of(value))
    return encoder(value) if encoder is not None else _encode_other(value)


def encode_all(values: Iterable[Any]) -> bytes:
    """Several values, one after the other."""
    return b"".join(map(encode, values))


def _encode_int(value: int) -> bytes:
    return b"i%x;" % value


def _encode_str(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return b"s%x:%b" % (len(data), data)


def _encode_bytes(value: bytes) -> bytes:
    return b"b%x:%b" % (len(value), value)


def _encode_float(value: float) -> bytes:
    if value.is_integer():
        return _encode_int(int(value))
    return b"f" + (_FLOAT.pack(value) if value == value else b"\xff" * 8)


def _encode_complex(value: complex) -> bytes:
    if value.imag == 0:
        return _encode_float(value.real)
    return b"c" + _encode_float(value.real) + _encode_float(value.imag)


def _encode_fraction(value: Fraction) -> bytes:
    if value.denominator == 1:
        return _encode_int(value.numerator)
    try:
        nearest = float(value)
    except OverflowError:
        nearest = math.inf
    if nearest == value:
        return _encode_float(nearest)
    return b"q" + _encode_int(value.numerator) + _encode_int(value.denominator)


def _encode_decimal(value: Decimal) -> bytes:
    if not value.is_finite():
        return _encode_float(float(value))
    sign, digits, exponent = value.as_tuple()
    if abs(value.adjusted()) <= _MAX_EXPONENT and abs(cast(int, exponent)) <= _MAX_EXPONENT:
        return _encode_fraction(Fraction(value))
    text = "".join(map(str, digits))
    significant = text.rstrip("0")
    if not significant:
        return _encode_int(0)
    exponent = cast(int, exponent) + len(text) - len(significant)
    return b"d" + _encode_int(-int(significant) if sign else int(significant)) + _encode_int(exponent)


def _encode_tuple(value: tuple[Any, ...]) -> bytes:
    return b"t%x:%b" % (len(value), encode_all(value))


def _encode_frozenset(value: frozenset[Any]) -> bytes:
    return b"z%x:%b" % (len(value), b"".join(sorted(map(encode, value))))


def _encode_datetime(value: datetime) -> bytes:
    if value.utcoffset() is None:
        return b"D" + _encode_str(value.replace(tzinfo=None, fold=0).isoformat())
    # Times of different zones are equal when they are the same instant.
    return b"U" + _encode_int((value - _EPOCH) // timedelta(microseconds=1))


def _encode_date(value: date) -> bytes:
    return b"A" + _encode_int(value.toordinal())


def _encode_time(value: time) -> bytes:
    since_midnight = timedelta(
        hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond
    )
    offset = value.utcoffset()
    kind = b"h" if offset is None else b"H"
    return kind + _encode_int((since_midnight - (offset or timedelta())) // timedelta(microseconds=1))


def _encode_timedelta(value: timedelta) -> bytes:
    return b"l" + _encode_int(value // timedelta(microseconds=1))


def _encode_uuid(value: UUID) -> bytes:
    return b"u" + value.bytes


def _encode_class(value: type[Any]) -> bytes:
    if value is _KEYWORDS:
        return b"K"
    module, name = value.__module__, value.__qualname__
    if "<locals>" in name:
        raise NotEncodableError(
            f"of a class made inside a function ({name}), which no other process can tell from its like"
        )
    return b"T" + _encode_str(module) + _encode_str(name)


_EXACT: dict[type[Any], Callable[[Any], bytes]] = {
    int: _encode_int,
    str: _encode_str,
    bytes: _encode_bytes,
    bool: _encode_int,
    float: _encode_float,
    complex: _encode_complex,
    Decimal: _encode_decimal,
    Fraction: _encode_fraction,
    tuple: _encode_tuple,
    _KEYWORDS: _encode_tuple,
    frozenset: _encode_frozenset,
    datetime: _encode_datetime,  # before date, which it is a subclass of
    date: _encode_date,
    time: _encode_time,
    timedelta: _encode_timedelta,
    UUID: _encode_uuid,
    type(None): lambda _: b"N",
    type(Ellipsis): lambda _: b"E",
    # Stands for a default value that has no hash.
    FunctionKey: lambda _: b"F",
}

# Those whose subclasses are equal to them, unless they say otherwise.
_BASES: tuple[Any, ...] = tuple(
    kind for kind in _EXACT if kind not in (type(None), type(Ellipsis), FunctionKey)
)


def _encode_other(value: Any) -> bytes:
    kind = _kind_of(value)
    if kind is InstanceKey:
        raise NotEncodableError("an instance, known by its identity, which no other process shares")
    if isinstance(value, type):
        return _encode_class(cast(type[Any], value))
    for base in _BASES:
        if isinstance(value, base) and kind.__eq__ is base.__eq__ and kind.__hash__ is base.__hash__:
            return _EXACT[base](value)
    if isinstance(value, enum.Enum) and kind.__eq__ is object.__eq__:
        member: Any = value.name  # None for a combination of flags
        return b"e" + _encode_class(kind) + encode(value.value if member is None else member)
    if _compares_by_fields(kind):
        return b"o" + _encode_class(kind) + _encode_tuple(_fields_of(value))
    raise NotEncodableError(f"a {kind.__module__}.{kind.__qualname__}, which has no encoding")


def _compares_by_fields(kind: Any) -> bool:
    if dataclasses.is_dataclass(kind):
        return bool(cast(Any, kind).__dataclass_params__.eq)
    config = getattr(kind, "__struct_config__", None)  # msgspec.Struct
    return config is not None and bool(config.eq)


def _fields_of(value: Any) -> tuple[Any, ...]:
    if dataclasses.is_dataclass(value):
        return tuple(getattr(value, field.name) for field in dataclasses.fields(value) if field.compare)
    return tuple(getattr(value, name) for name in value.__struct_fields__)
