"""Rule F1: one load for all concurrent callers."""

import asyncio

import pytest
from support import Source, settle

import aiocachetools
from aiocachetools import cached, cachedmethod


def test_F1_10_000_callers_are_one_execution(arun, deco):
    source = Source(held=True)
    f = deco()(source.load)

    async def main():
        callers = asyncio.gather(*(f(1) for _ in range(10_000)))
        await settle(3)
        source.gate.set()
        results = await callers
        assert all(result is results[0] for result in results)

    arun(main())
    assert source.runs == [1]
    assert f.cache_info()[:2] == (9_999, 1)


SMALL = {
    "maxsize_10": lambda: cached(maxsize=10),
    "maxsize_1": lambda: cached(maxsize=1),
    "maxsize_0": lambda: cached(maxsize=0),
    "ttl": lambda: cached(maxsize=10, ttl=60),
    "random": lambda: cached(aiocachetools.RRCache(10)),
    "too_large": lambda: cached(aiocachetools.LRUCache(10, getsizeof=lambda value: 11)),
}


@pytest.mark.parametrize("kind", SMALL)
def test_F1_100_keys_by_100_callers_are_100_executions(arun, kind):
    source = Source(held=True)
    f = SMALL[kind]()(source.load)

    async def main():
        callers = asyncio.gather(*(f(n % 100) for n in range(10_000)))
        await settle(3)
        source.gate.set()
        assert [value[1] for value in await callers] == [n % 100 for n in range(10_000)]

    arun(main())
    assert sorted(source.runs) == list(range(100))
    assert f.cache_info().currsize <= 10


def test_F1_callers_join_at_any_time_of_the_load(arun, deco):
    """Also in the very steps in which it ends, when there is neither a load nor yet an entry."""
    runs = []

    @deco()
    async def f(x):
        runs.append(x)
        await settle(x)
        return x

    async def main():
        for x in range(12):
            tasks = []
            for _ in range(20):
                tasks.append(asyncio.create_task(f(x)))
                await asyncio.sleep(0)
            assert await asyncio.gather(*tasks) == [x] * 20

    arun(main())
    assert runs == list(range(12))


def test_F1_a_load_that_never_suspends(arun, deco):
    runs = []

    @deco()
    async def f(x):
        runs.append(x)
        return x

    async def main():
        assert await asyncio.gather(*(f(n % 3) for n in range(99))) == [n % 3 for n in range(99)]

    arun(main())
    assert sorted(runs) == [0, 1, 2]


def test_F1_functions_and_caches_have_flights_of_their_own(arun):
    """A load is shared by calls of one function on one cache, by no others."""

    class Service:
        def __init__(self):
            self.cache, self.source = {}, Source(held=True)

        @cachedmethod(lambda self: self.cache, ignore=("self",))
        async def load(self, x):
            return await self.source.load(x)

    async def main():
        services = [Service() for _ in range(3)]
        tasks = [asyncio.create_task(service.load(1)) for service in services * 4]
        await settle()
        assert [service.source.runs for service in services] == [[1]] * 3
        for service in reversed(services):
            service.source.gate.set()
            await settle()
        results = await asyncio.gather(*tasks)
        assert len({id(result) for result in results}) == 3
        assert all(results[n] is results[n % 3] for n in range(12))

    arun(main())
