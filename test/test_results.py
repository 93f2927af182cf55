"""Rule F5: what is stored, when, and what caches are told about it."""

import asyncio

import pytest
from support import Clock, Source, called, settle

from aiocachetools import cached, cachedmethod


class Aloof:
    """A value that must not be compared, hashed or asked whether it is true."""

    __hash__ = None

    def __eq__(self, other):
        raise AssertionError("compared")

    def __bool__(self):
        raise AssertionError("tested for truth")


VALUES = [
    None,
    False,
    0,
    "",
    (),
    (1, 2),
    [],
    NotImplemented,
    ...,
    StopIteration("value"),
    StopAsyncIteration(),
    asyncio.CancelledError(),
    KeyError("a value, not an error"),
    ValueError,
    Aloof(),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_F5_any_object_is_a_value(arun, deco, value):
    runs = []

    @deco()
    async def f(x):
        runs.append(x)
        await asyncio.sleep(0)
        return value

    async def main():
        joined = await asyncio.gather(f(1), f(1))
        later = [await f(1), await asyncio.create_task(f(1)), await asyncio.wait_for(f(1), 5)]
        assert all(result is value for result in [*joined, *later])
        assert f.cache_contains(1) is True

    arun(main())
    assert runs == [1]


def test_F5_awaitables_are_values_like_others(arun, deco):
    @deco()
    async def future(x):
        return asyncio.get_running_loop().create_future()

    @deco()
    async def call(x):
        return future(x)

    async def main():
        pending = await future(1)
        assert await future(1) is pending
        made = await call(1)
        assert await call(1) is made
        assert await made is pending

    arun(main())


def test_F5_the_mapping_sees_finished_results_alone(arun, lib):
    stored = []

    class Recorder(lib.LRUCache):
        def __setitem__(self, key, value):
            stored.append(value)
            super().__setitem__(key, value)

    source = Source(held=True)
    f = cached(Recorder(10))(source.load)

    async def main():
        tasks = [asyncio.create_task(f(1)) for _ in range(3)]
        await settle()
        assert stored == []
        assert len(f.cache) == 0
        source.gate.set()
        await asyncio.gather(*tasks)
        await f(1)

    arun(main())
    assert stored == [["value of", 1]]


@pytest.mark.parametrize("kind", ["Cache", "LRUCache", "LFUCache", "FIFOCache", "RRCache"])
def test_F5_getsizeof_gets_the_result(run, lib, kind):
    sized = []

    def getsizeof(value):
        sized.append(value)
        return len(value)

    @cached(getattr(lib, kind)(100, getsizeof=getsizeof))
    async def f(length):
        await asyncio.sleep(0)
        return "x" * length

    async def main():
        await asyncio.gather(f(3), f(3), f(4))
        await f(3)

    run(main())
    assert sorted(set(sized)) == ["xxx", "xxxx"]
    assert f.cache.currsize == f.cache_info().currsize == 7


def test_F5_ttu_gets_the_result_at_the_time_of_storing(run, lib):
    clock, asked = Clock(100), []

    def ttu(key, value, now):
        asked.append((key, value, now))
        return now + value

    @cached(lib.TLRUCache(10, ttu, timer=clock))
    async def f(seconds):
        await asyncio.sleep(0)
        clock.now += 50
        return seconds

    async def main():
        assert await asyncio.gather(f(10), f(10)) == [10, 10]
        for clock.now, fresh in [(159, True), (160, False)]:
            assert f.cache_contains(10) is fresh

    run(main())
    assert asked == [(f.cache_key(10), 10, 150)]


TTL = {
    "option": lambda lib, clock: cached(maxsize=10, ttl=5, timer=clock),
    "mapping": lambda lib, clock: cached(lib.TTLCache(10, 5, timer=clock)),
}


@pytest.mark.parametrize("how", TTL)
def test_F5_ttl_starts_when_the_result_is_stored(run, lib, how):
    clock, source = Clock(), Source(held=True)
    f = TTL[how](lib, clock)(source.load)

    async def main():
        task = asyncio.create_task(f(1))
        await settle()
        clock.now = 100
        source.gate.set()
        value = await task
        clock.now = 104
        assert await f(1) is value
        clock.now = 105
        assert f.cache_contains(1) is False
        assert await f(1) is not value

    run(main())
    assert source.runs == [1, 1]


def test_F5_a_result_that_has_expired_already_is_returned(run, lib):
    source, clock = Source(), Clock(5)
    f = cached(lib.TLRUCache(10, lambda key, value, now: now - 1, timer=clock))(source.load)

    async def main():
        first, second = await asyncio.gather(f(1), f(1))
        assert first is second
        assert len(f.cache) == 0
        assert await f(1) is not first

    run(main())
    assert source.runs == [1, 1]


def test_F5_a_value_that_is_too_large_is_returned_and_not_stored(arun, lib):
    runs = []

    @cached(lib.LRUCache(10, getsizeof=lambda value: value))
    async def f(size):
        runs.append(size)
        await asyncio.sleep(0)
        return size

    async def main():
        await f(10)
        assert await asyncio.gather(*(f(11) for _ in range(20))) == [11] * 20
        assert f.cache_contains(11) is False
        assert f.cache_contains(10) is True
        assert await f(11) == 11

    arun(main())
    assert runs == [10, 11, 11]


class Refusing(dict):
    """A mapping that takes nothing."""

    def __setitem__(self, key, value):
        raise ValueError("value too large")

    def setdefault(self, key, default=None):
        raise ValueError("value too large")


@pytest.mark.parametrize("method", [False, True])
def test_F5_a_mapping_that_refuses_every_store_still_coalesces(arun, method):
    source, refusing = Source(held=True), Refusing()
    if method:
        bound = cachedmethod(lambda self: refusing)(Source.load).__get__(source)
    else:
        bound = cached(refusing)(source.load)

    async def main():
        tasks = [asyncio.create_task(bound(1)) for _ in range(5)]
        await settle()
        source.gate.set()
        assert await asyncio.gather(*tasks) == [["value of", 1]] * 5
        await bound(1)

    arun(main())
    assert source.runs == [1, 1]


class Switch:
    """Raises while it is on."""

    def __init__(self, answer):
        self.on, self.answer = False, answer

    def __call__(self, *args):
        if self.on:
            raise ZeroDivisionError("policy")
        return self.answer(*args)


POLICIES = {
    "getsizeof": lambda lib, switch: lib.LRUCache(10, getsizeof=switch),
    "ttu": lambda lib, switch: lib.TLRUCache(10, switch),
    "timer": lambda lib, switch: lib.TTLCache(10, 60, timer=switch),
}
ANSWERS = {"getsizeof": lambda value: 1, "ttu": lambda key, value, now: now + 60, "timer": lambda: 5}


@pytest.mark.parametrize("policy", POLICIES)
def test_F5_a_policy_that_fails_tells_the_callers_and_leaves_the_cache_usable(run, lib, policy):
    switch, source = Switch(ANSWERS[policy]), Source(held=True)
    f = cached(POLICIES[policy](lib, switch))(source.load)

    async def main():
        tasks = [asyncio.create_task(f(1)) for _ in range(3)]
        await settle()
        switch.on = True
        source.gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, ZeroDivisionError) for result in results)
        switch.on = False
        assert len(f.cache) == 0
        assert await f(1) is await f(1)

    run(main())
    assert source.runs == [1, 1]


def test_F5_a_mapping_that_fails_on_reading_tells_the_caller(run):
    class Broken(dict):
        on = True

        def __getitem__(self, key):
            if self.on:
                raise ZeroDivisionError("reading")
            return super().__getitem__(key)

        get = __contains__ = __getitem__

    cache, source = Broken(), Source()
    f = cached(cache)(source.load)

    async def main():
        assert isinstance(await called(f, 1), ZeroDivisionError)
        Broken.on = False
        assert await f(1) == ["value of", 1]

    run(main())
    assert source.runs == [1]


def test_F5_what_missing_answers_is_a_hit(run, lib):
    class Defaults(dict):
        def __missing__(self, key):
            return "default"

    class DefaultCache(lib.LRUCache):
        def __missing__(self, key):
            return "default"

    source = Source()
    for cache in (Defaults(), DefaultCache(10)):
        assert run(cached(cache)(source.load)(1)) == "default"
    assert source.runs == []


def test_F5_hooks_of_a_subclass_are_used(run, lib):
    class Upper(lib.LRUCache):
        def __getitem__(self, key):
            return super().__getitem__(key).upper()

        def __setitem__(self, key, value):
            super().__setitem__(key, f"<{value}>")

    @cached(Upper(10))
    async def f(x):
        return x

    async def main():
        assert await f("a") == "a"
        assert await f("a") == "<A>"

    run(main())


def test_F5_evicted_values_are_loaded_anew(run, lib):
    source = Source()
    f = cached(lib.LRUCache(2))(source.load)

    async def main():
        for key in (1, 2, 1, 3, 1, 2):
            await f(key)

    run(main())
    assert source.runs == [1, 2, 3, 2]
    assert f.cache_info() == (2, 4, 2, 2)
