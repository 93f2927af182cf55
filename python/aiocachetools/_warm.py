"""Warm-up: many keys are loaded before traffic asks for them."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Iterable, Mapping, Sized
from typing import Any, NamedTuple, cast

__all__ = ("OnError", "OnProgress", "WarmUp", "warm", "warm_many")

# How many loads are under way at a time.
_CONCURRENCY = 10

# How many keys a function of several keys is asked for at a time where it has no `max_batch`.
_BATCH = 100


class WarmUp(NamedTuple):
    """How far a warm-up has come, in calls; of a function of several keys, in keys."""

    done: int = 0
    """Those that are over: loaded, cached or failed."""
    total: int | None = None
    """Those that there are, where the iterable says how many."""
    loaded: int = 0
    """Those that were loaded, or whose load somebody else had begun."""
    cached: int = 0
    """Those that were in the cache already."""
    failed: int = 0
    """Those whose load raised, or was cancelled by itself."""

    def after(self, loaded: int = 0, cached: int = 0, failed: int = 0) -> "WarmUp":
        """The same with some more that are over."""
        return WarmUp(
            self.done + loaded + cached + failed,
            self.total,
            self.loaded + loaded,
            self.cached + cached,
            self.failed + failed,
        )


OnProgress = Callable[[WarmUp], object]
OnError = Callable[[Any, Exception], object]

# What one task came to: how many were loaded, were cached, and failed, why, and what failed.
_Part = tuple[int, int, int, Exception | None, Any]
_Work = Callable[[list[Any]], Coroutine[Any, Any, _Part]]


def warm(
    function: Any,
    calls: Iterable[Any] | AsyncIterable[Any],
    concurrency: int | None,
    on_progress: OnProgress | None,
    on_error: OnError | None,
) -> Coroutine[Any, Any, WarmUp]:
    """What ``cache_warm`` of a function is."""
    load = _loader(function)

    async def one(part: list[Any]) -> _Part:
        call = part[0]
        args, kwargs = _arguments(call)
        try:
            if function.cache_contains(*args, **kwargs):
                return 0, 1, 0, None, call
            await _ended(function, load(*args, **kwargs))
        except Exception as error:
            return 0, 0, 1, error, call
        return 1, 0, 0, None, call

    return _Run(function, one, on_progress, on_error).over(calls, 1, concurrency)


def warm_many(
    function: Any,
    keys: Iterable[Any] | AsyncIterable[Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    concurrency: int | None,
    on_progress: OnProgress | None,
    on_error: OnError | None,
) -> Coroutine[Any, Any, WarmUp]:
    """What ``cache_warm`` of a function of several keys is."""
    load = _loader(function)

    def is_cached(key: Any) -> bool:
        try:
            return bool(function.cache_contains(key, *args, **kwargs))
        except Exception:  # what is wrong with the key is what its load raises
            return False

    def missing(keys: list[Any]) -> list[Any]:
        return [key for key in keys if not is_cached(key)]

    async def several(keys: list[Any]) -> _Part:
        asked = missing(keys)
        cached = len(keys) - len(asked)
        try:
            if asked:
                await _ended(function, load(asked, *args, **kwargs))
        except Exception as error:
            # What the result did have, or other loads, is there.
            failed = missing(asked)
            return len(asked) - len(failed), cached, len(failed), error, failed
        return len(asked), cached, 0, None, keys

    size: int = function.cache_parameters()["max_batch"] or _BATCH
    return _Run(function, several, on_progress, on_error).over(keys, size, concurrency)


class _Run:
    """A warm-up under way."""

    def __init__(
        self, function: Any, work: _Work, on_progress: OnProgress | None, on_error: OnError | None
    ) -> None:
        self.function = function
        self.name: str = function.__qualname__
        self.work = work
        self.on_progress = on_progress
        self.on_error = on_error
        self.progress = WarmUp()
        self.errors: list[Exception] = []
        self.tasks: list[asyncio.Task[_Part]] = []

    async def over(
        self, items: Iterable[Any] | AsyncIterable[Any], size: int, concurrency: int | None
    ) -> WarmUp:
        """Work on items, so many at a time in each of so many tasks."""
        concurrency = _CONCURRENCY if concurrency is None else concurrency
        _check(self.name, items, concurrency)
        self.progress = WarmUp(total=len(items) if isinstance(items, Sized) else None)
        if self.function.cache is None:
            return self.progress
        try:
            async with contextlib.aclosing(_parts(items, size)) as parts:
                async for part in parts:
                    await self.settle(concurrency)
                    self.tasks.append(asyncio.create_task(self.work(part), name=f"warm-up of {self.name}"))
            await self.settle(1)
        finally:
            await self.stop()
        if self.errors:
            text = f"{self.name}.cache_warm(): {self.progress.failed} of {self.progress.done} failed"
            raise ExceptionGroup(text, self.errors)
        return self.progress

    async def settle(self, room: int) -> None:
        """Wait until there are fewer tasks than that."""
        while len(self.tasks) >= room:
            done, _ = await asyncio.wait(self.tasks, return_when=asyncio.FIRST_COMPLETED)
            over = [task for task in self.tasks if task in done]
            self.tasks = [task for task in self.tasks if task not in done]
            for task in over:
                self.note(*task.result())

    def note(self, loaded: int, cached: int, failed: int, error: Exception | None, item: Any) -> None:
        """One task is over."""
        self.progress = self.progress.after(loaded, cached, failed)
        if error is not None and self.on_error is not None:
            self.on_error(item, error)
        elif error is not None:
            self.errors.append(error)
        if self.on_progress is not None:
            self.on_progress(self.progress)

    async def stop(self) -> None:
        """Cancel what there is when the warm-up was cancelled, or a callback or the iterable raised."""
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)


async def _parts(items: Iterable[Any] | AsyncIterable[Any], size: int) -> AsyncGenerator[list[Any], None]:
    """The items, so many at a time."""
    if isinstance(items, AsyncIterable):
        part: list[Any] = []
        async for item in items:
            part.append(item)
            if len(part) == size:
                yield part
                part = []
        if part:
            yield part
        return
    iterator = iter(items)
    while part := list(itertools.islice(iterator, size)):
        yield part


def _loader(function: Any) -> Callable[..., Coroutine[Any, Any, Any]]:
    """What loads: whatever there is that is stale or a failure, but not what a tier has."""
    load: Callable[..., Coroutine[Any, Any, Any]] = function
    if function.cache_parameters()["tier"] is None:
        load = function.cache_refresh
    return load


async def _ended(function: Any, load: Coroutine[Any, Any, Any]) -> None:
    """A load is over; one that was cancelled has failed as any other, unless the warm-up is cancelled."""
    try:
        await load
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError(f"the load of {function.__qualname__}() was cancelled") from error


def _arguments(call: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(call, tuple):
        return tuple(cast(Iterable[Any], call)), {}
    if isinstance(call, Mapping):
        return (), dict(cast(Mapping[str, Any], call))
    return (call,), {}


def _check(name: str, items: Any, concurrency: Any) -> None:
    if isinstance(concurrency, bool) or not isinstance(concurrency, int):
        raise TypeError(f"{name}.cache_warm(): concurrency must be a number of loads, not {concurrency!r}")
    if concurrency < 1:
        raise ValueError(f"{name}.cache_warm(): concurrency must be at least 1, not {concurrency}")
    if isinstance(items, str | bytes) or not isinstance(items, Iterable | AsyncIterable):
        raise TypeError(
            f"{name}.cache_warm(): takes an iterable of calls, each a tuple of arguments, a dict of them by name, or "
            f"the only argument; not {items!r}"
        )
