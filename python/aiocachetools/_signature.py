"""What a function takes, and whether it may be cached at all."""

import asyncio
import functools
import inspect
import sys
from collections.abc import Callable, Iterable
from typing import Any

# Not a parameter of a plain function or a static method, but one ``ignore`` for a whole class
# of methods names both.
_OWNERS = frozenset({"self", "cls"})


async def _coroutine_function() -> None:
    """Stands in for the code of a coroutine function that has none, such as a partial."""


def check_coroutine_function(function: object, decorator: str) -> None:
    """Raise TypeError for what is not a coroutine function, saying what it is instead."""
    if is_coroutine_function(function):
        return
    if inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{decorator}: {name_of(function)}() is an async generator function; what it yields cannot be "
            f"cached as one result: cache a coroutine function that collects it, e.g. into a list"
        )
    raise TypeError(
        f"Expected Coroutine function, got {function!r}: {decorator} caches the results of coroutine "
        f"functions (`async def`); for a plain function use functools.lru_cache or cachetools.cached"
    )


def is_coroutine_function(function: object) -> bool:
    """Whether a call of the object returns a coroutine."""
    if inspect.iscoroutinefunction(function):
        return True
    # Before 3.12 the mark that asyncio looks for is one that inspect does not know.
    return sys.version_info < (3, 12) and asyncio.iscoroutinefunction(function)


def name_of(function: Any) -> str:
    """The qualified name of a function, or of what a partial calls."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else type(function).__qualname__


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a function; anything at all for one that does not tell."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return [
            inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
            inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
        ]


def check_ignore(
    ignore: str | Iterable[str], parameters: Iterable[inspect.Parameter], function: object, decorator: str
) -> frozenset[str]:
    """The ignored names, each of which is a parameter."""
    names = frozenset([ignore] if isinstance(ignore, str) else ignore)
    existing = [parameter.name for parameter in parameters]
    unknown = sorted(repr(name) for name in names if name not in existing and name not in _OWNERS)
    if unknown:
        raise TypeError(
            f"{decorator}: ignore names {', '.join(unknown)}, which {name_of(function)}() does not have; its "
            f"parameters are {', '.join(map(repr, existing)) or 'none'}"
        )
    return names


def mark_coroutine_function(decorated: Any, function: Any) -> None:
    """Let ``iscoroutinefunction`` of inspect and asyncio know what the object is."""
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(decorated)
    else:
        decorated._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
    if not hasattr(function, "__code__"):
        decorated.__code__ = _coroutine_function.__code__
        decorated.__defaults__ = decorated.__kwdefaults__ = None
    if not isinstance(getattr(decorated, "__name__", None), str):
        decorated.__qualname__ = name_of(function)
        decorated.__name__ = decorated.__qualname__.rpartition(".")[2]
    if not hasattr(decorated, "__annotations__"):
        decorated.__annotations__ = {}
