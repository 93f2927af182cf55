"""Whether a value came back from its encoding as it was: equal, and of the same types throughout."""

import dataclasses
import math
from collections.abc import Iterable
from datetime import datetime, time
from typing import Any, cast

__all__ = ("difference",)

# Types whose equal values cannot be told apart; of sequences of them C compares all at once.
_ATOMS: frozenset[type[Any]] = frozenset({int, str, bytes, bool, type(None)})


def _kind_of(value: object) -> Any:
    return type(value)


def difference(before: Any, after: Any, path: str = "the value") -> str | None:
    """What differs, in words; None if nothing does."""
    kind = _kind_of(before)
    if kind is not type(after):
        return f"{path} is {_name(kind)}, and comes back as {_name(_kind_of(after))}"
    if kind in _ATOMS:
        return None if before == after else _changed(path)
    if kind is float:
        same = (math.isnan(before) and math.isnan(after)) or (
            before == after and math.copysign(1, before) == math.copysign(1, after)
        )
        return None if same else _changed(path)
    if issubclass(kind, list | tuple):
        return _sequence_difference(before, after, path)
    if issubclass(kind, dict):
        return _mapping_difference(before, after, path)
    if issubclass(kind, set | frozenset):
        return _set_difference(before, after, path)
    names = _fields(kind, before)
    if names is not None:
        pairs = (
            (f"{path}.{name}", getattr(before, name, None), getattr(after, name, None)) for name in names
        )
        return _first(pairs)
    return _other_difference(before, after, path)


def _name(kind: type[Any]) -> str:
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _changed(path: str) -> str:
    return f"{path} comes back changed"


def _first(pairs: Iterable[tuple[str, Any, Any]]) -> str | None:
    return next((found for path, a, b in pairs if (found := difference(a, b, path)) is not None), None)


def _sequence_difference(before: Any, after: Any, path: str) -> str | None:
    if len(before) != len(after):
        return _changed(path)
    kinds = set(map(type, before))
    if len(kinds) == 1 and kinds <= _ATOMS and kinds == set(map(type, after)):
        return None if before == after else _changed(path)
    return _first((f"{path}[{i}]", a, b) for i, (a, b) in enumerate(zip(before, after, strict=True)))


def _mapping_difference(before: dict[Any, Any], after: dict[Any, Any], path: str) -> str | None:
    keys = _sequence_difference(list(before), list(after), f"{path}'s keys")
    return keys or _first((f"{path}[{key!r:.40}]", value, after[key]) for key, value in before.items())


def _set_difference(before: Any, after: Any, path: str) -> str | None:
    if before != after:
        return _changed(path)
    found = {item: item for item in after}
    return _first((f"{path}'s items", item, found[item]) for item in before)


def _fields(kind: Any, value: Any) -> tuple[str, ...] | None:
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    if hasattr(kind, "__struct_fields__"):  # msgspec.Struct
        return cast(tuple[str, ...], kind.__struct_fields__)
    if hasattr(kind, "model_fields"):  # pydantic.BaseModel
        return tuple(cast(dict[str, Any], vars(value)))
    attributes: Any = getattr(kind, "__attrs_attrs__", None)  # attrs
    return None if attributes is None else tuple(attribute.name for attribute in attributes)


def _other_difference(before: Any, after: Any, path: str) -> str | None:
    if before != after:
        return _changed(path)
    if isinstance(before, datetime | time) and (before.tzinfo != after.tzinfo or before.fold != after.fold):
        return f"{path} has the time zone {before.tzinfo!r}, and comes back with {after.tzinfo!r}"
    # What is equal may still show a difference: Decimal("1.0") and Decimal("1.00").
    return None if str(before) == str(after) else _changed(path)
