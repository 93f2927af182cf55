"""For tests of code that caches: a clock that moves when it is told, and a fixture of it for pytest.

``pytest_plugins = ["aiocachetools.testing"]`` in the topmost ``conftest.py`` makes the fixture known.
There is nothing here for pytest to rewrite: PYTEST_DONT_REWRITE.
"""

import asyncio
import contextvars
import heapq
import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVarTuple

__all__ = ("Handle", "TestClock")

_Ts = TypeVarTuple("_Ts")

# How often the event loop turns until all is taken to be quiet: more than tasks wait in a row for each other.
_ROUNDS = 24


class Handle:
    """A call that a `TestClock` is to make: what `TestClock.call_later` returns."""

    def __init__(self, when: float, call: Callable[[], object]) -> None:
        self._when = when
        self._call: Callable[[], object] | None = call
        self._cancelled = False

    def when(self) -> float:
        """The time at which it is due."""
        return self._when

    def cancel(self) -> None:
        """Do not make the call, unless it was made already."""
        self._cancelled = self._cancelled or self._call is not None
        self._call = None

    def cancelled(self) -> bool:
        """Whether it was cancelled before it was due."""
        return self._cancelled

    def run(self) -> None:
        """Make the call, unless it was cancelled or made already: what the clock does when it is due."""
        call, self._call = self._call, None
        if call is not None:
            call()


class TestClock:
    """A clock that stands still until it is told to go on, for ``timer=``.

    It may be the timer of any native cache, and of ``cached(ttl=...)``.  What is to happen later by
    this clock happens in `advance`.

    Args:
        now: The time at first, in seconds.
    """

    __test__ = False  # pytest would take it for a class of tests

    def __init__(self, now: float = 0.0) -> None:
        self._now = float(now)
        self._due: list[tuple[float, int, Handle]] = []
        self._order = itertools.count()

    def __call__(self) -> float:
        """The time in seconds."""
        return self._now

    def __repr__(self) -> str:
        return f"<TestClock at {self._now:g} s>"

    def advance(self, by: float | timedelta) -> None:
        """Let time go on, and make the calls that become due in order of time.

        Each is made when the clock shows the time at which it is due.  What it raises ends the
        advance at that time.

        Args:
            by: How far, in seconds from 0, or a timedelta.
        """
        self._advance_to(self._now + _seconds("advance", "by", by))

    async def elapse(self, by: float | timedelta) -> None:
        """Let time go on as it does for coroutines: they run before, between and after the calls.

        What `advance` does at one go, this does step by step, and lets the event loop turn a few dozen times
        at each: who slept until then has gone on, and perhaps asked to be woken again, before time does.

        Args:
            by: How far, in seconds from 0, or a timedelta.
        """
        until = self._now + _seconds("elapse", "by", by)
        await _settle()
        while self._due and self._due[0][0] <= until:
            self._advance_to(self._due[0][0])
            await _settle()
        self._advance_to(until)

    def _advance_to(self, until: float) -> None:
        while self._due and self._due[0][0] <= until:
            when, _, handle = heapq.heappop(self._due)
            self._now = max(self._now, when)
            handle.run()
        self._now = max(self._now, until)

    def call_later(self, delay: float | timedelta, callback: Callable[[*_Ts], object], *args: *_Ts) -> Handle:
        """Have a function called when so much time has passed, as an event loop's ``call_later`` does.

        It is called within `advance`, in a copy of the present context.

        Args:
            delay: In seconds from 0, or a timedelta.
            callback: What is called, with the arguments that follow.
        """
        when = self._now + _seconds("call_later", "delay", delay)
        context = contextvars.copy_context()
        handle = Handle(when, lambda: context.run(callback, *args))
        heapq.heappush(self._due, (when, next(self._order), handle))
        return handle

    async def sleep(self, delay: float | timedelta) -> None:
        """Wait until so much time has passed by this clock: `elapse` or `advance` wakes who sleeps.

        Args:
            delay: In seconds from 0, or a timedelta.
        """
        woken = asyncio.get_running_loop().create_future()
        handle = self.call_later(delay, _wake, woken)
        try:
            await woken
        finally:
            handle.cancel()


async def _settle() -> None:
    """Let everything run that is ready, and what that makes ready."""
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _seconds(method: str, name: str, time: Any) -> float:
    seconds = time.total_seconds() if isinstance(time, timedelta) else time
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(
            f"TestClock.{method}(): {name} must be a number of seconds or a timedelta, not {time!r}"
        )
    if not seconds >= 0:
        raise ValueError(f"TestClock.{method}(): {name} must be a number of seconds from 0, not {time!r}")
    return float(seconds)


try:
    import pytest
except ModuleNotFoundError:
    pass
else:

    @pytest.fixture
    def cache_clock() -> TestClock:
        """A clock that moves when it is told, for ``timer=`` of the caches under test."""
        return TestClock()
