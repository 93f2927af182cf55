"""Rule O2: hits and misses are the calls that were awaited."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import Clock, QuietLoop, Source, outcome, settle

import aiocachetools
from aiocachetools import cached, cachedmethod


def counts(f):
    return tuple(f.cache_info()[:2])


def test_O2_hits_misses_and_joins(arun, deco):
    source = Source(held=True)
    f = deco()(source.load)

    async def main():
        tasks = [asyncio.create_task(f(1)) for _ in range(4)]
        await settle()
        source.gate.set()
        await asyncio.gather(*tasks)
        assert counts(f) == (3, 1)
        await f(1)
        await f(2)
        assert counts(f) == (4, 2)

    arun(main())


def test_O2_a_call_that_was_not_awaited_does_not_count(run, deco):
    f = deco()(Source().load)

    async def main():
        f(1).close()
        assert counts(f) == (0, 0)
        await f(1)
        for _ in range(3):
            hit = f(1)
        assert counts(f) == (0, 1)
        await hit
        assert counts(f) == (1, 1)

    run(main())


def test_O2_an_early_miss_that_finds_an_entry_is_a_hit(run, deco):
    f = deco()(Source().load)

    async def main():
        early = f(1)
        await f(1)
        await early
        assert counts(f) == (1, 1)

    run(main())


def test_O2_failed_and_cancelled_calls_count(arun, deco):
    source = Source(held=True)
    f = deco()(source.load)

    async def main():
        tasks = [asyncio.create_task(f(1)) for _ in range(3)]
        await settle()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert counts(f) == (2, 1)
        source.error = KeyError()
        source.gate.set()
        for _ in range(2):
            await outcome(f(1))
        assert counts(f) == (2, 3)

    arun(main())


def test_O2_expired_and_evicted_entries_are_misses(run, lib):
    clock = Clock()
    f = cached(lib.TTLCache(2, 5, timer=clock))(Source().load)

    async def main():
        await f(1)
        clock.now = 5
        await f(1)
        await f(2)
        await f(3)
        await f(1)

    run(main())
    assert counts(f) == (0, 5)


def test_O2_refused_values_are_misses(run):
    f = cached(maxsize=0)(Source().load)

    async def main():
        for _ in range(3):
            await f(1)

    run(main())
    assert f.cache_info() == (0, 3, 0, 0)


def test_O2_functions_on_one_cache_count_for_themselves(run, lib):
    cache = lib.LRUCache(10)
    f, g = cached(cache)(Source().load), cached(cache)(Source().load)

    async def main():
        for function in (f, f, f, g):
            await function(1)

    run(main())
    assert (counts(f), counts(g)) == ((2, 1), (0, 1))
    assert f.cache_info().currsize == g.cache_info().currsize == 2


@pytest.mark.parametrize("make", [dict, lambda: aiocachetools.LRUCache(10)])
def test_O2_methods_count_per_cache(run, make):
    class Service:
        def __init__(self):
            self.cache = make()

        @cachedmethod(lambda self: self.cache)
        async def load(self, x):
            return x

    async def main():
        services = [Service() for _ in range(20)]
        for number, service in enumerate(services):
            for _ in range(number + 1):
                await service.load(1)
        for number, service in enumerate(services):
            assert counts(service.load) == (number, 1)
        services[0].load.cache_clear()
        assert counts(services[0].load) == (0, 0)
        assert counts(services[1].load) == (1, 1)
        services[1].cache = make()
        assert counts(services[1].load) == (0, 0)

    run(main())


def test_O2_instances_that_come_and_go_inherit_no_counts(run):
    """A dict takes no weak reference, and the next one may be at the same address."""

    class Service:
        def __init__(self):
            self.cache = {}

        @cachedmethod(lambda self: self.cache)
        async def load(self, x):
            return x

    async def main():
        for _ in range(200):
            service = Service()
            await service.load(1)
            await service.load(1)
            assert counts(service.load) == (1, 1)
            del service

    run(main())


def test_O2_methods_on_a_shared_cache_count_together(run):
    cache = aiocachetools.LRUCache(10)

    class Service:
        @cachedmethod(lambda self: cache)
        async def load(self, x):
            return x

    async def main():
        a, b = Service(), Service()
        for service in (a, b, a):
            await service.load(1)
        assert counts(a.load) == counts(b.load) == (1, 2)

    run(main())


def test_O2_cache_stats(run):
    source = Source(held=True)
    f = cached(maxsize=2)(source.load)

    async def main():
        tasks = [asyncio.create_task(f(1)) for _ in range(3)]
        await settle()
        source.gate.set()
        await asyncio.gather(*tasks)
        source.error = KeyError()
        await outcome(f(2))
        stats = f.cache_stats()
        assert (stats.hits, stats.misses, stats.joins, stats.loads) == (2, 2, 2, 2)
        assert stats.load_errors == 1
        assert stats.load_time > 0
        assert stats[:4] == f.cache_info()
        source.error = None
        for key in (3, 4, 5):
            await f(key)
        assert (f.cache_stats().evictions, f.cache_stats().expirations) == (2, 0)

    run(main())


STEPS = st.lists(
    st.tuples(st.sampled_from(["await", "drop", "gather", "clear"]), st.integers(0, 3)), max_size=30
)


@given(steps=STEPS)
@settings(max_examples=60, deadline=None, database=None)
def test_O2_hits_and_misses_add_up_to_the_awaited_calls(steps):
    f = cached(maxsize=2)(Source().load)

    async def main():
        awaited = 0
        for what, key in steps:
            if what == "await":
                await f(key)
                awaited += 1
            elif what == "drop":
                f(key).close()
            elif what == "gather":
                await asyncio.gather(*(f(key + n % 2) for n in range(5)))
                awaited += 5
            else:
                f.cache_clear()
                awaited = 0
            assert sum(counts(f)) == awaited

    QuietLoop(asyncio.new_event_loop)(main())
