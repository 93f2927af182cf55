"""The options of a tier, checked."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ._codecs import SignedPickle, check_codec
from ._compression import Compressor, find_compressor
from ._keys import check_name

__all__ = ("FunctionOptions", "LinkOptions", "Tags", "seconds")

Tags = Iterable[str] | Callable[..., Iterable[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkOptions:
    """What is the same for all functions of a tier."""

    prefix: str
    deadline: float
    max_unverified: float
    strict: bool
    max_bytes: int

    def __post_init__(self) -> None:
        check_name("prefix", self.prefix)
        for name in ("deadline", "max_unverified", "max_bytes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"RedisTier: {name} must be more than 0, not {getattr(self, name)!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionOptions:
    """What each function may have its own of."""

    ttl: float
    l1_ttl: float | None
    stale: float
    lease: float
    name: str | None
    version: int | str
    codec: str | SignedPickle
    compression: Any
    tags: Tags

    def __post_init__(self) -> None:
        for name in ("ttl", "lease", "l1_ttl"):
            value = getattr(self, name)
            if value is not None and not value >= 0.001:
                raise ValueError(f"RedisTier: {name} must be at least a millisecond, not {value!r}")
        if not self.stale >= 0:
            raise ValueError(f"RedisTier: stale must be a number of seconds, not {self.stale!r}")
        if self.name is not None:
            check_name("name", self.name)
        check_codec(self.codec)
        find_compressor(self.compression)
        if isinstance(self.tags, str):
            raise TypeError(
                f"RedisTier: tags must be several names or a function of the arguments, not {self.tags!r}"
            )

    @property
    def compressor(self) -> Compressor | None:
        """What compresses payloads."""
        return find_compressor(self.compression)


def seconds(value: float | timedelta) -> float:
    """A time as seconds."""
    return value.total_seconds() if isinstance(value, timedelta) else value
