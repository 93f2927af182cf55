"""Rules R1 to R5 and F2, F4 by twos: what their options come to together."""

import asyncio

import pytest
from support import begun, called, fresh_for_ten, outcome, settle

from aiocachetools import LoadTimeout, TTLCache, cached, cachedmethod


def test_R1_x_R2_the_windows_begin_when_the_jitter_is_over(run, clock, upstream, monkeypatch):
    monkeypatch.setattr("random.random", lambda: 0.5)

    async def main():
        f = fresh_for_ten(upstream, clock, jitter=4, stale_while_revalidate=5)
        await f(1)
        clock.now = 11.9
        assert f.cache_contains(1)
        clock.now = 16.9
        assert not f.cache_contains(1)
        assert await f(1) == 1
        await settle()
        assert await f(1) == 2
        clock.now = 16.9 + 12 + 5
        assert await f(1) == 3
        assert f.cache_stats().stale_served == 1

    run(main())


@pytest.mark.parametrize("windows", [{"stale_while_revalidate": 5}, {"stale_if_error": 5}])
def test_R1_x_R2_x_R3_what_cache_if_refuses_leaves_the_stale_value(run, clock, upstream, windows):
    async def main():
        f = fresh_for_ten(upstream, clock, cache_if=lambda value: value != 2, **windows)
        assert await f(1) == 1
        clock.now = 10
        assert await f(1) == (1 if "stale_while_revalidate" in windows else 2)
        await settle()
        assert not f.cache_contains(1)
        upstream.error = OSError("down")
        assert await f(1) == 1
        await settle()
        assert upstream.loads == [1, 1, 1]

    run(main())


def test_R2_x_R4_who_joins_a_refresh_is_served_when_it_has_waited_long_enough(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, stale_while_revalidate=5, stale_if_error=100, soft_timeout=1)
        await f(1)
        clock.now = 14
        upstream.hold()
        assert await f(1) == 1  # at once: there is nothing to wait for
        assert clock.pending() == []
        clock.now = 15
        call = await begun(f(1))
        assert not call.done()
        clock.advance(1)
        assert await call == 1
        upstream.gate.set()
        await settle()
        assert (upstream.loads, await f(1)) == ([1, 1], 2)

    run(main())


def test_R2_x_R4_a_refresh_that_takes_too_long_is_reported_and_tried_again(run, clock, upstream):
    async def main():
        events = []
        f = fresh_for_ten(upstream, clock, stale_while_revalidate=50, timeout=3, listener=events.append)
        await f(1)
        clock.now = 10
        upstream.hold()
        await f(1)
        await settle()
        clock.advance(3)
        await settle()
        assert (events[-1].name, type(events[-1].error)) == ("load_error", LoadTimeout)
        assert upstream.cancelled == 1
        upstream.gate = None
        assert await f(1) == 1
        await settle()
        assert await f(1) == 3

    run(main())


def test_R4_x_F2_an_abandoned_load_that_may_finish_may_not_take_too_long(run, clock, upstream):
    async def main():
        events = []
        f = fresh_for_ten(upstream, clock, timeout=3, on_abandon="finish", listener=events.append)
        upstream.hold()
        call = await begun(f(1))
        call.cancel()
        assert isinstance(await outcome(call), asyncio.CancelledError)
        assert upstream.cancelled == 0
        clock.advance(3)
        await settle()
        assert upstream.cancelled == 1
        assert type(events[-1].error) is LoadTimeout
        assert not f.cache_contains(1)

    run(main())


def test_R4_x_F2_nobody_waits_longer_for_a_cancelled_load_to_unwind(run, clock):
    cancelled = []

    @cached(timeout=3, ttl=10, timer=clock)
    async def f(key):
        while len(cancelled) < 2:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                cancelled.append(clock.now)

    async def main():
        call = await begun(f(1))
        clock.advance(1)
        call.cancel()
        await settle()
        assert (cancelled, call.done()) == ([1], False)
        clock.advance(2)
        assert isinstance(await outcome(call), asyncio.CancelledError)
        await settle()
        assert cancelled == [1, 3]
        assert clock.pending() == []

    run(main())


def test_R5_x_F4_a_failure_that_was_invalidated_during_the_load_is_not_remembered(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, cache_errors={OSError: 3})
        upstream.error, upstream.gate = OSError("down"), asyncio.Event()
        call = await begun(f(1))
        f.cache_set("set", 1)
        upstream.gate.set()
        assert isinstance(await outcome(call), OSError)
        assert await f(1) == "set"
        f.cache_invalidate(1)
        await called(f, 1)
        assert upstream.loads == [1, 1]

    run(main())


@pytest.mark.parametrize("change", ["cache_invalidate", "cache_clear", "cache_set"])
def test_R2_x_F4_a_change_wins_over_cache_refresh(run, clock, upstream, change):
    async def main():
        f = fresh_for_ten(upstream, clock)
        await f(1)
        upstream.hold()
        refreshed = await begun(f.cache_refresh(1))
        {
            "cache_invalidate": lambda: f.cache_invalidate(1),
            "cache_clear": f.cache_clear,
            "cache_set": lambda: f.cache_set("set", 1),
        }[change]()
        upstream.gate.set()
        assert await refreshed == 2
        assert await f(1) == ("set" if change == "cache_set" else 3)

    run(main())


def test_R2_x_F2_the_cancellation_of_cache_refresh_leaves_the_value(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock)
        await f(1)
        upstream.hold()
        refreshed = await begun(f.cache_refresh(1))
        refreshed.cancel()
        assert isinstance(await outcome(refreshed), asyncio.CancelledError)
        assert (upstream.cancelled, await f(1)) == (1, 1)

    run(main())


# Methods


def services(clock):
    """A class whose instances share a cache, one where each has its own, and one that shares by resolver."""
    options = {"stale_while_revalidate": 5, "stale_if_error": 20, "soft_timeout": 1, "timeout": 3}
    shared = TTLCache(100, 10, clock)

    class Service:
        def __init__(self, upstream):
            self.upstream = upstream
            self.cache = TTLCache(100, 10, clock)

    class Shared(Service):
        @cached(ttl=10, timer=clock, cache_errors={OSError: 2}, **options)
        async def get(self, key):
            return await self.upstream(key)

    class Own(Service):
        @cachedmethod(lambda self: self.cache, cache_errors={OSError: 2}, **options)
        async def get(self, key):
            return await self.upstream(key)

    class Resolved(Service):
        @cachedmethod(lambda self: shared, cache_errors={OSError: 2}, **options)
        async def get(self, key):
            return await self.upstream(key)

    return {"shared": Shared, "own": Own, "resolved": Resolved}


@pytest.mark.parametrize("name", ["shared", "own", "resolved"])
def test_R2_x_R3_x_R5_of_methods(run, clock, upstream, name):
    async def main():
        service = services(clock)[name](upstream)
        assert await service.get(1) == 1
        clock.now = 10
        assert await service.get(1) == 1
        await settle()
        assert await service.get(1) == 2
        clock.now = 10 + 15
        upstream.error = OSError("down")
        assert [await service.get(1), await service.get(1)] == [2, 2]
        assert upstream.loads == [1, 1, 1]
        assert isinstance(await called(service.get, 2), OSError)
        assert isinstance(await called(service.get, 2), OSError)
        assert upstream.loads == [1, 1, 1, 2]
        service.get.cache_invalidate(2)
        upstream.error = None
        assert await service.get(2) == 5

    run(main())


@pytest.mark.parametrize("name", ["shared", "own"])
def test_R4_of_methods(run, clock, upstream, name):
    async def main():
        service = services(clock)[name](upstream)
        await service.get(1)
        clock.now = 16
        upstream.hold()
        old, new = asyncio.ensure_future(service.get(1)), asyncio.ensure_future(service.get(2))
        await settle()
        clock.advance(1)
        assert await old == 1
        clock.advance(2)
        assert isinstance(await outcome(new), LoadTimeout)
        await settle()
        assert upstream.cancelled == 2
        assert clock.pending() == []

    run(main())
