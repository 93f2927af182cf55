"""Warm-up: many keys are loaded before traffic comes, a few at a time."""

import asyncio

import pytest
from support import Timers, outcome, settle

from aiocachetools import LRUCache, WarmUp, cached, cached_many, cachedmethod, invalidate_tag


class Upstream:
    """What is loaded, with a count of the loads that are under way at a time."""

    def __init__(self, failing=()):
        self.loads, self.failing, self.cancelled = [], failing, []
        self.now = self.most = 0
        self.gate = None

    async def __call__(self, key, more=None):
        self.loads.append(key)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await (asyncio.sleep(0) if self.gate is None else self.gate.wait())
        except asyncio.CancelledError:
            self.cancelled.append(key)
            raise
        finally:
            self.now -= 1
        if key in self.failing:
            raise LookupError(key)
        return key if more is None else (key, more)


@pytest.fixture
def upstream():
    return Upstream()


async def each(items):
    for item in items:
        await asyncio.sleep(0)
        yield item


@pytest.mark.parametrize("iterable", [list, iter, each])
def test_warm_loads_a_few_at_a_time(run, upstream, iterable):
    async def main():
        f = cached(maxsize=100)(upstream.__call__)
        told = []
        warmed = await f.cache_warm(iterable(range(20)), concurrency=4, on_progress=told.append)
        total = 20 if iterable is list else None
        assert warmed == told[-1] == WarmUp(done=20, total=total, loaded=20, cached=0, failed=0)
        assert upstream.loads == list(range(20))
        # An asynchronous iterable that takes longer than a load is what limits it.
        assert upstream.most == (1 if iterable is each else 4)
        assert [progress.done for progress in told] == list(range(1, 21))
        assert await f(7) == 7
        assert len(upstream.loads) == 20

    run(main())


def test_warm_takes_arguments_as_tuples_dicts_or_alone(run, upstream):
    async def main():
        @cached(maxsize=100)
        async def f(key, more=None):
            return await upstream(key, more)

        await f.cache_warm([(1, 2), {"key": 3, "more": 4}, 5, (6,)])
        assert f.cache_contains(1, 2)
        assert f.cache_contains(3, 4)
        assert f.cache_contains(5)
        assert f.cache_contains(6)

    run(main())


def test_warm_leaves_alone_what_is_cached_and_joins_what_is_being_loaded(run, upstream):
    async def main():
        f = cached(maxsize=100)(upstream.__call__)
        await f(1)
        upstream.gate = asyncio.Event()
        call = asyncio.ensure_future(f(2))
        await settle()
        warming = asyncio.ensure_future(f.cache_warm([1, 2, 3]))
        await settle()
        upstream.gate.set()
        assert await warming == WarmUp(done=3, total=3, loaded=2, cached=1, failed=0)
        assert await call == 2
        assert upstream.loads == [1, 2, 3]

    run(main())


def test_warm_loads_what_is_stale_failed_or_of_an_invalidated_tag(run, upstream):
    async def main():
        clock = Timers()
        f = cached(
            maxsize=100,
            ttl=10,
            timer=clock,
            stale_while_revalidate=100,
            cache_errors={LookupError: 100},
            tags=lambda key: f"warm:{key}",
        )(upstream.__call__)
        upstream.failing = (1,)
        await outcome(f(1))
        await f(2)
        clock.now = 20
        f.cache_set(3, 3)
        await f(4)
        invalidate_tag("warm:4")
        upstream.failing = ()
        upstream.loads.clear()
        assert await f.cache_warm([1, 2, 3, 4]) == WarmUp(done=4, total=4, loaded=3, cached=1, failed=0)
        assert upstream.loads == [1, 2, 4]
        assert all(f.cache_contains(key) for key in (1, 2, 3, 4))

    run(main())


def test_warm_raises_what_failed_when_all_is_done(run):
    async def main():
        upstream = Upstream(failing=(2, 5))
        f = cached(maxsize=100)(upstream.__call__)
        told = []
        with pytest.raises(ExceptionGroup, match=r"cache_warm\(\): 2 of 8 failed") as raised:
            await f.cache_warm(range(8), concurrency=2, on_progress=told.append)
        assert [error.args for error in raised.value.exceptions] == [(2,), (5,)]
        assert told[-1] == WarmUp(done=8, total=8, loaded=6, cached=0, failed=2)

    run(main())


def test_warm_tells_what_failed_to_on_error_instead(run):
    async def main():
        upstream = Upstream(failing=(2, 5))
        f = cached(maxsize=100)(upstream.__call__)
        failed = []
        warmed = await f.cache_warm([(2,), 3, {"key": 5}], on_error=lambda *what: failed.append(what))
        assert warmed == WarmUp(done=3, total=3, loaded=1, cached=0, failed=2)
        assert [(call, error.args) for call, error in failed] == [((2,), (2,)), ({"key": 5}, (5,))]

    run(main())


def test_warm_that_is_cancelled_cancels_its_loads(run, upstream):
    async def main():
        f = cached(maxsize=100)(upstream.__call__)
        upstream.gate = asyncio.Event()
        other = asyncio.ensure_future(f(0))
        warming = asyncio.ensure_future(f.cache_warm(range(100), concurrency=3))
        await settle()
        warming.cancel()
        assert isinstance(await outcome(warming), asyncio.CancelledError)
        assert sorted(upstream.cancelled) == [1, 2]
        upstream.gate.set()
        assert await other == 0
        assert upstream.loads == [0, 1, 2]

    run(main())


def giving_up(upstream, wanted):
    """The upstream, but for one key whose load cancels itself."""

    async def load(key):
        if key == wanted:
            raise asyncio.CancelledError
        return await upstream(key)

    return load


@pytest.mark.parametrize("told", [True, False])
def test_F3_warm_goes_on_after_a_load_that_cancels_itself(run, upstream, told):
    async def main():
        f, progress, failed = cached(maxsize=100)(giving_up(upstream, 2)), [], []
        told_of = {"on_error": lambda *what: failed.append(what)} if told else {}
        warmed = await outcome(f.cache_warm(range(5), concurrency=2, on_progress=progress.append, **told_of))
        assert progress[-1] == WarmUp(done=5, total=5, loaded=4, cached=0, failed=1)
        if told:
            assert warmed == progress[-1]
            [(call, error)] = failed
        else:
            call, [error] = 2, warmed.exceptions
        assert call == 2
        assert isinstance(error, RuntimeError)
        assert isinstance(error.__cause__, asyncio.CancelledError)
        assert "load() was cancelled" in str(error)

    run(main())


@pytest.mark.parametrize("who", ["on_progress", "on_error", "iterable"])
def test_warm_ends_with_what_a_callback_or_the_iterable_raises(run, who):
    async def main():
        upstream = Upstream(failing=(0,))
        f = cached(maxsize=100)(upstream.__call__)

        def fail(*_):
            raise ZeroDivisionError

        def calls():
            yield from range(4)
            if who == "iterable":
                fail()
            yield from range(4, 50)

        callbacks = {} if who == "iterable" else {who: fail}
        with pytest.raises(ZeroDivisionError):
            await f.cache_warm(calls(), concurrency=2, **callbacks)
        assert upstream.now == 0
        assert len(upstream.loads) <= 4

    run(main())


def test_warm_without_a_cache_loads_nothing(run, upstream):
    async def main():
        f = cached(None)(upstream.__call__)
        assert await f.cache_warm([1, 2]) == WarmUp(total=2)
        assert upstream.loads == []

    run(main())


def test_warm_of_a_method(run, upstream):
    class Service:
        def __init__(self):
            self.cache = LRUCache(10)

        @cachedmethod(lambda self: self.cache)
        async def load(self, key):
            return await upstream(key)

        @cached
        async def shared(self, key):
            return await upstream(key)

    async def main():
        service = Service()
        assert (await service.load.cache_warm([1, 2])).loaded == 2
        assert (await service.shared.cache_warm([3])).loaded == 1
        assert (await Service.load.cache_warm([(service, 1), (service, 4)]))[2:4] == (1, 1)
        assert upstream.loads == [1, 2, 3, 4]
        assert service.load.cache_contains(4)

    run(main())


def test_warm_of_a_foreign_cache(run, upstream):
    async def main():
        cache = {}
        f = cached(cache)(upstream.__call__)
        await f.cache_warm([1, 2])
        assert list(cache.values()) == [1, 2]

    run(main())


def test_warm_says_what_is_wrong_with_its_arguments(run, upstream):
    async def main():
        @cached
        async def f(key): ...

        with pytest.raises(
            TypeError, match=r"f\.cache_warm\(\): concurrency must be a number of loads, not 'x'"
        ):
            await f.cache_warm([1], concurrency="x")
        with pytest.raises(ValueError, match=r"f\.cache_warm\(\): concurrency must be at least 1, not 0"):
            await f.cache_warm([1], concurrency=0)
        with pytest.raises(TypeError, match=r"f\.cache_warm\(\): takes an iterable of calls.*not 7"):
            await f.cache_warm(7)
        with pytest.raises(TypeError, match=r"f\.cache_warm\(\): takes an iterable of calls.*not 'abc'"):
            await f.cache_warm("abc")

    run(main())


# Several keys


class Rows:
    def __init__(self):
        self.asked, self.lacks = [], ()

    async def __call__(self, keys, language="en"):
        self.asked.append(list(keys))
        await asyncio.sleep(0)
        return {key: f"{key} {language}" for key in keys if key not in self.lacks}


def made_many(rows, **options):
    async def f(keys, language="en"):
        return await rows(keys, language)

    return cached_many(**{"maxsize": 1000, **options})(f)


@pytest.mark.parametrize(("options", "sizes"), [({"max_batch": 4}, [4, 4, 2]), ({}, [10])])
def test_warm_of_several_keys_loads_in_batches(run, options, sizes):
    async def main():
        rows = Rows()
        f = made_many(rows, **options)
        assert await f.cache_warm(range(10)) == WarmUp(done=10, total=10, loaded=10)
        assert [len(keys) for keys in rows.asked] == sizes
        assert await f.cache_warm(range(12)) == WarmUp(done=12, total=12, loaded=2, cached=10)
        assert sorted(rows.asked[-1]) == [10, 11]

    run(main())


def test_warm_of_several_keys_takes_the_other_arguments_of_the_calls(run):
    async def main():
        f = made_many(Rows())
        await f.cache_warm([1], "de")
        await f.cache_warm(each([(2, 3)]), language="fr")
        assert f.cache_contains(1, "de")
        assert f.cache_contains((2, 3), "fr")
        assert not f.cache_contains(1)

    run(main())


def test_warm_of_several_keys_tells_which_failed(run):
    async def main():
        rows = Rows()
        rows.lacks = (2,)
        f, failed = made_many(rows, max_batch=2), []
        warmed = await f.cache_warm(range(5), on_error=lambda keys, error: failed.append((keys, error.keys)))
        assert warmed == WarmUp(done=5, total=5, loaded=4, failed=1)
        assert failed == [([2], (2,))]

    run(main())


def test_F3_warm_of_several_keys_goes_on_after_a_load_that_cancels_itself(run):
    async def main():
        rows, failed = Rows(), []

        async def load(keys):
            if 2 in keys:
                raise asyncio.CancelledError
            return await rows(keys)

        f = cached_many(maxsize=1000, max_batch=2)(load)
        warmed = await f.cache_warm(range(5), on_error=lambda keys, error: failed.append((keys, type(error))))
        assert warmed == WarmUp(done=5, total=5, loaded=3, failed=2)
        assert failed == [([2, 3], RuntimeError)]

    run(main())


def test_warm_of_several_keys_goes_on_after_what_is_no_key(run):
    async def main():
        rows, failed = Rows(), []
        f = made_many(rows, max_batch=2)
        warmed = await f.cache_warm(
            [1, [2], 3, 4], on_error=lambda keys, error: failed.append((keys, type(error)))
        )
        assert failed == [([1, [2]], TypeError)]
        assert (warmed.loaded, warmed.failed) == (2, 2)

    run(main())


def test_warm_of_several_keys_of_a_method(run):
    rows = Rows()

    class Service:
        @cached_many(maxsize=10)
        async def names(self, keys):
            return await rows(keys)

    async def main():
        service = Service()
        assert (await service.names.cache_warm([1, 2])).loaded == 2
        assert service.names.cache_contains(2)

    run(main())
