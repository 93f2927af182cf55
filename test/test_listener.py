"""Rule O3: one listener is told of all that happens."""

import asyncio
import gc

import pytest
from support import Clock, Source, Told, outcome, settle

import aiocachetools
from aiocachetools import CacheEvent, LRUCache, cached, cached_many, cachedmethod

SECRET = "the value is nobody's business"


# What is told


def test_O3_hit_miss_and_store(run, deco, told):
    @deco(listener=told)
    async def find_user(number, *, full=False):
        return SECRET

    async def main():
        await find_user(4711)
        await find_user(number=4711)

    run(main())
    assert told.names == ["miss", "store", "hit"]
    for event in told:
        assert event.function == find_user.__qualname__
        assert event.key == find_user.cache_key(4711)
        assert event.error is None
        assert (event.seconds is not None) == (event.name == "store")
        assert SECRET not in repr(event)
    assert told[1].seconds == pytest.approx(find_user.cache_stats().load_time, abs=0.1)
    assert told[1].seconds > 0


def test_O3_join(run, deco, told):
    source = Source(held=True)
    f = deco(listener=told)(source.load)

    async def main():
        tasks = [asyncio.create_task(f(1)) for _ in range(3)]
        await settle()
        assert told.names == ["miss", "join", "join"]
        source.gate.set()
        await asyncio.gather(*tasks)

    run(main())
    assert told.names == ["miss", "join", "join", "store"]


def test_O3_a_failed_load_comes_with_its_exception(run, deco, told):
    source = Source()
    source.error = LookupError("nothing there")
    f = deco(listener=told)(source.load)

    async def main():
        return await asyncio.gather(f(1), f(1), return_exceptions=True)

    errors = run(main())
    assert told.names == ["miss", "join", "load_error"]
    assert told[-1].error is source.error is errors[0]
    assert told[-1].seconds > 0


def test_O3_a_cancelled_load_is_a_failed_one(run, either, told):
    f = either(listener=told)(Source(held=True).load)

    async def main():
        task = asyncio.create_task(f(1))
        await settle()
        task.cancel()
        assert isinstance(await outcome(task), asyncio.CancelledError)

    run(main())
    assert told.names == ["miss", "load_error"]
    assert type(told[-1].error) is asyncio.CancelledError
    assert f.cache_stats().load_errors == 1


def test_O3_invalidate(run, deco, told):
    f = deco(listener=told)(Source().load)

    async def main():
        await f(1)
        f.cache_invalidate(1)
        f.cache_invalidate(2)

    run(main())
    assert told.keys("invalidate") == [f.cache_key(1), f.cache_key(2)]


def test_O3_evict(run, told):
    f = cached(maxsize=1, listener=told)(Source().load)

    async def main():
        await f(1)
        await f(2)
        f.cache[f.cache_key(3)] = "by hand"

    run(main())
    assert told.names == ["miss", "store", "miss", "evict", "store", "evict"]
    assert told.keys("evict") == [f.cache_key(1), f.cache_key(2)]


@pytest.mark.parametrize(
    "notice",
    [
        lambda f: f(2),
        lambda f: f.cache_info(),
        lambda f: f.cache.expire(),
        lambda f: f.cache.__setitem__("key", "value"),
    ],
    ids=["call", "cache_info", "expire", "setitem"],
)
def test_O3_expire_whoever_notices(run, told, notice):
    clock = Clock()
    f = cached(maxsize=10, ttl=5, timer=clock, listener=told)(Source().load)

    async def main():
        await f(1)
        clock.now = 5
        noticed = notice(f)
        if asyncio.iscoroutine(noticed):
            await noticed

    run(main())
    assert told.keys("expire") == [f.cache_key(1)]
    assert {event.function for event in told} == {f.__qualname__}


def test_O3_nothing_is_told_where_nothing_is_cached(run, told):
    f = cached(None, listener=told)(Source().load)
    run(f(1))
    assert told == []


def test_O3_a_result_that_is_not_stored_is_not_told_as_stored(run, told):
    f = cached(maxsize=0, listener=told)(Source().load)
    run(f(1))
    assert told.names == ["miss"]


def test_O3_a_method_in_the_cache_of_its_instance(run, told):
    class Users:
        def __init__(self):
            self.cache = LRUCache(1)

        @cachedmethod(lambda self: self.cache, listener=told)
        async def find(self, number):
            return number

    users = Users()

    async def main():
        await users.find(1)
        await users.find(2)
        await users.find(2)
        users.cache["by hand"] = 3
        users.find.cache_invalidate(2)

    run(main())
    assert told.names == ["miss", "store", "miss", "evict", "store", "hit", "evict", "invalidate"]
    assert told.keys("evict") == [users.find.cache_key(1), users.find.cache_key(2)]
    assert all(event.function.endswith("Users.find") for event in told)


def test_O3_keys_of_one_call_are_told_one_by_one(run, told):
    @cached_many(maxsize=10, listener=told)
    async def find(numbers):
        if 9 in numbers:
            raise LookupError
        return {number: -number for number in numbers}

    async def main():
        await find([1, 2])
        await find([2, 3])
        await find.one(3)
        await outcome(find([8, 9]))

    run(main())
    keys = {name: [key[0] for key in told.keys(name)] for name in set(told.names)}
    assert keys == {"miss": [1, 2, 3, 8, 9], "store": [1, 2, 3], "hit": [2, 3], "load_error": [8, 9]}


def test_O3_who_stores_is_told_of_what_that_evicts(run):
    cache = LRUCache(1)
    first, second = Told(), Told()

    @cached(cache, listener=first)
    async def f(x):
        return x

    @cached(cache, listener=second)
    async def g(x):
        return x

    async def main():
        await f(1)
        await g(1)
        await f(2)
        cache.clear()
        cache.update(a=1, b=2)

    run(main())
    assert first.keys("evict") == [g.cache_key(1), "a"]
    assert second.keys("evict") == [f.cache_key(1)]


def test_O3_a_cache_outlives_the_function_that_is_told(run, told):
    cache = LRUCache(1)
    f = cached(cache, listener=told)(Source().load)
    run(f(1))
    del f
    gc.collect()
    cache.update(a=1, b=2)
    assert told.names == ["miss", "store"]


def test_O3_a_removal_listener_is_told_as_well(run, told):
    gone = []
    cache = LRUCache(1, removal_listener=lambda *departed: gone.append(departed))
    f = cached(cache, listener=told)(Source().load)

    async def main():
        await f(1)
        await f(2)

    run(main())
    assert told.keys("evict") == [f.cache_key(1)]
    assert gone == [(f.cache_key(1), ["value of", 1], "size")]


@pytest.mark.parametrize("name", ["Cache", "FIFOCache", "LFUCache", "LRUCache", "RRCache", "TinyLFUCache"])
def test_O3_evictions_of_every_class_are_told(run, told, name):
    f = cached(getattr(aiocachetools, name)(2), listener=told)(Source().load)

    async def main():
        for key in range(5):
            await f(key)

    run(main())
    assert len(told.keys("evict")) == f.cache_stats().evictions == 3


# What is refused


@pytest.mark.parametrize("decorator", [cached, cached_many, cachedmethod], ids=lambda made: made.__name__)
def test_O3_what_cannot_be_a_listener_is_refused(decorator):
    async def asynchronous(event):
        pass

    class Asynchronous:
        async def __call__(self, event):
            pass

    cache = (lambda self: {}) if decorator is cachedmethod else {}
    with pytest.raises(
        TypeError, match=rf"{decorator.__name__}\(\): listener must be a function of a CacheEvent"
    ):
        decorator(cache, listener="print")
    for listener in (asynchronous, Asynchronous()):
        with pytest.raises(
            TypeError, match=rf"{decorator.__name__}\(\): listener must not be a coroutine function"
        ):
            decorator(cache, listener=listener)


def test_O3_the_listener_is_among_the_parameters(told):
    assert cached(listener=told)(Source().load).cache_parameters()["listener"] is told


def test_O3_an_event_is_a_named_tuple():
    match CacheEvent("hit", "f", (1,)):
        case CacheEvent(name="hit", function="f", key=(1,), error=None, seconds=None):
            pass
        case event:
            pytest.fail(f"{event}")
