"""Rules R1 to R5: how long results are good, and what is served when there is no good one."""

import asyncio
import gc
import random
import weakref
from datetime import timedelta

import cachetools
import pytest
from support import Timers, called, outcome, settle

import aiocachetools
from aiocachetools import LoadTimeout, LRUCache, TLRUCache, TTLCache, cached, cachedmethod


class Upstream:
    """What is loaded: a number that counts the loads, unless it is told to fail or to be slow."""

    def __init__(self):
        self.loads = []
        self.error = None
        self.gate = None
        self.cancelled = 0

    async def __call__(self, key):
        self.loads.append(key)
        try:
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return len(self.loads)


@pytest.fixture
def clock():
    return Timers()


@pytest.fixture
def upstream():
    return Upstream()


def made(upstream, clock, **options):
    """The upstream, cached for ten seconds."""

    async def f(key):
        return await upstream(key)

    return cached(**{"maxsize": 100, "ttl": 10, "timer": clock, **options})(f)


# R1: ttl, jitter, cache_if


@pytest.mark.parametrize("policy", ["lru", "lfu", "fifo", "rr", "tinylfu"])
@pytest.mark.parametrize(
    "ttl", [10, timedelta(seconds=10), lambda value: 10, lambda value: timedelta(seconds=10)]
)
def test_R1_an_entry_lives_for_its_ttl(run, clock, upstream, policy, ttl):
    async def main():
        f = made(upstream, clock, ttl=ttl, policy=policy)
        assert [await f(1), await f(1)] == [1, 1]
        clock.now = 9.99
        assert f.cache_contains(1)
        clock.now = 10
        assert not f.cache_contains(1)
        assert await f(1) == 2

    run(main())


def test_R1_the_ttl_may_depend_on_the_value(run, clock):
    async def main():
        @cached(ttl=lambda value: {"short": 1, "never": None, "not": 0, "less": -5}[value], timer=clock)
        async def f(value):
            return value

        for value in ("short", "never", "not", "less"):
            await f(value)
        assert [f.cache_contains(value) for value in ("short", "never", "not", "less")] == [
            True,
            True,
            False,
            False,
        ]
        clock.now = 1
        assert [f.cache_contains(value) for value in ("short", "never")] == [False, True]
        assert f.cache_parameters()["ttl"].__name__ == "<lambda>"

    run(main())


def test_R1_what_is_not_worth_keeping_is_told_and_set_as_not_stored(run, clock):
    async def main():
        events = []

        @cached(ttl=lambda value: value, timer=clock, cache_if=lambda value: value != 5, listener=events.append)
        async def f(value):
            return value

        assert [await f(0), await f(5), await f(10)] == [0, 5, 10]
        assert [f.cache_set(value, "by hand") for value in (0, 5, 10)] == [False, False, True]
        assert [event.name for event in events] == ["miss", "miss", "miss", "store", "store"]

    run(main())


def test_R1_what_a_ttl_function_returns_is_checked(run):
    async def main():
        @cached(ttl=lambda value: "60")
        async def f(value):
            return value

        with pytest.raises(TypeError, match=r"ttl function must return a number of seconds.*not '60'"):
            await f(1)
        assert not f.cache_contains(1)

    run(main())


def test_R1_jitter_spreads_expiry(run, clock, upstream):
    async def main():
        f = made(upstream, clock, jitter=5)
        random.seed(7)
        for key in range(100):
            await f(key)
        lives = []
        for now in range(10, 16):
            clock.now = now
            lives.append(sum(f.cache_contains(key) for key in range(100)))
        assert lives[0] == 100
        assert lives[-1] == 0
        assert lives == sorted(lives, reverse=True)
        assert len(set(lives)) > 4

    run(main())


@pytest.mark.parametrize(
    "make",
    [lambda clock: TTLCache(9, 10, clock), lambda clock: TLRUCache(9, lambda k, v, now: now + 10, clock)],
)
def test_R1_jitter_adds_to_what_a_cache_says(run, clock, upstream, make):
    async def main():
        f = cached(make(clock), jitter=1000)(upstream.__call__)
        random.seed(7)
        await f(1)
        clock.now = 10.001
        assert f.cache_contains(1)

    run(main())


@pytest.mark.parametrize("cache", [None, dict, lambda: cachetools.LRUCache(9), lambda: LRUCache(9)])
def test_R1_cache_if_decides_what_is_stored(run, cache):
    async def main():
        calls = []

        async def f(x):
            calls.append(x)
            return x

        decorate = cached(cache_if=bool) if cache is None else cached(cache(), cache_if=bool)
        f = decorate(f)
        assert [await f(0), await f(0), await f(1), await f(1)] == [0, 0, 1, 1]
        assert calls == [0, 0, 1]

    run(main())


def test_R1_an_error_of_cache_if_reaches_the_caller(run):
    async def main():
        @cached(cache_if=lambda value: 1 / value)
        async def f(x):
            return x

        with pytest.raises(ZeroDivisionError):
            await f(0)
        assert await f(1) == 1

    run(main())


# R2: stale_while_revalidate


def test_R2_a_stale_value_is_served_at_once_and_refreshed_once(run, clock, upstream):
    async def main():
        f = made(upstream, clock, stale_while_revalidate=5)
        assert await f(1) == 1
        clock.now = 10
        upstream.gate = asyncio.Event()
        assert [await f(1) for _ in range(3)] == [1, 1, 1]
        await settle()
        assert upstream.loads == [1, 1]
        upstream.gate.set()
        await settle()
        assert await f(1) == 2
        clock.now = 19.9
        assert await f(1) == 2
        stats = f.cache_stats()
        assert (stats.hits, stats.misses, stats.stale_served, stats.refreshes) == (5, 1, 3, 1)

    run(main())


def test_R2_past_the_window_callers_wait(run, clock, upstream):
    async def main():
        f = made(upstream, clock, stale_while_revalidate=5)
        await f(1)
        clock.now = 15
        assert await f(1) == 2
        assert f.cache_stats().stale_served == 0

    run(main())


def test_R2_mapping_reads_see_nothing_stale(run, clock, upstream):
    async def main():
        f = made(upstream, clock, stale_while_revalidate=5)
        await f(1)
        await f(2)
        clock.now = 12
        cache = f.cache
        key = f.cache_key(1)
        assert not f.cache_contains(1)
        assert key not in cache
        assert (len(cache), list(cache), list(cache.items()), repr(cache)[:12]) == (0, [], [], "TTLCache({},")
        assert cache.get(key) is None
        with pytest.raises(KeyError):
            cache[key]
        with pytest.raises(KeyError):
            cache.popitem()

    run(main())


def test_R2_a_refresh_does_not_begin_before_the_caller_goes_on(run, clock, upstream):
    async def main():
        f = made(upstream, clock, stale_while_revalidate=5)
        await f(1)
        clock.now = 10
        assert await f(1) == 1
        assert upstream.loads == [1]
        await settle()
        assert upstream.loads == [1, 1]

    run(main())


def test_R2_a_failed_refresh_is_reported_and_the_next_call_tries_again(run, clock, upstream):
    async def main():
        events = []
        f = made(upstream, clock, stale_while_revalidate=5, listener=events.append)
        await f(1)
        clock.now = 10
        upstream.error = OSError("down")
        assert await f(1) == 1
        await settle()
        assert [event.name for event in events] == ["miss", "store", "stale", "refresh", "load_error"]
        assert events[-1].error is upstream.error
        upstream.error = None
        assert await f(1) == 1
        await settle()
        assert await f(1) == 3
        assert f.cache_stats().load_errors == 1

    run(main())


def test_R2_x_F2_the_cancellation_of_a_caller_leaves_the_refresh(run, clock, upstream):
    async def main():
        f = made(upstream, clock, stale_while_revalidate=5)
        await f(1)
        clock.now = 14
        upstream.gate = asyncio.Event()
        await f(1)
        clock.now = 15
        waiter = asyncio.ensure_future(f(1))
        await settle()
        waiter.cancel()
        assert isinstance(await outcome(waiter), asyncio.CancelledError)
        upstream.gate.set()
        await settle()
        assert upstream.cancelled == 0
        assert f.cache_contains(1)

    run(main())


def test_R2_x_F4_an_invalidation_wins_over_a_refresh(run, clock, upstream):
    async def main():
        f = made(upstream, clock, stale_while_revalidate=5)
        await f(1)
        clock.now = 10
        upstream.gate = asyncio.Event()
        assert await f(1) == 1
        await settle()
        assert not f.cache_invalidate(1)  # it was stale: to mapping reads there was nothing
        upstream.gate.set()
        await settle()
        assert not f.cache_contains(1)
        assert await f(1) == 3

    run(main())


def test_R2_refreshes_run_in_the_context_of_the_call_that_started_them(run, clock):
    from contextvars import ContextVar

    request = ContextVar("request")
    seen = []

    async def main():
        @cached(ttl=10, timer=clock, stale_while_revalidate=5)
        async def f(key):
            seen.append(request.get())
            request.set("changed")

        request.set("first")
        await f(1)
        clock.now = 10
        request.set("second")
        await f(1)
        await settle()
        assert (seen, request.get()) == (["first", "second"], "second")

    run(main())


def test_R2_a_load_may_serve_itself_stale(run, clock):
    """F6: a refresh waits for nobody who waits for it."""

    async def main():
        calls = []

        @cached(ttl=10, timer=clock, stale_while_revalidate=100)
        async def f(key):
            calls.append(key)
            return await f(key) if len(calls) > 1 else "value"

        await f(1)
        clock.now = 10
        assert await f(1) == "value"
        await settle()
        assert calls == [1, 1]
        assert await f(1) == "value"

    run(main())


def test_R2_refreshes_are_bounded(run, clock, upstream):
    async def main():
        f = made(upstream, clock, maxsize=1000, stale_while_revalidate=5)
        for key in range(400):
            await f(key)
        clock.now = 10
        upstream.gate = asyncio.Event()
        for key in range(400):
            await f(key)
        await settle()
        assert len(upstream.loads) == 400 + 256
        upstream.gate.set()
        await settle()
        await f(399)
        await settle()
        assert len(upstream.loads) == 400 + 257

    run(main())


def test_R2_a_refresh_does_not_outlive_its_loop_noisily(clock, recwarn, capfd):
    async def never():
        await asyncio.get_running_loop().create_future()

    @cached(ttl=10, timer=clock, stale_while_revalidate=5)
    async def f(key):
        if clock.now >= 10:
            await never()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(f(1))
    clock.now = 10
    loop.run_until_complete(f(1))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    asyncio.run(f(2)) if clock.now < 10 else None
    gc.collect()
    assert capfd.readouterr().err == ""
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize("policy", ["lru", "lfu", "fifo", "rr", "tinylfu"])
@pytest.mark.parametrize("ttl", [10, lambda value: 10], ids=["seconds", "function"])
def test_R1_x_R2_x_R3_stale_values_of_every_policy_and_of_a_ttl_function(run, clock, upstream, policy, ttl):
    async def main():
        f = made(upstream, clock, ttl=ttl, policy=policy, stale_while_revalidate=5, stale_if_error=20)
        await f(1)
        clock.now = 10
        assert await f(1) == 1
        await settle()
        assert await f(1) == 2
        upstream.error = OSError("down")
        clock.now = 26
        assert await f(1) == 2

    run(main())


# R3: stale_if_error


def test_R3_a_failed_load_serves_the_last_good_value(run, clock, upstream):
    async def main():
        f = made(upstream, clock, stale_if_error=100)
        assert await f(1) == 1
        clock.now = 10
        upstream.error, upstream.gate = OSError("down"), asyncio.Event()
        calls = [asyncio.ensure_future(f(1)) for _ in range(5)]
        await settle()
        upstream.gate.set()
        assert await asyncio.gather(*calls) == [1] * 5
        assert upstream.loads == [1, 1]
        assert await f(1) == 1
        clock.now = 110
        with pytest.raises(OSError, match="down"):
            await f(1)
        upstream.error = None
        assert await f(1) == 5
        assert f.cache_stats().stale_served == 6

    run(main())


def test_R3_x_R2_a_refresh_that_fails_serves_nobody(run, clock, upstream):
    async def main():
        events = []
        f = made(upstream, clock, stale_while_revalidate=5, stale_if_error=100, listener=events.append)
        await f(1)
        clock.now = 10
        upstream.error = OSError("down")
        assert await f(1) == 1
        await settle()
        clock.now = 20
        assert await asyncio.gather(f(1), f(1)) == [1, 1]
        names = [event.name for event in events]
        assert names.count("stale") == f.cache_stats().stale_served == 3

    run(main())


def test_R3_without_a_value_the_error_is_raised(run, clock, upstream):
    async def main():
        f = made(upstream, clock, stale_if_error=100)
        upstream.error = OSError("down")
        with pytest.raises(OSError, match="down"):
            await f(1)

    run(main())


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit()])
def test_R3_cancellation_and_exit_are_no_failures(clock, upstream, error):
    async def main():
        f = made(upstream, clock, stale_if_error=100)
        await f(1)
        clock.now = 10
        upstream.error = error
        await f(1)

    with pytest.raises(type(error)):
        asyncio.run(main())


def test_R3_x_F4_an_invalidation_during_the_load_takes_the_stale_value(run, clock, upstream):
    async def main():
        f = made(upstream, clock, stale_if_error=100)
        await f(1)
        clock.now = 10
        upstream.gate, upstream.error = asyncio.Event(), OSError("down")
        call = asyncio.ensure_future(f(1))
        await settle()
        f.cache_invalidate(1)
        upstream.gate.set()
        assert isinstance(await outcome(call), OSError)

    run(main())


def test_R3_x_R2_the_windows_begin_together(run, clock, upstream):
    async def main():
        f = made(upstream, clock, stale_while_revalidate=5, stale_if_error=20)
        await f(1)
        upstream.error = OSError("down")
        clock.now = 12
        assert await f(1) == 1
        await settle()
        clock.now = 20
        assert await f(1) == 1
        clock.now = 30
        with pytest.raises(OSError, match="down"):
            await f(1)

    run(main())


# R4: timeout, soft_timeout


def test_R4_a_load_that_takes_too_long_is_cancelled_and_failed(run, clock, upstream):
    async def main():
        f = made(upstream, clock, timeout=3)
        upstream.gate = asyncio.Event()
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

        call = asyncio.ensure_future(f(1))
        await settle()
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
        f = made(upstream, clock, timeout=3)
        upstream.gate = asyncio.Event()
        call = asyncio.ensure_future(f(1))
        await settle()
        upstream.gate.set()
        assert await call == 1
        clock.advance(5)
        assert await f(1) == 1

    run(main())


def test_R4_x_R3_a_stale_value_is_served_when_the_load_times_out(run, clock, upstream):
    async def main():
        f = made(upstream, clock, timeout=3, stale_if_error=100)
        await f(1)
        clock.now = 10
        upstream.gate = asyncio.Event()
        call = asyncio.ensure_future(f(1))
        await settle()
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
        f = made(upstream, clock, soft_timeout=1, stale_if_error=100)
        await f(1)
        clock.now = 10
        upstream.gate = asyncio.Event()
        first = asyncio.ensure_future(f(1))
        await settle()
        clock.advance(0.5)
        second = asyncio.ensure_future(f(1))
        await settle()
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
        f = made(upstream, clock, soft_timeout=1, stale_if_error=100)
        upstream.gate = asyncio.Event()
        call = asyncio.ensure_future(f(1))
        await settle()
        clock.advance(5)
        await settle()
        assert not call.done()
        upstream.gate.set()
        assert await call == 1

    run(main())


def test_R4_x_F2_a_load_that_somebody_left_early_is_not_abandoned(run, clock, upstream):
    async def main():
        f = made(upstream, clock, soft_timeout=1, stale_if_error=100)
        await f(1)
        clock.now = 10
        upstream.gate = asyncio.Event()
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
        f = made(upstream, clock, soft_timeout=1, stale_if_error=100)
        await f(1)
        clock.now = 10
        upstream.gate = asyncio.Event()
        call = asyncio.ensure_future(f(1))
        await settle()
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
        f = made(upstream, clock, soft_timeout=1, stale_if_error=100, listener=events.append)
        await f(1)
        clock.now = 10
        upstream.gate = asyncio.Event()
        call = asyncio.ensure_future(f(1))
        await settle()
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
        call = asyncio.ensure_future(b(1))
        await settle()
        clock.advance(1)
        await settle()
        gate.set()
        assert await call == "old"
        await settle()
        assert await a(1) == "old"

    run(main())


# R5: cache_errors


class Missing(Exception):
    def __init__(self, key):
        super().__init__(key)
        self.key = key


def test_R5_a_failure_is_remembered_for_its_own_time(run, clock, upstream):
    async def main():
        f = made(upstream, clock, cache_errors={Missing: 3, (OSError, ValueError): 1})
        upstream.error = Missing(1)
        for _ in range(3):
            with pytest.raises(Missing) as caught:
                await f(1)
            assert caught.value.key == 1
        assert upstream.loads == [1]
        assert (len(f.cache), f.cache_contains(1)) == (0, False)
        clock.now = 3
        upstream.error = OSError(5, "down")
        for _ in range(2):
            with pytest.raises(OSError, match="down"):
                await f(1)
        assert upstream.loads == [1, 1]
        clock.now = 4
        upstream.error = KeyError(1)
        for _ in range(2):
            with pytest.raises(KeyError):
                await f(1)
        assert upstream.loads == [1, 1, 1, 1]
        upstream.error = None
        assert await f(1) == 5
        info = f.cache_info()
        assert (info.hits, info.misses) == (3, 5)

    run(main())


def test_R5_remembered_failures_hold_no_frames(run, clock):
    class Big:
        pass

    async def main():
        refs = []

        @cached(ttl=10, timer=clock, cache_errors={Missing: 3})
        async def f(key):
            big = Big()
            refs.append(weakref.ref(big))
            try:
                raise OSError
            except OSError:
                raise Missing(key) from None

        for _ in range(2):
            assert isinstance(await called(f, 1), Missing)
            big = Big()
            refs.append(weakref.ref(big))
            try:
                await f(1)
            except Missing as error:
                assert error.__traceback__.tb_next is None
            del big
        await settle()  # the load's task, in whose callback its callers were woken, is gone
        gc.collect()
        assert [ref() for ref in refs] == [None] * 3

    run(main())


def test_R5_what_cannot_be_copied_is_shared(run, clock):
    class Odd(Exception):
        def __init__(self, *, code):
            super().__init__(f"code {code}")
            self.code = code

    async def main():
        @cached(ttl=10, timer=clock, cache_errors={Odd: 3})
        async def f(key):
            raise Odd(code=7)

        for _ in range(3):
            error = await called(f, 1)
            assert (type(error), error.code) == (Odd, 7)

    run(main())


def test_R5_x_F4_an_invalidation_or_a_store_forgets_the_failure(run, clock, upstream):
    async def main():
        f = made(upstream, clock, cache_errors={OSError: 3})
        upstream.error = OSError("down")
        await called(f, 1)
        f.cache_invalidate(1)
        await called(f, 1)
        assert upstream.loads == [1, 1]
        f.cache[f.cache_key(1)] = "set"
        assert await f(1) == "set"
        f.cache_clear()
        upstream.gate = asyncio.Event()
        call = asyncio.ensure_future(f(1))
        await settle()
        f.cache_invalidate(1)
        upstream.gate.set()
        assert isinstance(await outcome(call), OSError)
        upstream.error = None
        assert await f(1) == 4

    run(main())


def test_R5_x_R3_a_stale_value_is_served_while_the_upstream_rests(run, clock, upstream):
    async def main():
        f = made(upstream, clock, stale_if_error=100, cache_errors={OSError: 3})
        await f(1)
        clock.now = 10
        upstream.error = OSError("down")
        assert [await f(1) for _ in range(4)] == [1] * 4
        assert upstream.loads == [1, 1]
        clock.now = 13
        assert await f(1) == 1
        assert upstream.loads == [1, 1, 1]
        clock.now = 109
        assert await f(1) == 1
        clock.now = 110
        with pytest.raises(OSError, match="down"):
            await f(1)
        clock.now = 112
        upstream.error = None
        assert await f(1) == 5

    run(main())


def test_R5_x_R2_refreshes_rest_after_a_failure(run, clock, upstream):
    async def main():
        f = made(upstream, clock, stale_while_revalidate=20, cache_errors={OSError: 3})
        await f(1)
        clock.now = 10
        upstream.error = OSError("down")
        for _ in range(3):
            assert await f(1) == 1
            await settle()
        assert upstream.loads == [1, 1]
        clock.now = 13
        upstream.error = None
        assert await f(1) == 1
        await settle()
        assert await f(1) == 3

    run(main())


def test_R5_x_R4_timeouts_can_be_remembered(run, clock, upstream):
    async def main():
        f = made(upstream, clock, timeout=1, cache_errors={LoadTimeout: 5})
        upstream.gate = asyncio.Event()
        call = asyncio.ensure_future(f(1))
        await settle()
        clock.advance(1)
        assert isinstance(await outcome(call), LoadTimeout)
        assert isinstance(await called(f, 1), LoadTimeout)
        assert upstream.loads == [1]

    run(main())


def test_R5_removal_listeners_and_expire_know_values_alone(run, clock, upstream):
    async def main():
        gone = []
        cache = TTLCache(10, 10, clock, removal_listener=lambda *entry: gone.append(entry))
        f = cached(cache, stale_if_error=5, cache_errors={OSError: 3})(upstream.__call__)
        await f(1)
        clock.now = 10
        upstream.error = OSError("down")
        assert await f(1) == 1
        assert isinstance(await called(f, 2), OSError)
        assert gone == []
        clock.now = 20
        assert cache.expire() == [(f.cache_key(1), 1)]
        assert [(value, str(cause)) for _, value, cause in gone] == [(1, "expired")]
        assert (len(cache), cache.currsize) == (0, 0)

    run(main())


def test_R5_an_untimed_cache_can_remember_failures(run, clock, upstream):
    async def main():
        f = cached(LRUCache(10, timer=clock), cache_errors={OSError: 3})(upstream.__call__)
        upstream.error = OSError("down")
        await called(f, 1)
        await called(f, 1)
        assert upstream.loads == [1]
        clock.now = 3
        upstream.error = None
        assert await f(1) == 2
        clock.now = 1e9
        assert await f(1) == 2

    run(main())


def test_R5_where_nothing_can_be_stored_failures_are_not(run, clock, upstream):
    async def main():
        f = made(upstream, clock, maxsize=0, cache_errors={OSError: 3})
        upstream.error = OSError("down")
        await called(f, 1)
        await called(f, 1)
        assert upstream.loads == [1, 1]

    run(main())


# cache_refresh and cache_set


def test_R2_cache_refresh_loads_whatever_there_is(run, clock, upstream):
    async def main():
        f = made(upstream, clock)
        assert await f(1) == 1
        upstream.gate = asyncio.Event()
        refreshed = asyncio.ensure_future(f.cache_refresh(1))
        await settle()
        assert await f(1) == 1
        joined = asyncio.ensure_future(f.cache_refresh(1))
        await settle()
        upstream.gate.set()
        assert [await refreshed, await joined, await f(1)] == [2, 2, 2]
        assert upstream.loads == [1, 1]

    run(main())


def test_R2_a_failed_cache_refresh_leaves_the_value(run, clock, upstream):
    async def main():
        f = made(upstream, clock, cache_errors={OSError: 3})
        await f(1)
        upstream.error = OSError("down")
        with pytest.raises(OSError, match="down"):
            await f.cache_refresh(1)
        assert await f(1) == 1

    run(main())


def test_F4_cache_set_stores_and_wins_over_a_load(run, clock, upstream):
    async def main():
        f = made(upstream, clock)
        upstream.gate = asyncio.Event()
        call = asyncio.ensure_future(f(1))
        await settle()
        assert f.cache_set("set", 1) is True
        upstream.gate.set()
        assert [await call, await f(1)] == [1, "set"]
        clock.now = 10
        assert await f(1) == 2

    run(main())


def test_F4_cache_set_and_cache_refresh_of_methods(run):
    class Service:
        def __init__(self):
            self.cache = aiocachetools.TTLCache(10, 60)
            self.loads = 0

        @cachedmethod(lambda self: self.cache, stale_if_error=10)
        async def get(self, key):
            self.loads += 1
            return self.loads

    async def main():
        service = Service()
        assert await service.get(1) == 1
        assert await service.get.cache_refresh(1) == 2
        assert service.get.cache_set("set", 1)
        assert await service.get(1) == "set"
        assert service.get.cache_set.__name__ == "cache_set"

    run(main())


def test_A5_cache_set_and_refresh_while_caching_is_off(run, upstream):
    async def main():
        f = cached(None, stale_if_error=5)(upstream.__call__)
        assert f.cache_set("set", 1) is False
        assert [await f.cache_refresh(1), await f(1)] == [1, 2]

    run(main())


# Options that do not go together


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"stale_if_error": 5}, TypeError, "stale_if_error needs entries that expire: give ttl as well"),
        ({"jitter": 5}, TypeError, "jitter needs entries that expire"),
        (
            {"cache": {}, "stale_while_revalidate": 5},
            TypeError,
            "stale_while_revalidate needs one of aiocachetools' own caches.* not dict",
        ),
        (
            {"cache": cachetools.TTLCache(1, 1), "cache_errors": {OSError: 1}},
            TypeError,
            "cache_errors needs one of",
        ),
        (
            {"cache": LRUCache(1), "stale_if_error": 5},
            TypeError,
            "stale_if_error needs entries that expire: give a TTLCache",
        ),
        ({"cache": {}, "ttl": lambda value: 5}, TypeError, "ttl cannot be combined with a cache"),
        (
            {"ttl": 5, "stale_if_error": -1},
            ValueError,
            "stale_if_error must be a number of seconds from 0, not -1",
        ),
        ({"ttl": 5, "jitter": "1"}, TypeError, "jitter must be a number of seconds or a timedelta, not '1'"),
        ({"timeout": 0}, ValueError, "timeout must be a number of seconds above 0"),
        ({"cache_if": 5}, TypeError, "cache_if must be a function of the value, not 5"),
        (
            {"cache_errors": OSError},
            TypeError,
            r"cache_errors must map exception types to seconds, such as cache_errors=\{NotFound: 30\}",
        ),
        (
            {"cache_errors": {asyncio.CancelledError: 5}},
            TypeError,
            "cache_errors must name subclasses of Exception",
        ),
        ({"cache_errors": {OSError: "5"}}, TypeError, r"cache_errors\[OSError\] must be a number"),
    ],
)
def test_A4_options_that_cannot_be_are_refused(options, error, text):
    with pytest.raises(error, match=text):

        @cached(**options)
        async def f(key):
            return key


def test_A4_a_lock_does_not_go_with_entry_state():
    import threading

    with pytest.raises(TypeError, match="stale_if_error cannot be combined with a lock"):
        cached(ttl=5, stale_if_error=5, lock=threading.Lock())


def test_A4_a_resolved_cache_is_checked_when_it_is_there(run):
    class Service:
        cache = {}

        @cachedmethod(lambda self: self.cache, stale_if_error=10)
        async def get(self, key):
            return key

    async def main():
        with pytest.raises(TypeError, match=r"get\(\): stale_if_error cannot be combined with .* dict"):
            await Service().get(1)

    run(main())
