"""Rule A6: locks and conditions, and what is held when."""

import asyncio
import contextlib
import threading

import pytest
from support import Source, called, settle

from aiocachetools import cached, cachedmethod


class Recorder:
    """A context manager that knows whether it is entered, and is not reentrant."""

    def __init__(self):
        self.held = False
        self.entered = 0

    def __enter__(self):
        assert not self.held
        self.held = True
        self.entered += 1

    def __exit__(self, *exc_info):
        self.held = False


class Guarded(dict):
    """A mapping that insists on its lock being held."""

    def __init__(self, lock):
        super().__init__()
        self.lock = lock

    def __getattribute__(self, name):
        if name in ("get", "pop", "setdefault", "update", "clear", "items"):
            assert super().__getattribute__("lock").held
        return super().__getattribute__(name)

    def __getitem__(self, key):
        assert self.lock.held
        return super().__getitem__(key)

    def __contains__(self, key):
        assert self.lock.held
        return super().__contains__(key)

    def __setitem__(self, key, value):
        assert self.lock.held
        super().__setitem__(key, value)

    def __delitem__(self, key):
        assert self.lock.held
        super().__delitem__(key)


class Service:
    """A cached function, or a cached method, over a guarded mapping."""

    def __init__(self):
        self.lock = Recorder()
        self.cache = Guarded(self.lock)
        self.source = Source()

    async def load(self, key):
        assert not self.lock.held
        value = await self.source.load(key)
        assert not self.lock.held
        return value

    @cachedmethod(lambda self: self.cache, lock=lambda self: self.lock)
    async def by_lock(self, key):
        return await self.load(key)

    @cachedmethod(lambda self: self.cache, condition=lambda self: self.lock)
    async def by_condition(self, key):
        return await self.load(key)


def guarded(kind):
    """A service and its cached function of one key."""
    service = Service()
    if kind == "lock":
        return service, cached(service.cache, lock=service.lock)(service.load)
    if kind == "positional":
        return service, cached(service.cache, lambda key: key, service.lock)(service.load)
    if kind == "condition":
        return service, cached(service.cache, condition=service.lock)(service.load)
    return service, getattr(service, kind)


KINDS = ["lock", "positional", "condition", "by_lock", "by_condition"]


@pytest.mark.parametrize("kind", KINDS)
def test_A6_the_lock_is_held_around_each_access_and_never_across_an_await(arun, kind):
    service, f = guarded(kind)

    async def main():
        values = await asyncio.gather(f(1), f(1), f(2))
        assert values[0] is values[1]
        assert await f(1) is values[0]
        assert f.cache_contains(1) is True
        assert f.cache_invalidate(1) is True
        assert f.cache_invalidate(1) is False
        assert f.cache_info()[:2] == (2, 2)
        f.cache_clear()
        await f(1)

    arun(main())
    assert service.source.runs == [1, 2, 1]
    assert service.lock.entered >= 8
    assert not service.lock.held


@pytest.mark.parametrize("kind", KINDS)
def test_A6_the_lock_is_released_when_the_mapping_fails(run, kind):
    service, f = guarded(kind)

    class Failing(Guarded):
        def __setitem__(self, key, value):
            raise ZeroDivisionError("storing")

        setdefault = __setitem__

    service.cache.__class__ = Failing

    async def main():
        assert isinstance(await called(f, 1), ZeroDivisionError)
        assert not service.lock.held
        service.cache.__class__ = Guarded
        assert await f(1) == ["value of", 1]

    run(main())


@pytest.mark.parametrize(
    "lock", [threading.Lock(), threading.RLock(), threading.Condition(), contextlib.nullcontext()], ids=repr
)
def test_A6_any_synchronous_lock_will_do(run, lock):
    source = Source()
    f = cached({}, lock=lock)(source.load)

    async def main():
        await asyncio.gather(f(1), f(1))
        await f(1)
        f.cache_clear()
        assert f.cache_lock is lock

    run(main())
    assert source.runs == [1]


def test_A6_a_lock_and_a_condition_on_it(run):
    source, lock = Source(), threading.RLock()
    condition = threading.Condition(lock)
    f = cached({}, lock=lock, condition=condition)(source.load)

    async def main():
        await asyncio.gather(f(1), f(1))
        await f(1)

    run(main())
    assert source.runs == [1]
    assert f.cache_lock is lock
    assert f.cache_condition is condition


def test_A6_threads_share_a_guarded_mapping():
    """A mapping that is not thread-safe is never used by two threads at a time."""
    busy, overlaps = [], []

    class Unsafe(dict):
        def __getitem__(self, key):
            busy.append(key)
            if len(busy) > 1:
                overlaps.append(key)
            try:
                return super().__getitem__(key)
            finally:
                busy.pop()

    @cached(Unsafe(), lock=threading.Lock())
    async def f(x):
        await asyncio.sleep(0)
        return x

    async def main():
        for x in range(300):
            assert await f(x % 40) == x % 40

    threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlaps == []


@pytest.mark.parametrize("kind", [asyncio.Lock, asyncio.Condition, asyncio.Semaphore])
def test_A6_asyncio_locks_are_type_errors(kind):
    async def f(x):
        return x

    for options in ({"lock": kind()}, {"condition": kind()}):
        with pytest.raises(TypeError, match=r"synchronous|async"):
            cached({}, **options)(f)


def test_A6_asyncio_locks_of_an_instance_are_type_errors(run):
    class Bad:
        def __init__(self):
            self.cache = {}
            self.lock = asyncio.Lock()

        @cachedmethod(lambda self: self.cache, lock=lambda self: self.lock)
        async def load(self, x):
            return x

    async def main():
        assert isinstance(await called(Bad().load, 1), TypeError)
        await settle()

    run(main())


def test_A6_a_lock_beside_a_native_cache_is_accepted(run, deco):
    source, lock = Source(), threading.Lock()
    f = deco(lock=lock)(source.load)

    async def main():
        await f(1)
        await f(1)
        f.cache_clear()
        await f(1)

    run(main())
    assert source.runs == [1, 1]
    assert f.cache_lock is lock
