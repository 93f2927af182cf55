"""Tags: names by which entries of any number of functions are made invalid together."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any, cast

from ._core import invalidate_tags as _invalidate_names

__all__ = ("check_tags", "invalidate_tag", "invalidate_tags", "wants_value")


def invalidate_tag(name: str, /) -> None:
    """Make the entries of all functions and caches of this process that have a tag invalid.

    It takes the same time however many entries there are.  Loads that are under way are not stored:
    who waits for one gets its value, later calls start anew.

    Args:
        name: The tag.

    Raises:
        TypeError: For what is not a string.
    """
    if not isinstance(cast(Any, name), str):
        raise TypeError(
            f"invalidate_tag(): the name of a tag is a str, not {name!r}; for several use invalidate_tags()"
        )
    _invalidate_names([name])


def invalidate_tags(names: Iterable[str], /) -> None:
    """Make the entries of this process that have any of several tags invalid, as `invalidate_tag` does.

    Args:
        names: The tags.

    Raises:
        TypeError: For what is not an iterable of strings, a string among them.
    """
    if isinstance(names, str):
        raise TypeError(
            f"invalidate_tags(): names is an iterable of tags, not the str {names!r}: for one tag use "
            f"invalidate_tag({names!r})"
        )
    _invalidate_names(_names("invalidate_tags(): names must be an iterable of tags (str)", names))


def check_tags(decorator: str, tags: Any) -> tuple[str, ...] | Callable[..., Any] | None:
    """The option ``tags``, checked; None where it names none."""
    if callable(tags):
        function: Callable[..., Any] = tags
        return function
    must = f"{decorator}: tags must be a name (str), an iterable of names, or a function that returns them"
    return tuple([tags] if isinstance(tags, str) else _names(must, tags)) or None


def wants_value(tags: Any) -> bool:
    """Whether tags depend on the value: they are a function with a keyword-only parameter of that name."""
    if not callable(tags):
        return False
    try:
        parameter = inspect.signature(tags).parameters.get("value")
    except ValueError:
        return False
    return parameter is not None and parameter.kind is parameter.KEYWORD_ONLY


def _names(must: str, names: Any) -> list[str]:
    listed: list[Any] = [*names] if isinstance(names, Iterable) else [None]
    if not all(isinstance(name, str) for name in listed):
        raise TypeError(f"{must}, not {names!r}")
    return listed
