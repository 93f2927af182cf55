"""The four usages that the package began with, and what surrounds them in an application."""

import asyncio

import pytest
from support import Clock, settle

import aiocachetools
from aiocachetools import cached, cachedmethod


def lasting(seconds):
    """A time-to-use function for TLRUCache."""
    return lambda key, value, now: now + seconds


def make_cache(lib, kind):
    if kind == "TTLCache":
        return lib.TTLCache(maxsize=10, ttl=60)
    if kind == "TLRUCache":
        return lib.TLRUCache(maxsize=10, ttu=lasting(300))
    return lib.LRUCache(maxsize=10)


@pytest.fixture(params=["LRUCache", "TTLCache", "TLRUCache"])
def new_cache(request, lib):
    """Makes a cache of each kind that users choose, from either library."""
    return lambda: make_cache(lib, request.param)


def test_cached_function(arun, new_cache):
    calls = []

    @cached(cache=new_cache())
    async def fetch_api_data(user_id: int):
        calls.append(user_id)
        await asyncio.sleep(0)
        return {"user": user_id, "status": "active"}

    async def main():
        first = await fetch_api_data(7)
        assert first == {"user": 7, "status": "active"}
        assert await fetch_api_data(7) is first
        assert await fetch_api_data(user_id=7) is first
        assert (await fetch_api_data(8))["user"] == 8

    arun(main())
    assert calls == [7, 8]


@pytest.mark.parametrize("decorate", [cached, cached()], ids=["bare", "called"])
def test_cached_function_without_options(arun, decorate):
    calls = []

    @decorate
    async def double(x):
        calls.append(x)
        return 2 * x

    async def main():
        assert [await double(x) for x in (1, 2, 1, 2)] == [2, 4, 2, 4]

    arun(main())
    assert calls == [1, 2]
    assert double.cache_info() == (2, 2, 128, 2)


def test_cached_function_keeps_128_entries_unless_told(run):
    @cached
    async def f(x):
        return x

    async def main():
        for x in range(200):
            await f(x)

    run(main())
    assert f.cache_info().currsize == 128
    assert isinstance(f.cache, aiocachetools.LRUCache)


def test_instance_method_cache(arun, new_cache):
    class Counter:
        def __init__(self):
            self.call_count = 0
            self._cache = new_cache()

        @cachedmethod(cache=lambda self: self._cache)
        async def increment(self, value: int) -> int:
            self.call_count += 1
            await asyncio.sleep(0)
            return value + 1

    async def main():
        counter, other = Counter(), Counter()
        assert [await counter.increment(v) for v in (5, 5, 6)] == [6, 6, 7]
        assert counter.call_count == 2
        assert await other.increment(5) == 6
        assert other.call_count == 1

    arun(main())


def test_cachedmethod_instance(arun, new_cache):
    """The same with self left out of the key: the instance has a cache of its own anyway."""

    class UserService:
        def __init__(self, tenant):
            self.tenant = tenant
            self.cache = new_cache()
            self.queries = []

        @cachedmethod(cache=lambda self: self.cache, ignore=("self",))
        async def get_user_profile(self, user_id: str):
            self.queries.append(user_id)
            await asyncio.sleep(0)
            return self.tenant, user_id

    async def main():
        a, b = UserService("a"), UserService("b")
        calls = [s.get_user_profile(u) for s in (a, b) for u in ("x", "x", "y")]
        assert await asyncio.gather(*calls) == [(t, u) for t in "ab" for u in "xxy"]
        assert await a.get_user_profile("x") == ("a", "x")
        assert (a.queries, b.queries) == (["x", "y"], ["x", "y"])
        assert len(a.cache) == len(b.cache) == 2

    arun(main())


def test_classmethod_cache(arun, new_cache):
    class MathOps:
        call_count = 0
        __cache = new_cache()

        @classmethod
        @cachedmethod(cache=lambda cls: cls._MathOps__cache, ignore=("a",))
        async def class_add(cls, a: int, b: int) -> int:
            cls.call_count += 1
            await asyncio.sleep(0)
            return a + b

    async def main():
        assert await MathOps.class_add(a=4, b=5) == 9
        assert await MathOps.class_add(a=4, b=5) == 9
        assert await MathOps().class_add(1, 5) == 9
        assert await MathOps.class_add(0, b=4) == 4
        assert MathOps.call_count == 2

    arun(main())


@pytest.mark.parametrize("outermost", ["classmethod", "cachedmethod"])
def test_classmethod_on_either_side(arun, new_cache, outermost):
    shared, calls = new_cache(), []

    async def get_setting(cls, key: str):
        calls.append((cls.__name__, key))
        await asyncio.sleep(0)
        return f"{cls.__name__}.{key}"

    decorate = cachedmethod(cache=lambda cls: cls._cache, ignore=("cls",))

    class GlobalConfig:
        _cache = shared
        if outermost == "classmethod":
            get = classmethod(decorate(get_setting))
        else:
            get = decorate(classmethod(get_setting))

    class Derived(GlobalConfig):
        pass

    async def main():
        for config in (GlobalConfig, GlobalConfig(), Derived):
            assert await config.get("color") == "GlobalConfig.color"
        assert await GlobalConfig.get(key="color") == "GlobalConfig.color"

    arun(main())
    assert calls == [("GlobalConfig", "color")]


@pytest.mark.parametrize("outermost", ["classmethod", "cached"])
def test_classmethod_of_a_cached_function(arun, new_cache, outermost):
    calls = []

    async def load(cls, key):
        calls.append((cls, key))
        return cls, key

    decorate = cached(new_cache())

    class Base:
        get = classmethod(decorate(load)) if outermost == "classmethod" else decorate(classmethod(load))

    class Derived(Base):
        pass

    async def main():
        for _ in range(2):
            assert await Base.get(1) == (Base, 1)
            assert await Derived.get(1) == (Derived, 1)
            assert await Derived().get(1) == (Derived, 1)

    arun(main())
    assert calls == [(Base, 1), (Derived, 1)]


def test_cachemethod_staticmethod(arun, new_cache):
    class MathOps:
        call_count = 0

        @staticmethod
        @cached(cache=new_cache())
        async def static_multiply(a: int, b: int) -> int:
            MathOps.call_count += 1
            await asyncio.sleep(0)
            return a * b

    async def main():
        assert await MathOps.static_multiply(2, 3) == 6
        assert await MathOps.static_multiply(2, b=3) == 6
        assert await MathOps().static_multiply(a=2, b=3) == 6
        assert MathOps.call_count == 1
        assert await MathOps.static_multiply(3, 3) == 9
        assert MathOps.call_count == 2

    arun(main())


@pytest.mark.parametrize("outermost", ["staticmethod", "cached"])
def test_staticmethod_on_either_side(arun, new_cache, outermost):
    calls = []

    async def multiply(a, b):
        calls.append((a, b))
        return a * b

    decorate = cached(new_cache(), ignore=("a",))

    class MathOps:
        op = (
            staticmethod(decorate(multiply))
            if outermost == "staticmethod"
            else decorate(staticmethod(multiply))
        )

    async def main():
        assert await MathOps.op(2, 3) == 6
        assert await MathOps().op(5, 3) == 6
        assert await MathOps().op(a=5, b=4) == 20

    arun(main())
    assert calls == [(2, 3), (5, 4)]


@pytest.mark.parametrize("outermost", ["staticmethod", "cachedmethod"])
def test_staticmethod_of_a_cachedmethod(arun, new_cache, outermost):
    shared, calls = new_cache(), []

    async def describe(thing):
        calls.append(thing)
        return f"a {thing}"

    decorate = cachedmethod(lambda *_: shared)

    class Things:
        of = (
            staticmethod(decorate(describe))
            if outermost == "staticmethod"
            else decorate(staticmethod(describe))
        )

    async def main():
        things = ["cat", "dog"]
        for _ in range(2):
            assert [await Things.of(t) for t in things] == ["a cat", "a dog"]
            assert [await Things().of(t) for t in things] == ["a cat", "a dog"]

    arun(main())
    assert calls == ["cat", "dog"]


def test_ignored_parameters(arun, new_cache):
    """One tuple of names serves methods that have these parameters."""

    class Session:
        __hash__ = None

    class Repository:
        cache = new_cache()

        def __init__(self):
            self.queries = []

        @cachedmethod(lambda self: self.cache, ignore=("self", "db_session"))
        async def user(self, db_session, user_id, *, fields="all"):
            self.queries.append(user_id)
            return user_id, fields

        @classmethod
        @cachedmethod(lambda cls: cls.cache, ignore=("cls", "db_session"))
        async def group(cls, group_id, db_session=None):
            return group_id, db_session

    async def main():
        a, b = Repository(), Repository()
        assert await a.user(Session(), 1) == (1, "all")
        assert await a.user(user_id=1, db_session=Session()) == (1, "all")
        assert await b.user(Session(), 1) == (1, "all")
        assert (a.queries, b.queries) == ([1], [])
        assert await b.user(Session(), 1, fields="id") == (1, "id")
        session = Session()
        assert await Repository.group(1, session) == (1, session)
        assert await Repository.group(1, db_session=Session()) == (1, session)

    arun(main())


def test_cached_ignore_param_name(arun, new_cache):
    calls = []

    @cached(new_cache(), ignore=("self", "cls", "db_session"))
    async def report(self, cls, db_session, day):
        calls.append(day)
        return day

    async def main():
        assert await report([], [], [], "monday") == "monday"
        assert await report({}, cls={}, db_session={}, day="monday") == "monday"
        assert await report(1, 2, 3, "tuesday") == "tuesday"

    arun(main())
    assert calls == ["monday", "tuesday"]


def test_concurrent_calls(arun, new_cache):
    calls = []

    @cached(cache=new_cache())
    async def slow_add(a: int, b: int) -> int:
        calls.append((a, b))
        await settle(5)
        return a + b

    async def main():
        assert await asyncio.gather(slow_add(1, 2), slow_add(1, 2), slow_add(a=1, b=2)) == [3, 3, 3]
        assert await slow_add(1, 2) == 3

    arun(main())
    assert calls == [(1, 2)]


def test_cache_expiry(arun, lib):
    clock, calls = Clock(), []

    @cached(cache=lib.TLRUCache(maxsize=10, ttu=lasting(2), timer=clock))
    async def multiply(a, b):
        calls.append((a, b))
        return a * b

    @cached(cache=lib.TTLCache(maxsize=10, ttl=2, timer=clock))
    async def add(a, b):
        calls.append((a, b))
        return a + b

    async def main():
        for clock.now in (0, 1.9, 2, 3.9, 4):
            assert await multiply(2, 3) == 6
            assert await add(4, 5) == 9

    arun(main())
    assert calls == [(2, 3), (4, 5)] * 3


def test_cache_clear(arun, new_cache):
    calls = []

    @cached(cache=new_cache())
    async def slow_add(a, b):
        calls.append((a, b))
        await asyncio.sleep(0)
        return a + b

    async def main():
        assert [await slow_add(1, 2), await slow_add(1, 2)] == [3, 3]
        slow_add.cache_clear()
        assert len(slow_add.cache) == 0
        assert await slow_add(1, 2) == 3

    arun(main())
    assert calls == [(1, 2), (1, 2)]


def test_size_limit(arun, lib):
    """Entries are found in the cache under the keys that cachetools' users know."""
    cache = lib.TLRUCache(maxsize=2, ttu=lasting(10))

    @cached(cache=cache)
    async def add(a: int, b: int) -> int:
        return a + b

    async def main():
        for a in (1, 2, 3):
            await add(a=a, b=a + 1)

    arun(main())
    assert (1, 2) not in cache
    assert cache[(2, 3)] == 5
    assert cache[(3, 4)] == 7
