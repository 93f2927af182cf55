"""Rules A4 and A5: what can be decorated and how, and what each choice of cache means."""

import asyncio
import functools
import inspect
import math

import cachetools
import pytest
from support import Clock, Source, settle

import aiocachetools
from aiocachetools import cached, cachedmethod


def function(x):
    return x


def generator(x):
    yield x


async def coroutine(x):
    return x


async def async_generator(x):
    yield x


class Plain:
    async def __call__(self, x):
        return x


DECORATORS = {
    "bare": cached,
    "called": cached(),
    "cache": cached({}),
    "off": cached(None),
    "sized": cached(maxsize=10, ttl=60),
    "method": cachedmethod(lambda self: {}),
}
NOT_COROUTINE_FUNCTIONS = {
    "function": function,
    "lambda": lambda x: x,
    "generator": generator,
    "builtin": len,
    "class": Plain,
    "instance": Plain(),
    "staticmethod": staticmethod(function),
    "classmethod": classmethod(function),
    "partial": functools.partial(function, 1),
}


@pytest.mark.parametrize("name", DECORATORS)
@pytest.mark.parametrize("what", NOT_COROUTINE_FUNCTIONS)
def test_A4_what_is_not_a_coroutine_function_cannot_be_decorated(name, what):
    with pytest.raises(TypeError, match="coroutine"):
        DECORATORS[name](NOT_COROUTINE_FUNCTIONS[what])


@pytest.mark.parametrize("name", ["called", "cache", "off", "sized", "method"])
@pytest.mark.parametrize("what", [10, None, "name", ["list"]], ids=repr)
def test_A4_what_is_not_even_callable_cannot_be_decorated(name, what):
    with pytest.raises(TypeError, match="coroutine"):
        DECORATORS[name](what)


@pytest.mark.parametrize("name", DECORATORS)
def test_A4_an_async_generator_function_is_told_apart(name):
    with pytest.raises(TypeError, match=r"async(hronous)? generator"):
        DECORATORS[name](async_generator)


@pytest.mark.parametrize("decorate", [cached, lambda **kw: cached({}, **kw), lambda **kw: cached(None, **kw)])
@pytest.mark.parametrize("ignore", [("nope",), ["x", "nope"], {"nope"}])
def test_A4_an_unknown_ignored_name_is_told_with_those_that_exist(decorate, ignore):
    async def report(x, day, *rest, limit=1, **others):
        return x

    with pytest.raises(TypeError) as error:
        decorate(ignore=ignore)(report)
    for name in ("nope", "day", "rest", "limit", "others"):
        assert name in str(error.value)


def test_A4_an_ignored_name_is_never_a_key_of_the_keywords():
    async def f(x, **kw):
        return x

    with pytest.raises(TypeError, match="color"):
        cached(ignore=("color",))(f)
    with pytest.raises(TypeError, match="color"):
        cachedmethod(lambda self: {}, ignore=("color",))(f)


CONTRADICTIONS = {
    "mapping_and_maxsize": lambda: cached({}, maxsize=10),
    "mapping_and_ttl": lambda: cached(cachetools.LRUCache(10), ttl=10),
    "native_and_ttl": lambda: cached(aiocachetools.LRUCache(10), ttl=10),
    "native_and_maxsize": lambda: cached(cache=aiocachetools.LRUCache(10), maxsize=10),
    "mapping_and_policy": lambda: cached({}, policy="lru"),
    "native_and_getsizeof": lambda: cached(aiocachetools.LRUCache(10), getsizeof=len),
    "getsizeof_is_no_function": lambda: cached(getsizeof=5),
    "timer_without_ttl": lambda: cached(timer=Clock(), policy="lfu"),
    "not_a_mapping": lambda: cached(42),
    "resolver_is_a_mapping": lambda: cachedmethod({}),
    "no_resolver": lambda: cachedmethod(None),
    "unknown_option": lambda: cached({}, colour="blue"),
    "maxsize_is_no_number": lambda: cached(maxsize="many"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_A4_options_that_make_no_sense_are_type_errors_at_decoration(case):
    with pytest.raises(TypeError):
        CONTRADICTIONS[case]()(coroutine)


def test_A4_unknown_ways_to_abandon_are_refused():
    with pytest.raises((TypeError, ValueError)):
        cached(on_abandon="explode")(coroutine)


def test_A4_whatever_is_a_coroutine_function_can_be_decorated(run):
    class Tool:
        async def method(self, x):
            return "method", x

    async def add(x, y):
        return x + y

    async def main():
        assert await cached(Tool().method)(1) == ("method", 1)
        assert await cached(functools.partial(add, 1))(2) == 3
        assert await cached({})(cached(coroutine))(1) == 1

    run(main())


@pytest.mark.parametrize("outermost", ["classmethod", "cached"])
def test_A4_attributes_of_a_cached_classmethod(run, outermost):
    calls = []

    async def load(cls, x):
        calls.append(x)
        return x

    class Base:
        cache = {}
        get = (
            classmethod(cachedmethod(lambda cls: cls.cache)(load))
            if outermost == "classmethod"
            else cachedmethod(lambda cls: cls.cache)(classmethod(load))
        )

    async def main():
        assert await Base.get(1) == await Base().get(1) == 1
        assert inspect.iscoroutinefunction(Base.get)
        assert list(inspect.signature(Base.get).parameters) == ["x"]

    run(main())
    assert calls == [1]


def test_A4_bound_attributes_of_a_classmethod_inside(run):
    source = Source()

    class Base:
        cache = {}

        @cachedmethod(lambda cls: cls.cache)
        @classmethod
        async def get(cls, x):
            return await source.load(x)

    async def main():
        await Base.get(1)
        assert Base.get.cache is Base.cache
        assert Base.get.cache_key(1) in Base.cache
        assert Base.get.cache_contains(1) is True
        assert Base.get.cache_info()[:2] == (0, 1)
        assert Base.get.cache_invalidate(1) is True
        await Base().get(1)
        Base().get.cache_clear()
        assert Base.cache == {}

    run(main())
    assert source.runs == [1, 1]


# --- A5: which cache


def test_A5_none_switches_caching_off(run):
    f = cached(None)(coroutine)

    async def main():
        call = f(1)
        assert inspect.iscoroutine(call)
        assert call.cr_code is coroutine.__code__
        assert await call == 1
        assert await f(x=1) == 1
        assert f.cache is None
        assert f.cache_info()[:2] == (0, 2)

    run(main())


def test_A5_none_coalesces_nothing_and_takes_anything(run):
    source = Source()
    f = cached(cache=None, ignore=("key",))(source.load)

    async def main():
        await asyncio.gather(f([1]), f([1]), f([1]))
        assert f.cache_contains([1]) is False
        assert f.cache_invalidate([1]) is False
        f.cache_clear()
        assert f.cache_info()[:2] == (0, 0)

    run(main())
    assert source.runs == [[1], [1], [1]]


def test_A5_a_resolver_may_answer_none(run):
    class Service:
        cache = None

        def __init__(self):
            self.calls = []

        @cachedmethod(lambda self: self.cache)
        async def load(self, x):
            self.calls.append(x)
            return x

    async def main():
        service = Service()
        assert inspect.iscoroutine(call := service.load(1))
        assert [await call, await service.load(1)] == [1, 1]
        service.cache = {}
        assert [await service.load(2), await service.load(2)] == [2, 2]
        assert service.calls == [1, 1, 2]

    run(main())


@pytest.mark.parametrize(
    "make",
    [
        dict,
        lambda: cachetools.LRUCache(10),
        lambda: aiocachetools.LRUCache(10),
        lambda: aiocachetools.Cache(10),
    ],
)
def test_A5_an_empty_mapping_is_a_cache(run, make):
    source, cache = Source(), make()
    f = cached(cache)(source.load)
    g = cachedmethod(lambda self: cache)(Source.load)

    async def main():
        assert not cache
        await f(1)
        await f(1)
        assert f.cache is cache
        assert len(cache) == 1
        f.cache_clear()
        await g(source, 1)
        await g(source, 1)
        assert len(cache) == 1

    run(main())
    assert source.runs == [1, 1]


NOTHING = {
    "maxsize": lambda: cached(maxsize=0),
    "ttl": lambda: cached(maxsize=0, ttl=60),
    "native": lambda: cached(aiocachetools.LRUCache(0)),
    "cachetools": lambda: cached(cachetools.LRUCache(0)),
}


@pytest.mark.parametrize("case", NOTHING)
def test_A5_maxsize_0_stores_nothing_but_coalesces(arun, case):
    source = Source(held=True)
    f = NOTHING[case]()(source.load)

    async def main():
        tasks = [asyncio.create_task(f(1)) for _ in range(100)]
        await settle()
        source.gate.set()
        results = await asyncio.gather(*tasks)
        assert all(result is results[0] for result in results)
        assert source.runs == [1]
        assert f.cache_contains(1) is False
        assert await f(1) is not results[0]
        assert f.cache_info().currsize == 0

    arun(main())
    assert source.runs == [1, 1]


def test_A5_maxsize_none_is_unbounded(run):
    source = Source()
    f = cached(maxsize=None)(source.load)

    async def main():
        for _ in range(2):
            for x in range(1000):
                await f(x)

    run(main())
    assert len(source.runs) == 1000
    assert f.cache_info().currsize == 1000
    assert f.cache_info().maxsize in (None, math.inf)


def test_A5_ttl_builds_a_cache_that_expires(run):
    source, clock = Source(), Clock()
    f = cached(maxsize=3, ttl=10, timer=clock)(source.load)

    async def main():
        for clock.now in (0, 9, 10, 19, 20):
            await f(1)

    run(main())
    assert source.runs == [1, 1, 1]
    assert isinstance(f.cache, aiocachetools.TTLCache)
    assert (f.cache.maxsize, f.cache.ttl) == (3, 10)


POLICIES = {
    "lru": aiocachetools.LRUCache,
    "lfu": aiocachetools.LFUCache,
    "fifo": aiocachetools.FIFOCache,
    "rr": aiocachetools.RRCache,
    "tinylfu": aiocachetools.TinyLFUCache,
}


@pytest.mark.parametrize("policy", POLICIES)
def test_N2_a_policy_has_its_cache(run, policy):
    source = Source()
    f = cached(maxsize=3, policy=policy)(source.load)

    async def main():
        for x in (1, 2, 3, 1, 4):
            await f(x)

    run(main())
    assert source.runs == [1, 2, 3, 4]
    assert type(f.cache) is POLICIES[policy]
    assert f.cache_info().currsize == f.cache_info().maxsize == 3
    assert f.cache_parameters()["policy"] == policy


def test_N2_a_policy_has_the_usual_size():
    assert cached(policy="tinylfu")(coroutine).cache.maxsize == 128
    assert cached(policy="tinylfu", maxsize=None)(coroutine).cache.maxsize == math.inf


@pytest.mark.parametrize("policy", ["LRU", "sieve", "", None, 5, aiocachetools.LFUCache])
def test_N2_an_unknown_policy_is_told_with_those_that_exist(policy):
    with pytest.raises(ValueError, match="'lru', 'lfu', 'fifo', 'rr', 'tinylfu'"):
        cached(policy=policy)


def test_N2_a_function_weighs_its_values(run):
    async def weighed(x):
        return "x" * x

    f = cached(maxsize=10, getsizeof=len, policy="lfu")(weighed)

    async def main():
        for x in (4, 5, 3, 11):
            assert await f(x) == "x" * x

    run(main())
    assert f.cache_info().currsize == 8
    assert f.cache_contains(11) is False


def test_A5_each_decoration_has_a_cache_of_its_own():
    decorate = cached(maxsize=5)
    f, g = decorate(coroutine), decorate(coroutine)
    assert f.cache is not g.cache
