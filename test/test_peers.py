"""What users of cachetools-async know of its `cached` and `cachedmethod` holds here as well.

Each behavior that the public tests of cachetools-async 0.0.5 check is checked here in other words.
Three of its expectations are not shared, and the tests marked DIFFERS state what holds instead:

- There, concurrent calls on a mapping that refuses every store all run, because the mapping is where
  a call in flight is kept. Here flights have a table of their own, and one run serves them all.
- There, a mapping that answers None (or a stored None) is a miss. Here None is a value.
- There, `lock` and `info` are refused. Here they work.
"""

import asyncio
import contextlib
from unittest import mock

import pytest
from support import Source, called, settle

from aiocachetools import cached, cachedmethod


async def echo(*args, **kwargs):
    return args, kwargs


class Example:
    async def echo(self, *args, **kwargs):
        return self, args, kwargs

    async def cancel_itself(self):
        asyncio.current_task().cancel()
        return self

    def synchronous(self):
        raise NotImplementedError


CALLS = [((0,), {}), (("foo",), {}), (("foo",), {"bar": "baz"}), ((), {"bar": "baz"})]


@pytest.mark.parametrize("cache", [{}, None], ids=["dict", "none"])
def test_cached_passes_arguments_through(run, cache):
    f = cached(cache)(echo)

    async def main():
        for args, kwargs in CALLS * 2:
            assert await f(*args, **kwargs) == (args, kwargs)

    run(main())


@pytest.mark.parametrize("cache", [{}, None], ids=["dict", "none"])
def test_cachedmethod_passes_arguments_through(run, cache):
    f = cachedmethod(lambda self: cache)(Example.echo)
    example = Example()

    async def main():
        for args, kwargs in CALLS * 2:
            assert await f(example, *args, **kwargs) == (example, args, kwargs)

    run(main())


def test_cached_refuses_what_is_no_coroutine_function():
    for what in (lambda: None, 10, {}, Example().synchronous):
        with pytest.raises(TypeError, match="Expected Coroutine"):
            cached(None)(what)
    with pytest.raises(TypeError, match="Expected Coroutine"):
        cachedmethod(lambda self: None)(Example.synchronous)


def test_cached_runs_an_async_mock_once_per_key(run):
    """Concurrently and one after the other."""
    double = mock.AsyncMock(return_value="bar")
    f = cached({})(double)

    async def main():
        calls = [f(x) for x in ("foo", "bar") for _ in range(5)]
        assert await asyncio.gather(*calls) == ["bar"] * 10
        assert await f("foo") == "bar"

    run(main())
    assert double.mock_calls == [mock.call("foo"), mock.call("bar")]


def test_cachedmethod_runs_an_async_mock_once_per_key(run):
    double, cache, owner = mock.AsyncMock(return_value="bar"), {}, Example()
    f = cachedmethod(lambda self: cache)(double)

    async def main():
        calls = [f(owner, x) for x in ("foo", "bar") for _ in range(5)]
        assert await asyncio.gather(*calls) == ["bar"] * 10
        assert await f(owner, "foo") == "bar"

    run(main())
    assert double.mock_calls == [mock.call(owner, "foo"), mock.call(owner, "bar")]


def test_a_load_that_cancels_itself_cancels_its_caller(run):
    async def cancel_itself():
        asyncio.current_task().cancel()

    async def main():
        with pytest.raises(asyncio.CancelledError):
            await cached({})(cancel_itself)()
        with pytest.raises(asyncio.CancelledError):
            await cachedmethod(lambda self: {})(Example.cancel_itself)(Example())

    run(main())


def test_exceptions_are_not_cached(run):
    double = mock.AsyncMock(side_effect=[TypeError("of the function"), "example", "other"])
    f, cache = cached({})(double), {}
    method = cachedmethod(lambda self: cache)(double)

    async def main():
        with pytest.raises(TypeError, match="of the function"):
            await f()
        assert [await f(), await f()] == ["example"] * 2
        owner = Example()
        assert [await method(owner), await method(owner)] == ["other"] * 2

    run(main())
    assert double.await_count == 3


def test_cache_clear_takes_everything(run):
    source = Source()
    f = cached({})(source.load)

    async def main():
        for key in ("a", "a", "b"):
            await f(key)
        f.cache_clear()
        await f("a")

    run(main())
    assert source.runs == ["a", "b", "a"]


def test_cache_clear_of_a_method_takes_the_instance(run):
    caches = mock.MagicMock(return_value={"left": "over"})
    f = cachedmethod(caches)(Example.echo)
    f.cache_clear("an instance")
    caches.assert_called_with("an instance")
    assert caches.return_value == {}
    cachedmethod(lambda self: None)(Example.echo).cache_clear(Example())


def test_cache_clear_without_a_cache_does_nothing(run):
    f = cached(None)(echo)
    f.cache_clear()
    assert run(f(1)) == ((1,), {})


@pytest.mark.parametrize(
    "f", [cached(None)(echo), cached({})(echo), cachedmethod(lambda self: None)(Example.echo)], ids=range(3)
)
def test_attributes_are_there(f):
    for name in ("cache", "cache_key", "cache_lock", "cache_clear", "cache_info"):
        assert hasattr(f, name)


class Refusing(dict):
    """Neither holds nor takes anything."""

    def __setitem__(self, key, value):
        raise ValueError("full")


async def slowly(*args):
    await asyncio.sleep(0)
    return "bar"


def test_DIFFERS_a_mapping_that_refuses_every_store_is_coalesced(run):
    double = mock.AsyncMock(side_effect=slowly)
    f, cache = cached(Refusing())(double), Refusing()
    method, owner = cachedmethod(lambda self: cache)(double), Example()

    async def main():
        assert await asyncio.gather(*(f("foo") for _ in range(5))) == ["bar"] * 5
        assert double.await_count == 1
        assert await asyncio.gather(*(method(owner, "foo") for _ in range(5))) == ["bar"] * 5
        assert double.await_count == 2
        await f("foo")
        assert double.await_count == 3

    run(main())


def test_DIFFERS_a_stored_none_is_a_hit(run):
    double = mock.AsyncMock(return_value=None)
    cache = mock.MagicMock()
    cache.__getitem__.return_value = None

    async def main():
        assert await cached(cache)(double)("foo") is None
        assert double.await_count == 0
        f = cached({})(double)
        assert [await f("foo"), await f("foo")] == [None, None]
        assert double.await_count == 1

    run(main())


def test_DIFFERS_lock_and_info_are_supported(run):
    class Lock(contextlib.AbstractContextManager):
        used = 0

        def __enter__(self):
            self.used += 1

        def __exit__(self, *exc_info):
            pass

    lock, cache = Lock(), {}
    f = cached({}, lock=lock, info=True)(echo)
    method = cachedmethod(lambda self: cache, lock=lambda self: lock)(Example.echo)

    async def main():
        await f(1)
        await f(1)
        assert tuple(f.cache_info()[:2]) == (1, 1)
        used = lock.used
        await method(Example(), 1)
        assert lock.used > used > 0

    run(main())


# --- async-lru


def test_async_lru_has_the_same_attributes_and_parameters(run):
    """`alru_cache` users find what they know: maxsize, ttl, typed, and the same methods."""
    source = Source()
    f = cached(maxsize=32, ttl=60, typed=True)(source.load)

    async def main():
        await asyncio.gather(f(1), f(1))
        assert f.cache_parameters()["maxsize"] == 32
        assert f.cache_parameters()["typed"] is True
        assert f.cache_contains(1)
        assert f.cache_invalidate(1)
        assert not f.cache_invalidate(1)
        f.cache_clear()
        await f.cache_close()
        assert isinstance(await called(f, 1), RuntimeError)
        await settle()

    run(main())
    assert source.runs == [1]
