"""Rules F1 to F5, R1 to R5 and R7 together: random programs do what the reference says.

`python test/test_freshness_machine.py 10000` runs that many programs for each decorator.
"""

import asyncio
import contextlib
import math
import random
import sys
from collections import Counter

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from reference import CANCELLED, Options, Reference, Value
from support import Timers, outcome, settle

from aiocachetools import ABSENT, LoadTimeout, MissingKeyError, cached, cached_many


class Missing(Exception):
    """A failure that is usually remembered."""


class Broken(Exception):
    """A failure that is never remembered."""


class Down(OSError):
    """A failure of a remembered kind, as a `LoadTimeout` is."""


KEYS = [1, 2, 3]
ERRORS = [(), ((Missing, 4.0),), ((Missing, 4.0), (OSError, 2.5)), ((LoadTimeout, 6.0), (Exception, 1.0))]
OPTIONS = {
    "ttl": st.sampled_from([4.0, 10.0]),
    "of_value": st.sampled_from([False, False, True]),
    "jitter": st.sampled_from([0, 0, 3.0]),
    "cache_if": st.sampled_from([False, False, True]),
    "windows": st.sampled_from(
        [(0, 30.0), (0, 30.0), (0, 8.0), (5.0, 30.0), (5.0, 8.0), (20.0, 8.0), (20.0, 0), (0, 0)]
    ),
    "soft_timeout": st.sampled_from([1.0, 3.0, None]),
    "timeout": st.sampled_from([None, None, 2.5, 7.0]),
    "errors": st.sampled_from(ERRORS),
    "finish": st.booleans(),
    "prompt": st.booleans(),
    "keeps": st.sampled_from([True] * 7 + [False]),
}
BATCHES = {"max_batch": st.sampled_from([None, 2]), "absent": st.booleans()}


class Run:
    """One run of the function, which ends as it is told."""

    def __init__(self, keys, loop):
        self.keys = list(keys)
        self.end = loop.create_future()
        self.cancelled = False
        self.loop = loop

    async def result(self, prompt):
        try:
            return await self.end
        except asyncio.CancelledError:
            # The future's own exception is the load's end from inside.
            if not self.end.cancelled():
                raise
            self.cancelled = True
            if prompt:
                raise
        self.end = self.loop.create_future()
        return await self.end


class System:
    """The decorated function on a loop and a clock of its own."""

    def __init__(self, options):
        self.noise = []
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda _, context: self.noise.append(context))
        self.clock = Timers()
        self.runs = []
        self.events = []
        self.options = options
        self.f = self.many() if options.many else self.one()

    def decoration(self):
        options = self.options
        return {
            "maxsize": 100 if options.keeps else 0,
            "ttl": (lambda value: options.ttl if value is ABSENT else value.ttl)
            if options.of_value
            else options.ttl,
            "jitter": options.jitter,
            "cache_if": (lambda value: value is ABSENT or value.ok) if options.cache_if else None,
            "stale_while_revalidate": options.windows[0],
            "stale_if_error": options.windows[1],
            "soft_timeout": options.soft_timeout,
            "timeout": options.timeout,
            "cache_errors": dict(options.errors),
            "on_abandon": "finish" if options.finish else "cancel",
            "timer": self.clock,
            "listener": self.events.append,
        }

    def start(self, keys):
        run = Run(keys, self.loop)
        self.runs.append(run)
        return run.result(self.options.prompt)

    def one(self):
        @cached(**self.decoration())
        async def f(key):
            return (await self.start([key]))[key]

        return f

    def many(self):
        options = self.options
        missing = "absent" if options.absent else "error"

        @cached_many(max_batch=options.max_batch, missing=missing, **self.decoration())
        async def f(keys):
            return await self.start(keys)

        return f

    def do(self, operation, *args):
        """What a synchronous operation on the loop returns, once everything has run that is ready then."""

        async def main():
            result = operation(*args)
            await settle()
            return result

        with half_the_jitter():
            return self.loop.run_until_complete(main())

    def begin(self, calls):
        """Starts calls in one round of the loop."""

        def start():
            return [self.loop.create_task(outcome(call())) for call in calls]

        return self.do(start)


@contextlib.contextmanager
def half_the_jitter():
    """Jitter is half of what it may be."""
    original, random.random = random.random, lambda: 0.5
    try:
        yield
    finally:
        random.random = original


def shown(result):
    """What a call returned or raised, as the reference has it."""
    if isinstance(result, asyncio.CancelledError):
        return CANCELLED
    if isinstance(result, MissingKeyError):
        return ("missing", result.keys)
    if isinstance(result, LoadTimeout):
        return ("error", LoadTimeout, ())
    if isinstance(result, BaseException):
        return ("error", type(result), result.args)
    return ("value", result)


class Program(RuleBasedStateMachine):
    """Does the same to a function of one key and to the reference."""

    options = st.builds(Options, **OPTIONS)
    keys = st.sampled_from(KEYS).map(lambda key: [key])

    @initialize(draw=st.data())
    def begin(self, draw):
        options = draw.draw(self.options)
        self.system = System(options)
        self.model = Reference(options)
        self.tasks, self.calls = [], []
        self.number = 0
        self.paired = []

    # Calls

    def started(self, calls, tasks):
        self.calls += calls
        self.tasks += tasks

    def call_of(self, keys):
        f = self.system.f
        return (lambda: f(keys)) if self.model.options.many else (lambda: f(keys[0]))

    @rule(data=st.data(), count=st.sampled_from([1, 1, 2, 3]))
    def call(self, data, count):
        keys = data.draw(self.keys)
        single = not self.model.options.many
        calls = [self.model.call(keys, single=single) for _ in range(count)]
        self.started(calls, self.system.begin([self.call_of(keys)] * count))

    @rule(data=st.data())
    def refresh(self, data):
        keys = data.draw(self.keys)
        single = not self.model.options.many
        argument = keys[0] if single else keys
        call = self.model.call(keys, single=single, refresh=True)
        self.started([call], self.system.begin([lambda: self.system.f.cache_refresh(argument)]))

    @rule(data=st.data())
    def warm(self, data):
        """A call that is answered at once, so that there is a value to grow old."""
        before = len(self.model.loads)
        self.call(data, 1)
        self.loads_are_the_same()
        for number in range(before, len(self.model.loads)):
            self.end(number, self.value(10.0), ())

    @precondition(lambda self: self.waiting())
    @rule(number=st.integers(0, 7), others=st.booleans())
    def cancel(self, number, others):
        waiting = self.waiting()
        call = self.calls[waiting[number % len(waiting)]]
        left = [i for i in waiting if self.calls[i] is call or (others and self.calls[i].keys == call.keys)]
        for i in left:
            self.model.cancel(self.calls[i])
            self.system.do(self.tasks[i].cancel)

    def waiting(self):
        return [number for number, call in enumerate(self.calls) if call.outcome() is None]

    # Loads

    def under_way(self):
        return [number for number, load in enumerate(self.model.loads) if not load.over]

    def value(self, ttl, ok=True):
        self.number += 1
        return Value(self.number, ttl, ok)

    def end(self, number, result, lacking):
        """Ends a load with a value for all its keys but some, or with an exception."""
        load, run = self.model.loads[number], self.paired[number]
        if isinstance(result, Value):
            values = {key: result for key in load.keys if key not in lacking}
            self.model.end(load, values)
            self.system.do(run.end.set_result, values)
        else:
            self.model.end(load, shown(result))
            self.system.do(run.end.set_exception, result)

    @precondition(lambda self: self.under_way())
    @rule(
        number=st.integers(0, 7),
        ttl=st.sampled_from([10.0, 10.0, 10.0, 4.0, 0, -1, None]),
        ok=st.sampled_from([True, True, True, False]),
        lacking=st.sampled_from([(), (), (), (), (1,), (2, 3)]),
    )
    def finish(self, number, ttl, ok, lacking):
        under_way = self.under_way()
        lacking = lacking if self.model.options.many else ()
        self.end(under_way[number % len(under_way)], self.value(ttl, ok), lacking)

    @precondition(lambda self: self.under_way())
    @rule(
        number=st.integers(0, 7),
        error=st.sampled_from(
            [Missing, Missing, Missing, Broken, Broken, Down, Down, asyncio.CancelledError]
        ),
    )
    def fail(self, number, error):
        under_way = self.under_way()
        self.number += 1
        self.end(under_way[number % len(under_way)], error(self.number), ())

    # Time, and what is done by hand

    @rule(seconds=st.sampled_from([1.0, 1.0, 1.0, 0.5, 3.0, 10.0]))
    def tick(self, seconds):
        self.model.tick(seconds)
        self.system.do(self.system.clock.advance, seconds)

    @precondition(lambda self: self.model.fresh())
    @rule(data=st.data(), seconds=st.sampled_from([0.0, 1.0, 6.0, 6.0, 21.0]))
    def grow_old(self, data, seconds):
        """Time goes on until a value is no longer fresh, and a little."""
        key = data.draw(st.sampled_from(sorted(self.model.fresh())))
        left = self.model.places[key].fresh_until - self.model.now
        if left < math.inf:
            self.tick(left + seconds)

    @rule(
        key=st.sampled_from(KEYS),
        change=st.sampled_from(["invalidate"] * 4 + ["set"] * 4 + ["clear"]),
        ttl=st.sampled_from([10.0, 10.0, 4.0, 0]),
        ok=st.sampled_from([True, True, False]),
    )
    def change(self, key, change, ttl, ok):
        """What is done by hand."""
        f, model, value = self.system.f, self.model, self.value(ttl, ok)
        by_hand = {
            "invalidate": (f.cache_invalidate, model.invalidate, key),
            "set": (f.cache_set, model.set, value, key),
            "clear": (f.cache_clear, model.clear),
        }
        operation, expected, *arguments = by_hand[change]
        assert self.system.do(operation, *arguments) == expected(*arguments)

    # What is compared

    @invariant()
    def loads_are_the_same(self):
        if not hasattr(self, "model"):
            return
        begun = self.system.runs[len(self.paired) :]
        expected = self.model.loads[len(self.paired) :]
        assert sorted(run.keys for run in begun) == sorted(load.keys for load in expected)
        for load in expected:
            self.paired.append(next(run for run in begun if run.keys == load.keys))
        assert [run.cancelled for run in self.paired] == [load.cancelled for load in self.model.loads]

    @invariant()
    def calls_are_the_same(self):
        if hasattr(self, "model"):
            done = [shown(task.result()) if task.done() else None for task in self.tasks]
            assert done == [call.outcome() for call in self.calls]

    @invariant()
    def entries_are_the_same(self):
        if not hasattr(self, "model"):
            return
        f, fresh = self.system.f, self.model.fresh()
        absent = {None: ABSENT}
        assert [f.cache_contains(key) for key in KEYS] == [key in fresh for key in KEYS]
        assert dict(f.cache.items()) == {
            f.cache_key(key): absent.get(value, value) for key, value in fresh.items()
        }
        assert len(f.cache) == len(fresh)
        assert f.cache_info().currsize == self.model.kept()

    @invariant()
    def counts_and_events_are_the_same(self):
        if not hasattr(self, "model"):
            return
        stats = self.system.f.cache_stats()
        names = ("hits", "misses", "joins", "loads", "load_errors", "stale_served", "refreshes")
        assert {name: getattr(stats, name) for name in names} == {
            name: self.model.counts[name] for name in names
        }
        told = Counter((event.name, event.key[0]) for event in self.system.events)
        told = Counter({event: count for event, count in told.items() if event[0] not in ("evict", "expire")})
        assert told == Counter(self.model.events)
        self.system.events.clear()
        self.model.events.clear()

    def teardown(self):
        if not hasattr(self, "model"):
            return
        system = self.system
        try:
            for task in self.tasks:
                system.do(task.cancel)
            for run in system.runs:
                if not run.end.done():
                    system.do(run.end.set_exception, Broken("the end"))
            assert all(task.done() for task in self.tasks)
            assert system.clock.pending() == []
            assert system.noise == []
        finally:
            system.loop.close()


class ProgramOfMany(Program):
    """The same with a function of several keys, which loads them together."""

    options = st.builds(Options, many=st.just(True), **OPTIONS, **BATCHES)
    keys = st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True)

    @rule(data=st.data())
    def call_for_single_keys(self, data):
        keys = data.draw(self.keys)
        calls = self.model.calls([[key] for key in keys])
        self.started(calls, self.system.begin([lambda key=key: self.system.f.one(key) for key in keys]))


MACHINES = {"cached": Program, "cached_many": ProgramOfMany}


def check(name, programs, phases=tuple(Phase)):
    options = {"max_examples": programs, "stateful_step_count": 40, "deadline": None, "database": None}
    options |= {"report_multiple_bugs": False, "phases": phases}
    run_state_machine_as_test(MACHINES[name], settings=settings(**options))


@pytest.mark.parametrize("name", list(MACHINES))
def test_F1_to_R7_programs_do_what_the_reference_says(name):
    check(name, 150, phases=[Phase.generate])


if __name__ == "__main__":
    for each in MACHINES:
        check(each, int(sys.argv[1]))
        print(f"{each}: no difference in {sys.argv[1]} programs")
