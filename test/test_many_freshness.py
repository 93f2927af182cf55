"""Rules R2 to R5 with R7: stale values, failures and time limits, key by key."""

import asyncio

import pytest
from support import Timers, called, outcome, settle

from aiocachetools import LoadTimeout, cached_many


@pytest.fixture
def clock():
    return Timers()


class Rows:
    """Where rows come from: notes which keys were asked for together."""

    def __init__(self):
        self.asked = []
        self.error = None
        self.gate = None

    async def __call__(self, keys):
        self.asked.append(list(keys))
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return {key: (key, len(self.asked)) for key in keys}


@pytest.fixture
def rows():
    return Rows()


def made(rows, clock, **options):
    async def f(keys):
        return await rows(keys)

    return cached_many(**{"maxsize": 100, "ttl": 10, "timer": clock, **options})(f)


def test_R2_R7_stale_keys_are_served_and_refreshed_together(run, clock, rows):
    async def main():
        f = made(rows, clock, stale_while_revalidate=5)
        await f([1, 2, 3])
        clock.now = 5
        await f([4])
        clock.now = 10
        rows.gate = asyncio.Event()
        waiting = asyncio.ensure_future(f([1, 2, 4, 5]))
        await settle()
        assert sorted(rows.asked[2:]) == [[1, 2], [5]]
        assert not waiting.done()
        rows.gate.set()
        got = await waiting
        assert (got[1], got[2], got[4]) == ((1, 1), (2, 1), (4, 2))
        await settle()
        refreshed = await f([1, 2])
        assert refreshed[1][1] > 2
        stats = f.cache_stats()
        assert (stats.stale_served, stats.refreshes, stats.misses) == (2, 2, 5)

    run(main())


def test_R2_R7_a_call_that_finds_all_keys_stale_does_not_wait(run, clock, rows):
    async def main():
        f = made(rows, clock, stale_while_revalidate=5, max_batch=2)
        await f([1, 2, 3])
        clock.now = 10
        rows.gate = asyncio.Event()
        before = len(rows.asked)
        assert {key: value[0] for key, value in (await f([1, 2, 3])).items()} == {1: 1, 2: 2, 3: 3}
        assert (await f.one(3))[0] == 3
        await settle()
        assert rows.asked[before:] == [[1, 2], [3]]
        rows.gate.set()
        await settle()
        assert f.cache_contains(1)

    run(main())


def test_R2_R7_stale_keys_of_calls_for_one_key_are_refreshed_together(run, clock, rows):
    async def main():
        f = made(rows, clock, stale_while_revalidate=5, max_batch=3)
        await f([1, 2, 3, 4])
        clock.now = 10
        before = len(rows.asked)
        got = await asyncio.gather(*(f.one(key) for key in [1, 2, 3, 4, 5]))
        assert got[:4] == [(1, 1), (2, 1), (3, 1), (4, 2)]
        await settle()
        assert sorted(rows.asked[before:]) == [[1, 2, 3], [4], [5]]

    run(main())


def test_R2_R7_an_invalidated_key_is_not_stored_by_the_refresh(run, clock, rows):
    async def main():
        f = made(rows, clock, stale_while_revalidate=5)
        await f([1, 2])
        clock.now = 10
        rows.gate = asyncio.Event()
        await f([1, 2])
        await settle()
        f.cache_invalidate(1)
        rows.gate.set()
        await settle()
        assert [f.cache_contains(1), f.cache_contains(2)] == [False, True]

    run(main())


def test_R3_R7_stale_keys_are_served_where_the_batch_fails(run, clock, rows):
    async def main():
        f = made(rows, clock, stale_if_error=100)
        await f([1, 2])
        clock.now = 10
        rows.error = OSError("down")
        assert await f([1, 2]) == {1: (1, 1), 2: (2, 1)}
        with pytest.raises(OSError, match="down"):
            await f([1, 3])
        assert await f.one(1) == (1, 1)

    run(main())


def test_R4_R7_a_batch_that_takes_too_long_has_failed(run, clock, rows):
    async def main():
        f = made(rows, clock, timeout=3, stale_if_error=100)
        await f([1])
        clock.now = 10
        rows.gate = asyncio.Event()
        old, new = asyncio.ensure_future(f([1])), asyncio.ensure_future(f([1, 2]))
        await settle()
        clock.advance(3)
        assert await old == {1: (1, 1)}
        assert isinstance(await outcome(new), LoadTimeout)
        rows.gate = None
        assert (await f([2]))[2][0] == 2
        assert clock.pending() == []

    run(main())


def test_R4_R7_who_has_waited_long_enough_gets_what_is_stale(run, clock, rows):
    async def main():
        f = made(rows, clock, soft_timeout=1, stale_if_error=100)
        await f([1, 2])
        clock.now = 10
        rows.gate = asyncio.Event()
        stale, mixed = asyncio.ensure_future(f([1, 2])), asyncio.ensure_future(f([1, 3]))
        await settle()
        clock.advance(1)
        assert await stale == {1: (1, 1), 2: (2, 1)}
        await settle()
        assert not mixed.done()
        rows.gate.set()
        got = await mixed
        assert (got[1], got[3][0]) == ((1, 1), 3)
        await settle()
        assert f.cache_contains(2)

    run(main())


def test_F2_R4_R7_a_cancelled_call_waits_for_its_load_to_unwind_however_long_that_takes(run, clock):
    async def main():
        unwinds = asyncio.Event()

        async def f(keys):
            if clock.now:
                try:
                    await asyncio.Event().wait()
                finally:
                    await unwinds.wait()
            return dict.fromkeys(keys, "value")

        f = cached_many(ttl=10, timer=clock, soft_timeout=1, stale_if_error=100)(f)
        await f([1, 2])
        clock.now = 10
        call = asyncio.ensure_future(f([1, 2]))
        await settle()
        call.cancel()
        await settle()
        clock.advance(1)
        await settle()
        assert not call.done()
        assert f.cache_stats().stale_served == 0
        unwinds.set()
        assert isinstance(await outcome(call), asyncio.CancelledError)
        assert clock.pending() == []

    run(main())


def test_R5_R7_failures_are_remembered_key_by_key(run, clock, rows):
    async def main():
        f = made(rows, clock, cache_errors={OSError: 3})
        rows.error = OSError("down")
        assert isinstance(await called(f, [1, 2]), OSError)
        rows.error = None
        assert isinstance(await called(f, [2]), OSError)
        assert isinstance(await called(f, [1, 3]), OSError)
        assert await f([3]) == {3: (3, 2)}
        clock.now = 3
        assert set(await f([1, 2, 3])) == {1, 2, 3}
        assert rows.asked == [[1, 2], [3], [1, 2]]

    run(main())


def test_R1_R7_cache_if_decides_key_by_key(run, clock, rows):
    async def main():
        f = made(rows, clock, cache_if=lambda value: value[0] != 2)
        await f([1, 2])
        assert [f.cache_contains(1), f.cache_contains(2)] == [True, False]

    run(main())


def test_R7_cache_refresh_loads_all_keys_anew(run, clock, rows):
    async def main():
        f = made(rows, clock)
        await f([1, 2])
        assert await f.cache_refresh([1, 3]) == {1: (1, 2), 3: (3, 2)}
        assert await f([1, 2, 3]) == {1: (1, 2), 2: (2, 1), 3: (3, 2)}
        assert f.cache_set("set", 2)
        assert await f.one(2) == "set"

    run(main())
