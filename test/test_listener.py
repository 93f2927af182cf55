"""Rule O3: one listener is told of all that happens, and agrees with the log and the counters."""

import asyncio
import gc
import sys
import weakref
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger
from support import Clock, QuietLoop, Source, outcome, settle

import aiocachetools
from aiocachetools import CacheEvent, LRUCache, TTLCache, cached, cached_many, cachedmethod

SECRET = "the value is nobody's business"


class Told(list):
    """A listener that keeps what it is told."""

    def __call__(self, event):
        assert type(event) is CacheEvent
        self.append(event)

    @property
    def names(self):
        return [event.name for event in self]

    def keys(self, name):
        return [event.key for event in self if event.name == name]


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def unraisable(monkeypatch):
    raised = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: raised.append((args.exc_value, args.object)))
    return raised


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


# What the listener may do


def test_O3_what_it_raises_harms_nothing(run, deco, unraisable):
    error = RuntimeError("the listener's own")

    def listener(event):
        raise error

    source = Source()
    f = deco(listener=listener)(source.load)

    async def main():
        assert await asyncio.gather(f(1), f(1)) == [["value of", 1]] * 2
        assert await f(1) == ["value of", 1]
        assert f.cache_invalidate(1)

    run(main())
    assert source.runs == [1]
    assert unraisable == [(error, listener)] * 5


def test_O3_it_may_use_the_cache(run, deco):
    """Whatever it does, calls return what was loaded."""
    acting = False

    def listener(event):
        nonlocal acting
        if not acting:
            acting = True
            for act in (
                lambda: f.cache_contains(event.key[0]),
                lambda: f.cache.pop(f.cache_key(2), None),
                lambda: f.cache_invalidate(event.key[0]),
                lambda: f.cache_info(),
                f.cache_clear,
            ):
                act()
            acting = False

    @deco(listener=listener)
    async def f(x):
        await asyncio.sleep(0)
        return x

    async def main():
        for n in range(30):
            assert await f(n % 4) == n % 4
            assert await asyncio.gather(f(7), f(n % 5), f(7)) == [7, n % 5, 7]

    run(main())


def step_of(make_call, events):
    """A listener that steps another call once, in the midst of the events of these names."""

    def listener(event):
        seen.append(event.name)
        if event.name in events and len(seen) < 20:
            call = make_call()
            try:
                call.send(None)
            except StopIteration:
                pass
            else:
                call.close()

    seen = []
    return listener, seen


def test_O3_a_call_that_it_makes_at_a_miss_joins_the_load(run, either):
    """Telling before the load is listed would start a second one."""
    listener, seen = step_of(lambda: f(1), {"miss"})
    source = Source()
    f = either(listener=listener)(source.load)
    assert run(f(1)) == ["value of", 1]
    assert source.runs == [1]
    assert seen == ["miss", "join", "store"]


def test_O3_a_call_that_it_makes_at_a_miss_of_several_keys_joins_the_load(run):
    listener, _ = step_of(lambda: find([1, 2]), {"miss"})
    loads = []

    @cached_many(maxsize=10, listener=listener)
    async def find(numbers):
        loads.append(numbers)
        return {number: -number for number in numbers}

    assert run(find([1, 2, 3])) == {1: -1, 2: -2, 3: -3}
    assert sorted(key for keys in loads for key in keys) == [1, 2, 3]


@pytest.mark.parametrize("event", ["hit", "join", "store", "load_error", "evict", "invalidate"])
def test_O3_it_may_call_the_function(run, event):
    listener, seen = step_of(lambda: f(event), {event})
    source = Source(held=True)
    f = cached(maxsize=1, listener=listener)(source.load)

    async def main():
        tasks = [asyncio.create_task(f(1)) for _ in range(2)]
        await settle()
        source.gate.set()
        assert await asyncio.gather(*tasks) == [["value of", 1]] * 2
        assert await f(1) == ["value of", 1]
        assert await f(2) == ["value of", 2]
        f.cache_invalidate(2)
        source.error = LookupError("none")
        assert await outcome(f(3)) is source.error
        await settle()

    run(main(), quiet=False)
    assert event in seen


def test_O3_it_is_collected_with_its_function(run):
    def use():
        def listener(event):
            told.append(f.cache_info())

        told = []
        f = cached(listener=listener)(Source().load)
        run(f(1))
        assert len(told) == 2
        return weakref.ref(listener), weakref.ref(f)

    gone = use()
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


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


# Agreement

PROGRAMS = st.lists(
    st.one_of(
        st.tuples(st.just("call"), st.lists(st.integers(0, 4), min_size=1, max_size=4)),
        st.tuples(st.just("fail"), st.integers(0, 4)),
        st.tuples(st.just("invalidate"), st.integers(0, 4)),
        st.tuples(st.just("wait"), st.integers(1, 4)),
        st.tuples(st.just("expire"), st.none()),
    ),
    max_size=30,
)


async def run_program(program, f, clock, source):
    for step, operand in program:
        match step:
            case "call":
                await asyncio.gather(*map(f, operand))
            case "fail":
                source.error = LookupError("none")
                await outcome(f(operand))
                source.error = None
            case "invalidate":
                f.cache_invalidate(operand)
            case "wait":
                clock.now += operand
            case _:
                f.cache.expire()


@given(program=PROGRAMS)
def test_O3_the_listener_agrees_with_the_counters_and_with_the_log(program):
    clock, source, told, records = Clock(), Source(), Told(), []
    f = cached(TTLCache(3, 5, timer=clock), listener=told)(source.load)
    handler = logger.add(lambda message: records.append(message.record["message"]), level="DEBUG")
    logger.enable("aiocachetools")
    try:
        QuietLoop(asyncio.new_event_loop)(cached(Source().load)(0))  # the log is noticed with a miss
        records.clear()
        QuietLoop(asyncio.new_event_loop)(run_program(program, f, clock, source))
    finally:
        logger.disable("aiocachetools")
        logger.remove(handler)
    assert records == [f"{event.name} {event.function}({event.key[0]})" for event in told]
    stats = f.cache_stats()  # which lets go of what has expired
    counted = Counter(told.names)
    assert counted["hit"] + counted["join"] == stats.hits
    assert counted["join"] == stats.joins
    assert counted["miss"] == stats.misses == stats.loads
    assert counted["load_error"] == stats.load_errors
    assert counted["evict"] == stats.evictions
    assert counted["expire"] == stats.expirations


@pytest.mark.parametrize("name", ["Cache", "FIFOCache", "LFUCache", "LRUCache", "RRCache", "TinyLFUCache"])
def test_O3_evictions_of_every_class_are_told(run, told, name):
    f = cached(getattr(aiocachetools, name)(2), listener=told)(Source().load)

    async def main():
        for key in range(5):
            await f(key)

    run(main())
    assert len(told.keys("evict")) == f.cache_stats().evictions == 3
