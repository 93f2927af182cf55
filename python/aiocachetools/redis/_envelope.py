"""What is stored under a value's key: a header, then the payload.  docs/redis-format.md has every byte."""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from . import _compression
from ._compression import Compressor

__all__ = (
    "Entry",
    "Marker",
    "beginning_of",
    "header_of",
    "is_version",
    "pack",
    "pack_marker",
    "pack_tags",
    "unpack",
)

MAGIC = 0xAC
VERSION = 1

VALUE = 0
UNCACHEABLE = 1

_HEADER = struct.Struct(">BBBBBB8s8sII")
_BEGINNING = struct.Struct(">BBBBBB8s")
_TAG = struct.Struct(">Q")
TAG_BYTES = _TAG.size
MAX_TAGS = 255
_MAX_DIGITS = 20


class Entry(NamedTuple):
    """An encoded result."""

    codec: int
    schema: bytes
    stale_ms: int
    """The result should be loaded anew when its key has no more milliseconds to live than this."""
    nonce: bytes
    """Eight bytes that no other entry of the key has."""
    tags: bytes
    """The versions of its tags, in the order of the function's tags."""
    payload: bytes


class Marker(NamedTuple):
    """Stands in place of a result that is not stored."""

    kind: int


def is_version(data: bytes) -> bool:
    """Whether it is the version of a tag."""
    return len(data) < _MAX_DIGITS and data.isdigit()


def pack_tags(versions: Sequence[bytes]) -> bytes:
    """The versions of an entry's tags, which are decimal numbers, as they are stored and compared.

    Raises:
        ValueError: For what is no version.
    """
    if not all(map(is_version, versions)):
        raise ValueError("not the version of a tag")
    return b"".join(_TAG.pack(int(version)) for version in versions)


def pack(entry: Entry, compressor: Compressor | None = None) -> bytes:
    """An entry as bytes."""
    method, payload = _compression.compress(entry.payload, compressor)
    header = _HEADER.pack(
        MAGIC,
        VERSION,
        VALUE,
        entry.codec,
        method,
        len(entry.tags) // TAG_BYTES,
        entry.schema,
        entry.nonce,
        entry.stale_ms,
        len(entry.payload),
    )
    return header + entry.tags + payload


def pack_marker(kind: int, nonce: bytes) -> bytes:
    """A marker as bytes."""
    return _HEADER.pack(MAGIC, VERSION, kind, 0, 0, 0, bytes(8), nonce, 0, 0)


def unpack(data: bytes, max_bytes: int) -> Entry | Marker:
    """What `pack` or `pack_marker` has made bytes of.

    Raises:
        ValueError: For any other bytes, and for a payload of more than ``max_bytes``.
    """
    if len(data) < _HEADER.size:
        raise ValueError("too short for an envelope")
    magic, version, kind, codec, method, tags, schema, nonce, stale_ms, size = _HEADER.unpack_from(data)
    if magic != MAGIC or version != VERSION:
        raise ValueError("not an envelope of this version")
    if kind == UNCACHEABLE:
        return Marker(kind)
    if kind != VALUE:
        raise ValueError(f"unknown kind {kind}")
    if size > max_bytes:
        raise ValueError(f"a payload of {size} bytes, which are more than {max_bytes}")
    start = _HEADER.size + tags * TAG_BYTES
    payload = data[start:]
    if method:
        payload = _compression.decompress(method, payload, size)
    elif len(payload) != size:
        raise ValueError("the payload is not of the size that it claims")
    return Entry(codec, schema, stale_ms, nonce, data[_HEADER.size : start], payload)


def beginning_of(codec: int, schema: bytes) -> bytes:
    """What every entry begins with that has this codec and schema, no tags, and a payload as it is."""
    return _BEGINNING.pack(MAGIC, VERSION, VALUE, codec, 0, 0, schema)


def header_of(data: bytes) -> bytes:
    """The part of a stored string by which another one of the same key is told from it."""
    return data[: _HEADER.size]
