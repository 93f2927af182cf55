"""Rule R4: loads that take too long, and callers that do not wait so long."""

import asyncio

import pytest
from support import begun, fresh_for_ten, outcome, settle

from aiocachetools import LoadTimeout, cached


def test_R4_a_load_that_takes_too_long_is_cancelled_and_failed(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, timeout=3)
        upstream.hold()
        calls = [asyncio.ensure_future(f(1)) for _ in range(3)]
        await settle()
        clock.advance(2.9)
        await settle()
        assert upstream.cancelled == 0
        clock.advance(0.1)
        outcomes = [await outcome(call) for call in calls]
        assert [type(error) for error in outcomes] == [LoadTimeout] * 3
        assert isinstance(outcomes[0], TimeoutError)
        assert str(outcomes[0]) == f"{f.__qualname__}(1) was not loaded within timeout=3 seconds"
        await settle()
        assert upstream.cancelled == 1
        upstream.gate.set()
        assert await f(1) == 2
        assert f.cache_stats().load_errors == 1
        assert clock.pending() == []

    run(main())


def test_R4_callers_do_not_wait_for_a_load_that_ignores_its_cancellation(run, clock):
    async def main():
        gate, stubborn = asyncio.Event(), []

        @cached(ttl=10, timer=clock, timeout=3)
        async def f(key):
            while not gate.is_set():
                try:
                    await gate.wait()
                except asyncio.CancelledError:
                    stubborn.append(key)
            return "late"

        call = await begun(f(1))
        clock.advance(3)
        assert isinstance(await outcome(call), LoadTimeout)
        await settle()
        assert stubborn == [1]
        gate.set()
        await settle()
        assert not f.cache_contains(1)
        assert await f(1) == "late"
        assert f.cache_contains(1)

    run(main())


def test_R4_a_load_in_time_stops_its_timer(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, timeout=3)
        upstream.hold()
        call = await begun(f(1))
        upstream.gate.set()
        assert await call == 1
        clock.advance(5)
        assert await f(1) == 1

    run(main())


def test_R4_x_R3_a_stale_value_is_served_when_the_load_times_out(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, timeout=3, stale_if_error=100)
        await f(1)
        clock.now = 10
        upstream.hold()
        call = await begun(f(1))
        clock.advance(3)
        assert await call == 1

    run(main())


def test_R4_the_timers_of_the_loop_are_used_where_the_clock_has_none(run):
    async def main():
        @cached(maxsize=10, timeout=0.001)
        async def f(key):
            await asyncio.Event().wait()

        with pytest.raises(LoadTimeout):
            await f(1)

    run(main())


def test_R4_who_has_waited_long_enough_gets_the_stale_value(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, soft_timeout=1, stale_if_error=100)
        await f(1)
        clock.now = 10
        upstream.hold()
        first = await begun(f(1))
        clock.advance(0.5)
        second = await begun(f(1))
        clock.advance(0.5)
        assert await first == 1
        await settle()
        assert not second.done()
        clock.advance(0.5)
        assert await second == 1
        assert (upstream.loads, upstream.cancelled) == ([1, 1], 0)
        upstream.gate.set()
        await settle()
        assert await f(1) == 2
        assert f.cache_stats().stale_served == 2
        assert clock.pending() == []

    run(main())


def test_R4_without_a_stale_value_callers_wait(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, soft_timeout=1, stale_if_error=100)
        upstream.hold()
        call = await begun(f(1))
        clock.advance(5)
        await settle()
        assert not call.done()
        upstream.gate.set()
        assert await call == 1

    run(main())


def test_R4_x_F2_a_load_that_somebody_left_early_is_not_abandoned(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, soft_timeout=1, stale_if_error=100)
        await f(1)
        clock.now = 10
        upstream.hold()
        patient, cancelled = asyncio.ensure_future(f(1)), asyncio.ensure_future(f(1))
        await settle()
        cancelled.cancel()
        await settle()
        clock.advance(1)
        assert await patient == 1
        upstream.gate.set()
        await settle()
        assert (upstream.cancelled, await f(1)) == (0, 2)

    run(main())


def test_R4_x_F4_what_was_invalidated_is_not_served_for_waiting(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, soft_timeout=1, stale_if_error=100)
        await f(1)
        clock.now = 10
        upstream.hold()
        call = await begun(f(1))
        f.cache_invalidate(1)
        clock.advance(1)
        await settle()
        assert not call.done()
        upstream.gate.set()
        assert await call == 2

    run(main())


def test_R4_x_F4_a_value_that_was_set_meanwhile_is_not_counted_as_stale(run, clock, upstream):
    async def main():
        events = []
        f = fresh_for_ten(upstream, clock, soft_timeout=1, stale_if_error=100, listener=events.append)
        await f(1)
        clock.now = 10
        upstream.hold()
        call = await begun(f(1))
        f.cache_set("set", 1)
        clock.advance(1)
        assert await call == "set"
        assert f.cache_stats().stale_served == 0
        assert "stale" not in [event.name for event in events]

    run(main())


def test_R4_x_F6_who_was_let_go_may_be_waited_for(run, clock):
    """A load that goes on may need what its former waiter loads: that is no circle any more."""

    async def main():
        gate = asyncio.Event()

        @cached(ttl=10, timer=clock, soft_timeout=1, stale_if_error=100)
        async def a(key):
            if clock.now >= 10:
                await gate.wait()
                return await b(key)
            return "old"

        @cached(ttl=10, timer=clock)
        async def b(key):
            value = await a(key)
            await gate.wait()
            return value

        await a(1)
        clock.now = 10
        call = await begun(b(1))
        clock.advance(1)
        await settle()
        gate.set()
        assert await call == "old"
        await settle()
        assert await a(1) == "old"

    run(main())
