"""Nothing leaks: values keep their reference counts, and the process its size."""

import asyncio
import contextlib
import gc
import os
import sys

import cachetools
import pytest
from support import outcome, settle

import aiocachetools
from aiocachetools import cached, cachedmethod

CancelledError = asyncio.CancelledError
VALUE = object()
ROUNDS = 300


def caches():
    return {
        "native": cached(maxsize=10),
        "ttl": cached(maxsize=10, ttl=60),
        "dict": cached({}),
        "cachetools": cached(cachetools.LRUCache(10)),
        "nothing": cached(maxsize=0),
    }


@pytest.fixture(params=caches())
def store(request):
    return caches()[request.param]


async def hits(f, rounds):
    for _ in range(rounds):
        await f(1)
        await f(x=1)
        f(1).close()
        await asyncio.create_task(f(1))


async def misses(f, rounds):
    for n in range(rounds):
        await f(n % 15)
        f.cache_invalidate(n % 15)
        f(n % 15).close()


async def joins(f, rounds):
    for n in range(rounds // 10):
        f.cache_clear()
        await asyncio.gather(*(f(n) for _ in range(10)))


async def cancellations(f, rounds):
    for n in range(rounds // 3):
        f.cache_clear()
        tasks = [asyncio.create_task(f(n)) for _ in range(3)]
        await settle(n % 3)
        for task in tasks[: 1 + n % 3]:
            task.cancel()
        for task in tasks:
            await outcome(task)


async def errors(f, rounds):
    for _ in range(rounds // 3):
        await asyncio.gather(f("error"), f("error"), return_exceptions=True)
        with contextlib.suppress(KeyError):
            await f("error")
        with pytest.raises(TypeError):
            f(1, 2, 3)
        with pytest.raises(TypeError):
            await f([])


KINDS = {kind.__name__: kind for kind in (hits, misses, joins, cancellations, errors)}


@pytest.mark.parametrize("kind", KINDS)
def test_values_keep_their_reference_counts(arun, store, kind):
    @store
    async def f(x):
        await asyncio.sleep(0)
        if x == "error":
            raise KeyError(VALUE)
        return VALUE

    async def main():
        await KINDS[kind](f, 30)
        f.cache_clear()
        await settle()
        gc.collect()
        before = sys.getrefcount(VALUE)
        await KINDS[kind](f, ROUNDS)
        f.cache_clear()
        await settle()
        gc.collect()
        return sys.getrefcount(VALUE) - before

    assert abs(arun(main())) <= 1


class Key:
    """An argument of its own, equal to others of its number."""

    def __init__(self, number):
        self.number = number

    def __hash__(self):
        return hash(self.number)

    def __eq__(self, other):
        return self.number == other.number


def test_arguments_keep_their_reference_counts(arun, store):
    keys, ignored = [Key(n) for n in range(3)], Key("ignored")

    class Service:
        def __init__(self):
            self.cache = aiocachetools.LRUCache(5)

        @cachedmethod(lambda self: self.cache)
        async def load(self, key, *rest, more=None):
            await asyncio.sleep(0)
            return VALUE

    @store
    async def f(key, *rest, more=None):
        await asyncio.sleep(0)
        return VALUE

    async def main():
        service = Service()

        async def calls(rounds):
            for n in range(rounds):
                key = keys[n % 3]
                for function in (f, service.load):
                    await function(key, ignored, more=ignored)
                    await function(key=Key(n % 3))
                    await asyncio.gather(function(key), function(Key(n % 3)))
                    function.cache_contains(key)
                    function.cache_key(key, ignored)
                    function.cache_invalidate(key)
            f.cache_clear()
            service.load.cache_clear()
            await settle()
            gc.collect()

        await calls(30)
        watched = [*keys, ignored, service, Service]
        before = list(map(sys.getrefcount, watched))
        await calls(ROUNDS)
        after = list(map(sys.getrefcount, watched))
        return [b - a for a, b in zip(before, after, strict=True)]

    assert all(abs(difference) <= 1 for difference in arun(main()))


def resident():
    """The memory that the process occupies, in bytes."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the size of the process is not known")
def test_the_process_does_not_grow(arun):
    @cached(maxsize=100)
    async def f(x):
        await asyncio.sleep(0)
        if x == "error":
            raise KeyError(x)
        return [x] * 100

    async def main():
        for number in range(2000):
            await f(number)
            await f(number)
        await errors(f, 600)
        await cancellations(f, 600)
        await joins(f, 600)

    sizes = []
    for _ in range(6):
        arun(main())
        gc.collect()
        sizes.append(resident())
    assert sizes[-1] - sizes[2] < 2_000_000, sizes


def test_no_objects_are_left(arun):
    """The collector finds as many objects after a thousand calls as before."""

    @cached(maxsize=5)
    async def f(x):
        await asyncio.sleep(0)
        if x == "error":
            raise KeyError(x)
        return VALUE

    async def main():
        counts = []
        for _ in range(3):
            for kind in KINDS.values():
                await kind(f, 60)
            f.cache_clear()
            await settle()
            gc.collect()
            counts.append(len(gc.get_objects()))
        return counts[-1] - counts[-2]

    assert abs(arun(main())) < 50


def test_unawaited_calls_release_what_they_hold():
    keys = [Key(n) for n in range(3)]

    @cached
    async def f(key, more=None):
        return VALUE

    asyncio.run(f(keys[0]))
    before = [sys.getrefcount(key) for key in keys]
    for _ in range(100):
        for key in keys:
            f(key, key).close()
            f(key).close()
    del key
    gc.collect()
    assert [sys.getrefcount(key) for key in keys] == before
