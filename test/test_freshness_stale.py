"""Rules R2 and R3: stale values that are served while an entry is refreshed, or because that fails."""

import asyncio

import pytest
from support import begun, fresh_for_ten, outcome, settle

from aiocachetools import cached

# R2: stale_while_revalidate


def test_R2_a_stale_value_is_served_at_once_and_refreshed_once(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, stale_while_revalidate=5)
        assert await f(1) == 1
        clock.now = 10
        upstream.hold()
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
        f = fresh_for_ten(upstream, clock, stale_while_revalidate=5)
        await f(1)
        clock.now = 15
        assert await f(1) == 2
        assert f.cache_stats().stale_served == 0

    run(main())


def test_R2_mapping_reads_see_nothing_stale(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, stale_while_revalidate=5)
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


def test_R2_x_F2_the_cancellation_of_a_caller_leaves_the_refresh(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, stale_while_revalidate=5)
        await f(1)
        clock.now = 14
        upstream.hold()
        await f(1)
        clock.now = 15
        waiter = await begun(f(1))
        waiter.cancel()
        assert isinstance(await outcome(waiter), asyncio.CancelledError)
        upstream.gate.set()
        await settle()
        assert upstream.cancelled == 0
        assert f.cache_contains(1)

    run(main())


def test_R2_x_F4_an_invalidation_wins_over_a_refresh(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, stale_while_revalidate=5)
        await f(1)
        clock.now = 10
        upstream.hold()
        assert await f(1) == 1
        await settle()
        assert not f.cache_invalidate(1)  # it was stale: to mapping reads there was nothing
        upstream.gate.set()
        await settle()
        assert not f.cache_contains(1)
        assert await f(1) == 3

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


@pytest.mark.parametrize("policy", ["lru", "lfu", "fifo", "rr", "tinylfu"])
@pytest.mark.parametrize("ttl", [10, lambda value: 10], ids=["seconds", "function"])
def test_R1_x_R2_x_R3_stale_values_of_every_policy_and_of_a_ttl_function(run, clock, upstream, policy, ttl):
    async def main():
        f = fresh_for_ten(
            upstream, clock, ttl=ttl, policy=policy, stale_while_revalidate=5, stale_if_error=20
        )
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
        f = fresh_for_ten(upstream, clock, stale_if_error=100)
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
        f = fresh_for_ten(
            upstream, clock, stale_while_revalidate=5, stale_if_error=100, listener=events.append
        )
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
        f = fresh_for_ten(upstream, clock, stale_if_error=100)
        upstream.error = OSError("down")
        with pytest.raises(OSError, match="down"):
            await f(1)

    run(main())


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit()])
def test_R3_cancellation_and_exit_are_no_failures(clock, upstream, error):
    async def main():
        f = fresh_for_ten(upstream, clock, stale_if_error=100)
        await f(1)
        clock.now = 10
        upstream.error = error
        await f(1)

    with pytest.raises(type(error)):
        asyncio.run(main())


def test_R3_x_F4_an_invalidation_during_the_load_takes_the_stale_value(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, stale_if_error=100)
        await f(1)
        clock.now = 10
        upstream.gate, upstream.error = asyncio.Event(), OSError("down")
        call = await begun(f(1))
        f.cache_invalidate(1)
        upstream.gate.set()
        assert isinstance(await outcome(call), OSError)

    run(main())


def test_R3_x_R2_the_windows_begin_together(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, stale_while_revalidate=5, stale_if_error=20)
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
