"""What stands for a key that has no value, as `cached_many` sees it."""

from collections.abc import Awaitable, Mapping
from typing import Any, Final, final

__all__ = ("ABSENT", "MissingKeyError")


class MissingKeyError(KeyError):
    """A function of several keys returned nothing for some that it was asked for.

    Attributes:
        function: The function's qualified name.
        keys: The keys, in the order in which they were asked for.
    """

    def __init__(self, function: str, keys: tuple[Any, ...]) -> None:
        super().__init__(function, keys)
        self.function = function
        self.keys = keys

    def __str__(self) -> str:
        named = ", ".join(map(repr, self.keys[:10])) + (", ..." if len(self.keys) > 10 else "")
        return f"{self.function}() returned nothing for {named}"


@final
class _Absent:
    """The type of `ABSENT`."""

    def __repr__(self) -> str:
        return "aiocachetools.ABSENT"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
"""What a cache has for a key that is known to have no value (``missing="absent"``)."""


async def one_of(
    loading: Awaitable[Mapping[Any, Any]], key: object, default: object, function: str
) -> object:
    """The value of the only key of a load, while caching is off."""
    value = (await loading).get(key, default)
    if value is ABSENT:
        raise MissingKeyError(function, (key,))
    return value
