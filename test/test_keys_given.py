"""Rule K3: keys of the user's own making."""

import pytest
from cachetools.keys import hashkey, methodkey, typedkey
from support import Source

from aiocachetools import cached, cachedmethod


class KeyRecorder:
    """A key function that notes how it was called."""

    def __init__(self):
        self.calls = []

    def __call__(self, *args, **kwargs):
        self.calls.append((args, kwargs))
        return hashkey(*args, **kwargs)


def test_K3_key_is_called_as_cachetools_calls_it(run):
    key = KeyRecorder()

    @cached({}, key)
    async def f(x, y=2, *, z=3):
        return x

    async def main():
        await f(1)
        await f(1, y=2)
        await f(x=1, z=4)

    run(main())
    for call in [((1,), {}), ((1,), {"y": 2}), ((), {"x": 1, "z": 4})]:
        assert call in key.calls
    assert all(call in [((1,), {}), ((1,), {"y": 2}), ((), {"x": 1, "z": 4})] for call in key.calls)
    assert len(f.cache) == 3


def test_K3_key_gets_what_is_not_ignored():
    key = KeyRecorder()

    @cached({}, key=key, ignore=("db", "token"))
    async def f(x, db, y=2, *, token=None, z=3):
        return x

    f.cache_key(1, "db", 5, token="t")
    f.cache_key(1, db="db", token="t", z=4)
    f.cache_key("a", "db")
    assert key.calls == [((1, 5), {}), ((1,), {"z": 4}), (("a",), {})]


def test_K3_any_hashable_is_a_key(run, deco):
    source = Source()
    f = deco(key=lambda key: str(key).lower())(source.load)

    async def main():
        assert await f("Word") is await f("WORD") is await f(key="word")
        assert await f("other") == ["value of", "other"]
        assert f.cache_contains("wOrD")
        assert set(f.cache) == {"word", "other"}

    run(main())
    assert source.runs == ["Word", "other"]


def test_K3_an_error_of_the_key_function_reaches_the_caller(run, deco):
    source = Source()
    f = deco(key=lambda key: 1 // key)(source.load)

    async def main():
        await f(1)
        with pytest.raises(ZeroDivisionError):
            await f(0)
        assert await f(1) == ["value of", 1]

    run(main())
    assert source.runs == [1]


@pytest.mark.parametrize("ignore", [(), ("self",), ("db",), ("self", "db")])
def test_K3_methodkey_stays_right_whatever_is_ignored(run, ignore):
    class Service:
        cache = {}

        @cachedmethod(lambda self: self.cache, key=methodkey, ignore=ignore)
        async def load(self, x, db=None):
            return object()

    async def main():
        first = await Service().load(1)
        assert await Service().load(1) is first
        assert await Service().load(2) is not first
        assert Service().load.cache_key(1) == hashkey(1)
        assert list(Service.cache) == [hashkey(1), hashkey(2)]
        if "db" in ignore:
            assert await Service().load(1, db=[]) is first

    run(main())


@pytest.mark.parametrize("decorator", ["cached", "cachedmethod"])
def test_K3_methods_pass_self_to_the_key_function(run, decorator):
    cache, seen = {}, []

    def by_tenant(service, x):
        seen.append(service)
        return service.tenant, x

    class Service:
        def __init__(self, tenant):
            self.tenant = tenant

        @(cached(cache, by_tenant) if decorator == "cached" else cachedmethod(lambda _: cache, by_tenant))
        async def load(self, x):
            return object()

    async def main():
        a, again, b = Service("a"), Service("a"), Service("b")
        assert await a.load(1) is await again.load(1)
        assert await a.load(1) is not await b.load(1)
        assert a.load.cache_key(1) == ("a", 1)
        assert {type(service) for service in seen} == {Service}

    run(main())


def test_K3_typed_tells_equal_values_of_different_types_apart(run, deco):
    @deco(typed=True)
    async def f(x, y=1, *, z=0):
        return object()

    async def main():
        results = [
            await f(1),
            await f(True),
            await f(1.0),
            await f(0, z=1),
            await f(0, z=True),
            await f(0, 1.0),
        ]
        assert len({id(result) for result in results}) == 6
        assert [await f(1), await f(x=True), await f(1.0)] == results[:3]
        assert await f(1, 1) is results[0]
        assert await f(0, z=True) is results[4]

    run(main())


def test_K3_typedkey(run, deco):
    f = deco(key=typedkey)(Source().load)

    async def main():
        assert await f(1) is not await f(1.0)
        assert await f(1) is await f(1)
        assert f.cache_key(1) == typedkey(1)

    run(main())
