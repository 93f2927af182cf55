"""A decorated function of several keys with a Redis tier: one request for all keys, one load of what is missing."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, NamedTuple

from aiocachetools._missing import ABSENT

from ._batch import Batch, BatchedLoad, Turn
from ._format import Found
from ._function import RedisFunction
from ._link import FAILURE, Link
from ._load import read
from ._near import Visit

__all__ = ("RedisManyFunction",)

Outcome = tuple[Any, float]
WithKey = Callable[[Any], tuple[tuple[Any, ...], dict[str, Any]]]


class _Part(NamedTuple):
    """One key of a call."""

    key: Any
    visit: Visit


class RedisManyFunction(RedisFunction):
    """A decorated function of several keys with a Redis tier; its arguments as of `RedisFunction`."""

    async def load(self, *args: Any, **kwargs: Any) -> Any:
        """The values of a call's keys: the fleet's, or such as are loaded for all."""
        link = self._links.get()
        if not link.is_ready:
            await link.ready()
        where, keys = self._tiered.split(args, kwargs)
        with_keys = _replacing(args, kwargs, where)
        parts: list[_Part] = []
        try:
            for key in keys:
                parts.append(_Part(key, Visit(self.place(link, *with_keys(key)))))
                link.near.enter(parts[-1].visit)
            return await self._load_parts(link, parts, with_keys)
        finally:
            for part in parts:
                link.near.leave(part.visit)

    async def _load_parts(self, link: Link, parts: Sequence[_Part], with_keys: WithKey) -> Any:
        found = None if link.breaker.is_open else await self._glance(link, parts)
        values: dict[Any, Any] = {}
        errors: dict[Any, BaseException] = {}
        missing: list[tuple[_Part, Found | None]] = []
        for part, known in zip(parts, found or repeat(None), strict=False):
            if known is not None and known.fresh:
                self.counts.hits += 1
                self._take(link, part, values, (known.value, known.seconds))
            else:
                missing.append((part, known))
        if missing:
            batch = Batch(lambda keys: self.call(*with_keys(keys)))
            for part, outcome in await self._load_missing(link, missing, batch):
                if isinstance(outcome, BaseException):
                    errors[part.key] = outcome
                else:
                    self._take(link, part, values, outcome)
            if batch.unusable:
                return batch.unusable[0]
        if errors and len(errors) == len(parts):
            raise next(iter(errors.values()))
        return _Partial(values, errors) if errors else values

    def _take(self, link: Link, part: _Part, values: dict[Any, Any], outcome: Outcome) -> None:
        value, seconds = outcome
        self.keep(link, part.visit, seconds)
        if value is not ABSENT:
            values[part.key] = value

    async def _glance(self, link: Link, parts: Sequence[_Part]) -> list[Found] | None:
        """What is there of each key, if the server can tell; all in one request."""
        commands: list[tuple[bytes, bytes]] = []
        for part in parts:
            place = part.visit.place
            commands += (
                (b"GET", place.tier_key),
                (b"PTTL", place.tier_key),
                *((b"GET", tag) for tag in place.tags),
            )
            part.visit.watch()
        asked = time.monotonic()
        try:
            replies = iter(await link.client.execute_many(commands))
            found: list[Found] = []
            for part in parts:
                place = part.visit.place
                reply = [next(replies) for _ in range(2 + len(place.tags))]
                found.append(self.form.read(reply, place.tier_key, asked))
            for number, part in enumerate(parts):
                if not part.visit.settle():
                    self.counts.repeated += 1
                    found[number] = await read(self.form, link, part.visit, self.counts)
        except FAILURE as error:
            link.failed(error)
        else:
            return found
        return None

    async def _load_missing(
        self, link: Link, missing: Sequence[tuple[_Part, Found | None]], batch: Batch
    ) -> list[tuple[_Part, Outcome | BaseException]]:
        """What has become of the keys that were not there."""
        tasks: list[asyncio.Task[Outcome]] = []
        turns = [Turn(batch, part.key) for part, _ in missing]
        for (part, found), turn in zip(missing, turns, strict=True):
            load = BatchedLoad(self.form, link, part.visit, turn.load, self.options.lease, self.counts)
            load.turn = turn
            tasks.append(asyncio.create_task(_run(load, turn, found)))
        try:
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        except asyncio.CancelledError:
            await batch.cancel()
            raise
        batch.restore_tracebacks()
        for outcome in outcomes:
            if isinstance(outcome, asyncio.CancelledError):  # the function has cancelled itself
                raise outcome
        return [(part, outcome) for (part, _), outcome in zip(missing, outcomes, strict=True)]


async def _run(load: BatchedLoad, turn: Turn, found: Found | None) -> Outcome:
    try:
        return await load.run(found)
    finally:
        turn.end()


def _replacing(args: tuple[Any, ...], kwargs: dict[str, Any], place: int | str) -> WithKey:
    """Gives the arguments of a call with something else where the keys are."""

    def replace(argument: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if isinstance(place, str):
            return args, {**kwargs, place: argument}
        return (*args[:place], argument, *args[place + 1 :]), kwargs

    return replace


class _Partial(Mapping[Any, Any]):
    """What was loaded, and what was not: asking for the latter raises."""

    def __init__(self, values: dict[Any, Any], errors: dict[Any, BaseException]) -> None:
        self._values = values
        self._errors = {key: (error, error.__traceback__) for key, error in errors.items()}

    def __getitem__(self, key: Any) -> Any:
        if key in self._errors:
            error, traceback = self._errors[key]
            raise error.with_traceback(traceback)
        return self._values[key]

    def __iter__(self) -> Iterator[Any]:
        yield from self._values
        yield from self._errors

    def __len__(self) -> int:
        return len(self._values) + len(self._errors)
