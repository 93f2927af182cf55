"""What is counted of a tier's use."""

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ("Counts", "TierStats")


class TierStats(NamedTuple):
    """What one function's loads in this process came to.

    ``hits`` found a value in the tier, ``misses`` did not.  ``loads`` ran the function, of which
    ``unshared`` were without the tier's help while it was unavailable; ``waits`` waited for another
    process's load; ``stale`` were served a value past its time; ``repeated`` reads were made again
    because the key changed meanwhile; ``refused`` values were not stored, since they were
    invalidated while they were read or loaded; ``errors`` are loads that raised.
    """

    hits: int
    misses: int
    loads: int
    unshared: int
    waits: int
    stale: int
    repeated: int
    refused: int
    errors: int


@dataclass(slots=True)
class Counts:
    """The same, being counted."""

    hits: int = 0
    misses: int = 0
    loads: int = 0
    unshared: int = 0
    waits: int = 0
    stale: int = 0
    repeated: int = 0
    refused: int = 0
    errors: int = 0

    def read(self) -> TierStats:
        """The present numbers."""
        return TierStats(*(getattr(self, name) for name in TierStats._fields))
