"""The attributes of decorated functions and of their bound methods (section 1 of the contract)."""

import asyncio

import cachetools
import pytest
from cachetools.keys import hashkey
from support import Source, outcome, settle

import aiocachetools
from aiocachetools import CacheInfo, cached, cachedmethod


class Service:
    def __init__(self):
        self.store = aiocachetools.LRUCache(2)
        self.source = Source()

    @cachedmethod(lambda self: self.store)
    async def load(self, key, limit=10):
        return await self.source.load(key)


def test_cache_is_the_mapping(lib):
    for cache in ({}, lib.LRUCache(5), lib.TTLCache(5, 60)):
        assert cached(cache)(Source().load).cache is cache


def test_cache_of_a_bound_method_is_what_the_resolver_answers():
    service = Service()
    assert service.load.cache is service.store
    service.store = other = {}
    assert service.load.cache is other


def test_cache_key_is_the_key_in_the_mapping(run):
    f = cached({})(Source().load)
    service = Service()

    async def main():
        await f(1)
        assert list(f.cache) == [f.cache_key(1)] == [hashkey(1)]
        assert f.cache_key(key=1) == f.cache_key(1) != f.cache_key(2)
        await service.load(1)
        assert service.load.cache_key(1) in service.store
        assert service.load.cache_key(1, limit=10) in service.store
        assert service.load.cache_key(1, 11) not in service.store

    run(main())


def test_cache_key_takes_the_functions_arguments():
    f = cached({})(Source().load)
    for method in (f.cache_key, f.cache_contains, f.cache_invalidate):
        with pytest.raises(TypeError, match="unknown"):
            method(1, unknown=2)


def test_locks_are_none_unless_given():
    f = cached(Source().load)
    assert f.cache_lock is None
    assert f.cache_condition is None


def test_cache_info_and_its_fields(run):
    f = cached(maxsize=3)(Source().load)

    async def main():
        for key in (1, 1, 2, 3, 4):
            await f(key)

    run(main())
    info = f.cache_info()
    assert isinstance(info, CacheInfo)
    assert info == CacheInfo(hits=1, misses=4, maxsize=3, currsize=3) == (1, 4, 3, 3)
    assert info._fields == ("hits", "misses", "maxsize", "currsize")


def test_cache_info_of_each_kind_of_cache(run):
    async def f(x):
        return "x" * x

    sized = cached(cachetools.LRUCache(100, getsizeof=len))(f)
    native = cached(aiocachetools.LRUCache(100, getsizeof=len))(f)
    plain = cached({})(f)

    async def main():
        for function in (sized, native, plain):
            await function(7)

    run(main())
    assert sized.cache_info() == native.cache_info() == (0, 1, 100, 7)
    assert plain.cache_info()[:2] == (0, 1)
    assert plain.cache_info().currsize == 1


def test_cache_parameters():
    async def f(x):
        return x

    assert cached(f).cache_parameters()["maxsize"] == 128
    assert cached(maxsize=10)(f).cache_parameters()["maxsize"] == 10
    assert cached(f).cache_parameters()["typed"] is False
    assert cached(typed=True)(f).cache_parameters()["typed"] is True
    assert Service().load.cache_parameters()["typed"] is False


def test_cache_contains_touches_nothing(run):
    source = Source()
    f = cached(maxsize=2)(source.load)

    async def main():
        await f(1)
        await f(2)
        before = f.cache_info()
        for _ in range(3):
            assert f.cache_contains(1) is True
            assert f.cache_contains(key=9) is False
        assert f.cache_info() == before
        await f(3)
        assert [f.cache_contains(x) for x in (1, 2, 3)] == [False, True, True]

    run(main())
    assert source.runs == [1, 2, 3]


def test_cache_contains_is_false_while_the_load_runs(run, deco):
    source = Source(held=True)
    f = deco()(source.load)

    async def main():
        task = asyncio.create_task(f(1))
        await settle()
        assert f.cache_contains(1) is False
        source.gate.set()
        await task
        assert f.cache_contains(1) is True

    run(main())


def test_cache_invalidate_tells_whether_there_was_an_entry(run, deco):
    source = Source()
    f = deco()(source.load)

    async def main():
        assert f.cache_invalidate(1) is False
        await f(1)
        await f(2)
        assert f.cache_invalidate(key=1) is True
        assert f.cache_invalidate(1) is False
        await f(1)
        await f(2)

    run(main())
    assert source.runs == [1, 2, 1]


def test_cache_clear_empties_and_resets_the_counters(run, deco):
    source = Source()
    f = deco()(source.load)

    async def main():
        for key in (1, 2, 1):
            await f(key)
        assert f.cache_info()[:2] == (1, 2)
        assert f.cache_clear() is None
        assert f.cache_info()[:2] == (0, 0)
        assert f.cache_info().currsize == 0
        assert len(f.cache) == 0
        await f(1)
        assert f.cache_info()[:2] == (0, 1)

    run(main())


def test_bound_methods_act_on_their_own_instance(run):
    a, b = Service(), Service()

    async def main():
        for service in (a, b):
            await service.load(1)
            await service.load(1)
        assert a.load.cache_contains(1) is True
        assert a.load.cache_invalidate(1) is True
        assert (a.load.cache_contains(1), b.load.cache_contains(1)) == (False, True)
        b.load.cache_clear()
        assert b.load.cache_info()[:2] == (0, 0)
        assert a.load.cache_info()[:2] == (1, 1)

    run(main())


def test_attributes_through_the_class_take_the_instance(run):
    service = Service()

    async def main():
        await Service.load(service, 1)
        assert Service.load.cache_key(service, 1) == service.load.cache_key(1)
        assert Service.load.cache_contains(service, 1) is True
        assert Service.load.cache_invalidate(service, 1) is True
        assert service.load.cache_contains(1) is False

    run(main())


def test_bound_attributes_of_a_cached_function_in_a_class(run):
    source = Source()

    class Reports:
        @cached({})
        async def report(self, day):
            return await source.load(day)

    a, b = Reports(), Reports()

    async def main():
        await a.report("monday")
        await b.report("monday")
        assert len(Reports.report.cache) == 2
        assert a.report.cache is Reports.report.cache
        assert a.report.cache_key("monday") in a.report.cache
        assert a.report.cache_invalidate("monday") is True
        assert b.report.cache_contains(day="monday") is True
        a.report.cache_clear()
        assert b.report.cache_contains("monday") is False

    run(main())


def test_cache_close_refuses_further_calls(arun, deco):
    source = Source()
    f = deco()(source.load)

    async def main():
        await f(1)
        assert await f.cache_close() is None
        for key in (1, 2):
            with pytest.raises(
                RuntimeError, match=r"load\(\) was closed by cache_close\(\), for good: .* anew"
            ):
                await f(key)
        await f.cache_close()

    arun(main())
    assert source.runs == [1]


def test_cache_close_ends_the_loads_that_run(arun, deco):
    source = Source(held=True)
    f = deco()(source.load)

    async def main():
        tasks = [asyncio.create_task(f(key)) for key in (1, 1, 2)]
        await settle()
        await f.cache_close()
        results = await asyncio.gather(*map(outcome, tasks))
        assert all(isinstance(result, asyncio.CancelledError) for result in results)

    arun(main())
    assert sorted(source.cancelled) == [1, 2]


def test_cache_close_can_wait_for_the_loads_that_run(arun, deco):
    source = Source(held=True)
    f = deco()(source.load)

    async def main():
        tasks = [asyncio.create_task(f(key)) for key in (1, 1, 2)]
        await settle()
        closing = asyncio.create_task(f.cache_close(wait=True))
        await settle()
        assert not closing.done()
        with pytest.raises(RuntimeError):
            await f(1)
        source.gate.set()
        await closing
        assert await asyncio.gather(*tasks) == [["value of", key] for key in (1, 1, 2)]

    arun(main())
    assert source.cancelled == []
