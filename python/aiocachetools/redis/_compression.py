"""Compressed payloads: only where it saves a tenth, and never larger than the reader allows."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal

__all__ = ("Compressor", "compress", "decompress", "find_compressor")

Compressor = tuple[int, Callable[[bytes], bytes]]

MIN_BYTES = 1024
_MAX_SHARE = 0.9
_NAMES = ("lz4", "zstd")


def find_compressor(name: Literal["lz4", "zstd"] | None) -> Compressor | None:
    """The number that the envelope knows the method by, and what does it.

    Raises:
        ValueError: For an unknown method.
        TypeError: For one whose library is not installed.
    """
    if name is None:
        return None
    if name not in _NAMES:
        raise ValueError(f"RedisTier: compression must be 'lz4', 'zstd' or None, not {name!r}")
    if name == "lz4":
        block = _library("lz4.block", "lz4")
        return 1, lambda data: block.compress(data, store_size=False)
    zstandard = _library("zstandard", "zstandard")
    return 2, lambda data: zstandard.ZstdCompressor().compress(data)


def compress(data: bytes, compressor: Compressor | None) -> tuple[int, bytes]:
    """The method's number and what it made of the data; 0 and the data where it is not worth it."""
    if compressor is None or len(data) < MIN_BYTES:
        return 0, data
    number, method = compressor
    compressed = method(data)
    return (number, compressed) if len(compressed) <= len(data) * _MAX_SHARE else (0, data)


def decompress(number: int, data: bytes, size: int) -> bytes:
    """The data of a method's number again, which is of the given size.

    Raises:
        ValueError: For data that is anything else, or a method that is not known or installed.
    """
    try:
        restored = _decompress(number, data, size)
    except Exception as error:  # each library has exceptions of its own
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if len(restored) != size:
        raise ValueError("the payload is not of the size that it claims")
    return restored


def _decompress(number: int, data: bytes, size: int) -> bytes:
    if number == 1:
        return _library("lz4.block", "lz4").decompress(data, uncompressed_size=size)  # type: ignore[no-any-return]
    if number == 2:
        reader = (
            _library("zstandard", "zstandard").ZstdDecompressor(max_window_size=1 << 27).stream_reader(data)
        )
        return reader.read(size + 1)  # type: ignore[no-any-return]
    raise ValueError(f"unknown compression {number}")


def _library(module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise TypeError(f"RedisTier: compression needs {package}: pip install {package}") from error
