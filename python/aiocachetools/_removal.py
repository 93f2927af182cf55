"""Why an entry leaves a native cache, as its removal listener is told."""

from enum import StrEnum

__all__ = ("RemovalCause",)


class RemovalCause(StrEnum):
    """Why an entry left a cache; each member is also the string that is its value."""

    EXPLICIT = "explicit"
    """The user removed it: ``del``, ``pop``, ``popitem``, ``clear``, an invalidation."""
    REPLACED = "replaced"
    """A new value took its place."""
    EXPIRED = "expired"
    """Its time was up."""
    SIZE = "size"
    """It was evicted to make room."""
