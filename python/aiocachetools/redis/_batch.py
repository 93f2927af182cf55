"""One run of a function for all keys that a call has to load, though each of them has a lease of its own."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from aiocachetools._missing import ABSENT

from ._load import Load

__all__ = ("Batch", "BatchedLoad", "Turn")


class Batch:
    """The keys of a call that are to be loaded, as they turn out to be.

    The function runs when no key is left that may still turn out to be one of them: each is asked
    for, waited for while another process loads it, or not needed.  So keys whose lease is got later
    are loaded by another run, and nobody waits with a lease for another lease.

    Args:
        run: Runs the function for some keys.
    """

    def __init__(self, run: Callable[[list[Any]], Coroutine[Any, Any, Any]]) -> None:
        self._run = run
        self._undecided = 0
        self._asked: list[tuple[Any, asyncio.Future[Any]]] = []
        self.runs: set[asyncio.Task[None]] = set()
        self.unusable: list[Any] = []
        """What the function has returned that is no mapping."""
        self._failures: list[tuple[BaseException, TracebackType | None]] = []

    def begin(self) -> None:
        """One more key may have to be loaded."""
        self._undecided += 1

    def end(self) -> None:
        """It is known whether one of them has."""
        self._undecided -= 1
        if not self._undecided and self._asked:
            asked, self._asked = self._asked, []
            self.runs.add(asyncio.create_task(self._execute(asked)))

    def ask(self, key: Any) -> "asyncio.Future[Any]":
        """The value of a key, from the next run."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked.append((key, answer))
        return answer

    async def _execute(self, asked: list[tuple[Any, "asyncio.Future[Any]"]]) -> None:
        wanted = [(key, answer) for key, answer in asked if not answer.done()]
        try:
            result = await self._run([key for key, _ in wanted])
            if not _is_mapping(result):
                self.unusable.append(result)
                raise TypeError("the result is no mapping")
            for key, answer in wanted:
                _settle(answer, *_part_of(result, key))
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit) as error:
            for _, answer in wanted:
                answer.cancel()
            if not isinstance(error, asyncio.CancelledError):
                raise
        except BaseException as error:
            self._failures.append((error, error.__traceback__))
            for _, answer in wanted:
                _settle(answer, error)

    def restore_tracebacks(self) -> None:
        """Leave of the tracebacks what they were before each key's load raised the same error."""
        for error, traceback in self._failures:
            error.__traceback__ = traceback

    async def cancel(self) -> None:
        """Cancel what runs, and wait until it has unwound."""
        for run in self.runs:
            run.cancel()
        await asyncio.gather(*self.runs, return_exceptions=True)


def _settle(answer: "asyncio.Future[Any]", error: BaseException | None, value: Any = None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(value)
        return
    if isinstance(error, StopIteration):  # which a future cannot have
        stopped, error = error, RuntimeError("a load raised StopIteration")
        error.__cause__ = stopped
    answer.set_exception(error)


def _is_mapping(result: object) -> bool:
    return isinstance(result, Mapping)


def _part_of(result: Mapping[Any, Any], key: Any) -> tuple[Exception | None, Any]:
    """What a function has returned for a key, or the mapping's own error."""
    try:
        # Nothing is made up for what is not there, whatever the mapping would do.
        return None, result[key] if key in result else ABSENT  # noqa: SIM401
    except KeyError:
        return None, ABSENT
    except Exception as error:
        return error, None


class Turn:
    """One key's part in a batch: whether it may still have to be loaded."""

    def __init__(self, batch: Batch, key: Any) -> None:
        self._batch = batch
        self._key = key
        self._is_on = True
        batch.begin()

    def end(self) -> None:
        """It is known whether it has."""
        if self._is_on:
            self._is_on = False
            self._batch.end()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It has not, as long as another process is at it."""
        self.end()
        try:
            yield
        finally:
            self._is_on = True
            self._batch.begin()

    async def load(self) -> Any:
        """Have it loaded."""
        answer = self._batch.ask(self._key)
        self.end()
        return await answer


class BatchedLoad(Load):
    """The load of one key of a batch."""

    turn: Turn

    async def _sleep(self, seconds: float) -> None:
        with self.turn.paused():
            await super()._sleep(seconds)
