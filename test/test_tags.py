"""Rule R6: tags, and what their invalidation does to entries, loads, stale values and failures."""

import asyncio
import copy
import gc
import pickle
import re
import threading
import weakref
from types import SimpleNamespace

import cachetools
import pytest
from loguru import logger
from support import Loads, Timers, called, outcome, settle

import aiocachetools
from aiocachetools import (
    ABSENT,
    LRUCache,
    RemovalCause,
    TTLCache,
    _core,
    cached,
    cached_many,
    cachedmethod,
    invalidate_tag,
    invalidate_tags,
)

CLASSES = ("Cache", "FIFOCache", "LFUCache", "LRUCache", "RRCache", "TinyLFUCache")


class Upstream:
    """What is loaded: the number of the load, unless it is told to fail or to wait."""

    def __init__(self):
        self.loads = []
        self.error = None
        self.gate = None

    async def __call__(self, key=None):
        self.loads.append(key)
        number = len(self.loads)
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return number

    def hold(self):
        self.gate = asyncio.Event()
        return self.gate


@pytest.fixture
def upstream():
    return Upstream()


@pytest.fixture
def clock():
    return Timers()


def made(upstream, **options):
    async def f(key):
        return await upstream(key)

    return cached(**{"maxsize": 100, "tags": "all", **options})(f)


def timed(upstream, clock, **options):
    return made(upstream, **{"ttl": 10, "timer": clock, **options})


# What names an entry


@pytest.mark.parametrize(
    "tags", ["a", ["a"], ("b", "a"), {"a"}, lambda key: "a", lambda key: iter(["b", "a"])]
)
def test_R6_tags_are_names_or_a_function_of_the_arguments(run, upstream, tags):
    async def main():
        f = made(upstream, tags=tags)
        assert [await f(1), await f(1)] == [1, 1]
        invalidate_tag("other")
        assert await f(1) == 1
        invalidate_tag("a")
        assert not f.cache_contains(1)
        assert [await f(1), await f(1)] == [2, 2]

    run(main())


def test_R6_only_entries_with_the_tag_are_invalidated(run, upstream):
    async def main():
        f = made(upstream, tags=lambda key: [f"key:{key}", "all"])
        assert [await f(key) for key in (1, 2, 3)] == [1, 2, 3]
        invalidate_tag("key:2")
        assert [f.cache_contains(key) for key in (1, 2, 3)] == [True, False, True]
        invalidate_tags(["key:1", "key:7"])
        assert [f.cache_contains(key) for key in (1, 2, 3)] == [False, False, True]
        invalidate_tag("all")
        assert not f.cache_contains(3)

    run(main())


def test_R6_tags_may_depend_on_the_value(run):
    async def main():
        @cached(tags=lambda user, *, value: [f"user:{user}", *(f"order:{order}" for order in value)])
        async def orders(user):
            loads.append(user)
            return [10 * user, 10 * user + 1]

        loads = []
        await orders(1), await orders(2)
        invalidate_tag("order:21")
        await orders(1), await orders(2)
        assert loads == [1, 2, 2]
        invalidate_tag("user:1")
        await orders(1), await orders(2)
        assert loads == [1, 2, 2, 1]

    run(main())


def test_R6_the_tags_function_is_called_as_a_key_function_is_and_only_for_loads(run):
    async def main():
        calls = []

        @cached(ignore=("db",), tags=lambda *args, **kwargs: calls.append((args, kwargs)) or "t")
        async def f(db, x, *, y=0):
            return x

        await f(object(), 1, y=2)
        await f(object(), 1, y=2)
        assert calls == [((1,), {"y": 2})]

        class Service:
            tenant = "acme"

            def __init__(self):
                self.cache = LRUCache(10)

            @cachedmethod(lambda self: self.cache, tags=lambda self, x, *, value: f"{self.tenant}:{value}")
            async def m(self, x):
                return x + 1

        service = Service()
        await service.m(1)
        invalidate_tag("acme:1")
        assert service.m.cache_contains(1)
        invalidate_tag("acme:2")
        assert not service.m.cache_contains(1)

    run(main())


def test_R6_a_positional_parameter_called_value_is_an_argument(run):
    async def main():
        @cached(tags=lambda value: f"v{value}")
        async def f(value):
            return -value

        await f(1)
        invalidate_tag("v-1")
        assert f.cache_contains(1)
        invalidate_tag("v1")
        assert not f.cache_contains(1)

    run(main())


def test_R6_an_entry_may_have_no_tags(run, upstream):
    async def main():
        for tags in ([], lambda key: (), lambda key, *, value: ()):
            f = made(upstream, tags=tags)
            await f(1)
            invalidate_tag("all")
            assert f.cache_contains(1)
        assert made(upstream, tags=()).cache_parameters()["tags"] is None
        assert made(upstream, tags="a").cache_parameters()["tags"] == ("a",)

    run(main())


def test_R6_functions_and_caches_share_tags(run, upstream):
    async def main():
        f, g = made(upstream, tags="shared"), made(upstream, tags=["g", "shared"], ttl=60)
        await f(1), await g(1)
        invalidate_tag("g")
        assert (f.cache_contains(1), g.cache_contains(1)) == (True, False)
        await g(1)
        invalidate_tag("shared")
        assert (f.cache_contains(1), g.cache_contains(1)) == (False, False)

    run(main())


# What is refused


def test_R6_what_is_no_name_is_an_error(run, upstream):
    with pytest.raises(
        TypeError, match=r"cached\(\): tags must be a name \(str\), an iterable of names.*not 7"
    ):
        cached(tags=7)
    with pytest.raises(TypeError, match=r"cached_many\(\): tags must be a name.*not \[7\]"):
        cached_many(tags=[7])
    with pytest.raises(
        TypeError, match=r"invalidate_tag\(\): the name of a tag is a str, not \['a'\]; for several"
    ):
        invalidate_tag(["a"])
    with pytest.raises(
        TypeError, match=r"invalidate_tags\(\): names is an iterable.*use invalidate_tag\('a'\)"
    ):
        invalidate_tags("a")
    with pytest.raises(
        TypeError, match=r"invalidate_tags\(\): names must be an iterable of tags \(str\), not \[b'a'\]"
    ):
        invalidate_tags([b"a"])

    async def main():
        for said in (7, [7], None):
            f = made(upstream, tags=lambda key, said=said: said)
            with pytest.raises(
                TypeError, match=r"f\(\): the tags function must return a name.*not " + re.escape(repr(said))
            ):
                await f(1)
        assert upstream.loads == []

    run(main())


def test_R6_an_error_of_the_tags_function_reaches_the_caller(run, upstream):
    async def main():
        f = made(upstream, tags=lambda key: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            await f(1)
        assert upstream.loads == []
        g = made(upstream, tags=lambda key, *, value: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            await g(1)
        assert (upstream.loads, g.cache_contains(1)) == ([1], False)

    run(main())


@pytest.mark.parametrize("cache", [{}, cachetools.LRUCache(10), type("Own", (LRUCache,), {})(10)])
def test_R6_tags_need_a_native_cache(cache):
    with pytest.raises(TypeError, match=r"cached\(\): tags needs one of aiocachetools' own caches"):

        @cached(cache, tags="a")
        async def f(x):
            return x


def test_R6_tags_and_a_lock_exclude_each_other():
    with pytest.raises(TypeError, match=r"tags cannot be combined with a lock"):

        @cached(LRUCache(10), lock=threading.Lock(), tags="a")
        async def f(x):
            return x


def test_R6_a_resolved_cache_is_checked_at_the_call(run):
    class Service:
        cache = {}

        @cachedmethod(lambda self: self.cache, tags="a")
        async def m(self, x):
            return x

    async def main():
        service = Service()
        for call in (service.m, service.m.cache_refresh):
            with pytest.raises(TypeError, match=r"m\(\): tags cannot be combined with .* cache of type dict"):
                await call(1)
        with pytest.raises(TypeError, match="tags cannot be combined with"):
            service.m.cache_set(1, 1)
        assert Service.cache == {}

    run(main())


def test_R6_a_parameter_of_the_functions_own_called_value_is_refused():
    with pytest.raises(TypeError, match=r"'value', which .*f\(\) has a parameter of its own for"):

        @cached(tags=lambda *, value: "a")
        async def f(value):
            return value


def test_R6_a_tier_has_tags_of_its_own():
    tier = SimpleNamespace(attach=lambda *args: None)
    with pytest.raises(TypeError, match=r"tags cannot be combined with tier.*tier\.using\(tags="):

        @cached(tags="a", tier=tier)
        async def f(x):
            return x


# The cache as a mapping


@pytest.mark.parametrize("name", [*CLASSES, "TTLCache", "TLRUCache"])
@pytest.mark.parametrize("timer", [None, Timers()])
def test_R6_mapping_reads_do_not_see_what_was_invalidated(run, upstream, name, timer):
    options = {} if timer is None else {"timer": timer}
    arguments = {"TTLCache": (60,), "TLRUCache": (lambda key, value, now: now + 60,)}.get(name, ())
    cache = getattr(aiocachetools, name)(100, *arguments, **options)

    async def main():
        f = cached(cache, key=lambda key: key, tags=lambda key: f"key:{key}")(upstream.__call__)
        for key in range(4):
            await f(key)
        cache["plain"] = 0
        invalidate_tags(["key:1", "key:2"])
        assert [key in cache for key in (0, 1, 2, 3)] == [True, False, False, True]
        assert [cache.get(key) for key in (0, 1, 2, 3)] == [1, None, None, 4]
        with pytest.raises(KeyError):
            cache[1]
        with pytest.raises(KeyError):
            del cache[1]
        assert cache.pop(2, "gone") == "gone"
        assert len(cache) == 3
        assert sorted(map(str, cache)) == ["0", "3", "plain"]
        assert dict(cache) == {0: 1, 3: 4, "plain": 0}
        assert "1:" not in repr(cache)
        assert cache.setdefault(1, "new") == "new"
        invalidate_tag("key:1")
        assert cache[1] == "new"
        _core._validate(cache)

    run(main())


def test_R6_popitem_passes_over_what_was_invalidated(run, upstream):
    async def main():
        f = made(upstream, key=lambda key: key)
        await f(1)
        f.cache[2] = "by hand"
        invalidate_tag("all")
        assert f.cache.popitem() == (2, "by hand")
        with pytest.raises(KeyError):
            f.cache.popitem()
        assert f.cache.currsize == 0

    run(main())


def test_R6_an_invalidated_entry_leaves_when_it_is_met_or_makes_room(run, upstream):
    async def main():
        told = []
        cache = LRUCache(2, removal_listener=lambda *args: told.append(args))
        f = cached(cache, key=lambda key: key, tags="all")(upstream.__call__)
        await f(1), await f(2)
        invalidate_tag("all")
        assert (cache.currsize, told) == (2, [])
        assert f.cache_invalidate(1) is False
        assert told == [(1, 1, RemovalCause.EXPLICIT)]
        await f(2)
        assert told[1:] == [(2, 2, RemovalCause.REPLACED)]
        await f(3), await f(4)
        invalidate_tag("all")
        await f(5)
        assert told[-1] == (3, 4, RemovalCause.SIZE)

    run(main())


def test_R6_a_value_that_is_stored_by_hand_has_no_tags(run, upstream):
    async def main():
        f = made(upstream, key=lambda key: key)
        await f(1)
        f.cache[1] = "by hand"
        invalidate_tag("all")
        assert await f(1) == "by hand"

    run(main())


# Tags and loads under way


@pytest.mark.parametrize("tags", ["a", lambda key: "a"])
def test_R6_F4_an_invalidation_during_a_load_wins(run, upstream, tags):
    async def main():
        f = made(upstream, tags=tags)
        gate = upstream.hold()
        first = [asyncio.ensure_future(f(1)) for _ in range(3)]
        await settle()
        invalidate_tag("a")
        second = asyncio.ensure_future(f(1))
        await settle()
        assert upstream.loads == [1, 1]
        gate.set()
        assert await asyncio.gather(*first, second) == [1, 1, 1, 2]
        assert await f(1) == 2

    run(main())


def test_R6_F4_an_invalidation_during_a_load_whose_tags_come_from_the_value_keeps_it_from_being_stored(
    run, upstream
):
    async def main():
        f = made(upstream, tags=lambda key, *, value: f"number:{value}")
        gate = upstream.hold()
        calls = [asyncio.ensure_future(f(key)) for key in (1, 2)]
        await settle()
        invalidate_tag("number:2")
        # Nobody can know yet that it is concerned: it is joined.
        calls.append(asyncio.ensure_future(f(2)))
        await settle()
        gate.set()
        assert await asyncio.gather(*calls) == [1, 2, 2]
        assert [f.cache_contains(key) for key in (1, 2)] == [True, False]
        assert await f(2) == 3
        assert f.cache_contains(2)

    run(main())


@pytest.mark.parametrize("tags", ["a", lambda key: "a", lambda key, *, value: "a"])
def test_R6_an_invalidation_while_the_value_is_being_stored_wins(run, upstream, tags):
    async def main():
        def ttl(value):
            invalidate_tag("a")
            return 60

        f = made(upstream, tags=tags, ttl=ttl)
        assert await f(1) == 1
        assert not f.cache_contains(1)

    run(main())


@pytest.mark.parametrize("names", ["a", ()])
def test_R6_F1_a_tags_function_that_starts_the_same_load_joins_it(run, upstream, names):
    """The user's function may run anything, such as the first step of the same call."""

    async def main():
        started = []

        def tags(key):
            if not started:
                started.append(f(key))
                started[0].send(None)
            return names

        f = made(upstream, tags=tags)
        gate = upstream.hold()
        call = asyncio.ensure_future(f(1))
        await settle()
        gate.set()
        assert await call == 1
        assert upstream.loads == [1]
        started[0].close()

    run(main())


def test_R6_F2_an_abandoned_load_leaves_nothing_behind(run, upstream):
    async def main():
        f = made(upstream, tags=lambda key, *, value: "a")
        upstream.hold()
        call = asyncio.ensure_future(f(1))
        await settle()
        call.cancel()
        assert isinstance(await outcome(call), asyncio.CancelledError)

    run(main())
    for number in range(3000):
        invalidate_tag(f"after an abandoned load {number}")
    assert _core._known_tags() < 1000


def test_R6_cache_close_and_invalidation_of_the_key_itself_go_together(run, upstream):
    async def main():
        f = made(upstream)
        gate = upstream.hold()
        call = asyncio.ensure_future(f(1))
        await settle()
        f.cache_invalidate(1)
        invalidate_tag("all")
        gate.set()
        assert await call == 1
        assert not f.cache_contains(1)

    run(main())


# Tags with what is stale or failed


def test_R6_R2_a_stale_value_of_an_invalidated_tag_is_not_served(run, upstream, clock):
    async def main():
        f = timed(upstream, clock, stale_while_revalidate=100)
        await f(1)
        clock.now = 20
        assert await f(1) == 1
        await settle()
        assert await f(1) == 2
        clock.now = 40
        invalidate_tag("all")
        assert await f(1) == 3

    run(main())


def test_R6_R2_a_refresh_under_way_is_neither_stored_nor_joined_after_the_invalidation(run, upstream, clock):
    async def main():
        f = timed(upstream, clock, stale_while_revalidate=100)
        await f(1)
        clock.now = 20
        gate = upstream.hold()
        assert await f(1) == 1
        await settle()
        invalidate_tag("all")
        call = asyncio.ensure_future(f(1))
        await settle()
        assert len(upstream.loads) == 3
        gate.set()
        assert await call == 3
        await settle()
        assert await f(1) == 3

    run(main())


def test_R6_R3_a_failed_load_does_not_bring_back_what_was_invalidated(run, upstream, clock):
    async def main():
        f = timed(upstream, clock, stale_if_error=100)
        await f(1)
        clock.now = 20
        upstream.error = OSError("down")
        assert await f(1) == 1
        gate = upstream.hold()
        during = asyncio.ensure_future(f(1))
        await settle()
        invalidate_tag("all")
        gate.set()
        assert isinstance(await outcome(during), OSError)
        assert isinstance(await called(f, 1), OSError)

    run(main())


@pytest.mark.parametrize("tags", ["all", lambda key, *, value: "all"])
def test_R6_R4_who_loses_patience_is_not_served_what_was_invalidated(run, upstream, clock, tags):
    async def main():
        f = timed(upstream, clock, stale_if_error=100, soft_timeout=1, tags=tags)
        await f(1)
        clock.now = 20
        gate = upstream.hold()
        served, waiting = asyncio.ensure_future(f(1)), None
        await settle()
        clock.advance(1)
        assert await served == 1
        waiting = asyncio.ensure_future(f(1))
        await settle()
        invalidate_tag("all")
        clock.advance(1)
        await settle()
        assert not waiting.done()
        gate.set()
        assert await waiting == 2
        assert not f.cache_contains(1)

    run(main())


def test_R6_R4_a_load_that_timed_out_falls_back_on_nothing_that_was_invalidated(run, upstream, clock):
    async def main():
        f = timed(upstream, clock, stale_if_error=100, timeout=5)
        await f(1)
        clock.now = 20
        upstream.hold()
        call = asyncio.ensure_future(f(1))
        await settle()
        invalidate_tag("all")
        clock.advance(5)
        assert isinstance(await outcome(call), aiocachetools.LoadTimeout)

    run(main())


@pytest.mark.parametrize("options", [{}, {"ttl": 10, "stale_if_error": 100}])
def test_R6_R5_an_invalidation_forgets_a_failure_whose_tags_are_known(run, upstream, clock, options):
    async def main():
        f = made(upstream, cache_errors={OSError: 1000}, timer=clock, **options)
        upstream.error = OSError("down")
        for _ in range(2):
            assert isinstance(await called(f, 1), OSError)
        assert len(upstream.loads) == 1
        upstream.error = None
        invalidate_tag("all")
        assert await f(1) == 2

    run(main())


def test_R6_R5_a_failure_during_whose_load_a_tag_was_invalidated_is_not_remembered(run, upstream, clock):
    async def main():
        f = made(upstream, cache_errors={OSError: 1000}, timer=clock)
        upstream.error = OSError("down")
        gate = upstream.hold()
        call = asyncio.ensure_future(f(1))
        await settle()
        invalidate_tag("all")
        gate.set()
        assert isinstance(await outcome(call), OSError)
        upstream.error = None
        assert await f(1) == 2

    run(main())


def test_R6_R5_a_failure_whose_tags_would_come_from_the_value_has_those_of_the_last_one(run, upstream, clock):
    async def main():
        options = {"cache_errors": {OSError: 1000}, "stale_if_error": 2000}
        f = timed(upstream, clock, tags=lambda key, *, value: "all", **options)
        upstream.error = OSError("down")
        assert isinstance(await called(f, "never loaded"), OSError)
        invalidate_tag("all")
        assert isinstance(await called(f, "never loaded"), OSError)
        assert len(upstream.loads) == 1
        upstream.error = None
        await f(1)
        clock.now = 20
        upstream.error = OSError("down")
        assert [await f(1), await f(1)] == [2, 2]
        assert len(upstream.loads) == 3
        upstream.error = None
        invalidate_tag("all")
        assert await f(1) == 4

    run(main())


# By hand


@pytest.mark.parametrize("tags", ["all", lambda key: "all", lambda key, *, value: f"{value}"])
def test_R6_what_cache_set_stores_has_tags(run, upstream, tags):
    async def main():
        f = made(upstream, tags=tags)
        assert f.cache_set("all", 1)
        assert await f(1) == "all"
        invalidate_tag("all")
        assert not f.cache_contains(1)
        assert await f(1) == 1
        invalidate_tag("all")
        assert f.cache_set("all", 1)
        assert f.cache_contains(1)

    run(main())


def test_R6_cache_set_during_a_load_is_invalidated_like_any_value(run, upstream):
    async def main():
        f = made(upstream)
        gate = upstream.hold()
        call = asyncio.ensure_future(f(1))
        await settle()
        f.cache_set("by hand", 1)
        gate.set()
        assert await call == 1
        assert await f(1) == "by hand"
        invalidate_tag("all")
        assert not f.cache_contains(1)

    run(main())


def test_R6_cache_refresh_joins_no_load_from_before_the_invalidation(run, upstream):
    async def main():
        f = made(upstream)
        gate = upstream.hold()
        before = asyncio.ensure_future(f.cache_refresh(1))
        await settle()
        invalidate_tag("all")
        after = asyncio.ensure_future(f.cache_refresh(1))
        await settle()
        assert len(upstream.loads) == 2
        gate.set()
        assert await asyncio.gather(before, after) == [1, 2]
        assert await f(1) == 2

    run(main())


# Several keys


class Rows:
    def __init__(self):
        self.asked, self.gate = [], None

    async def __call__(self, keys):
        self.asked.append(list(keys))
        number = len(self.asked)
        if self.gate is not None:
            await self.gate.wait()
        return {key: (key, number) for key in keys if key != "no"}


def made_many(rows, **options):
    async def f(keys):
        return await rows(keys)

    return cached_many(**{"maxsize": 100, **options})(f)


@pytest.mark.parametrize("tags", [lambda key: f"row:{key}", lambda key, *, value: f"row:{value[0]}"])
def test_R6_R7_each_key_has_tags_of_its_own(run, tags):
    async def main():
        rows = Rows()
        f = made_many(rows, tags=tags)
        await f([1, 2, 3])
        invalidate_tag("row:2")
        assert await f([1, 2, 3]) == {1: (1, 1), 2: (2, 2), 3: (3, 1)}
        assert rows.asked == [[1, 2, 3], [2]]

    run(main())


def test_R6_R7_an_invalidation_concerns_single_keys_of_a_batch_under_way(run):
    async def main():
        rows = Rows()
        rows.gate = asyncio.Event()
        f = made_many(rows, tags=lambda key: f"row:{key}")
        first = asyncio.ensure_future(f([1, 2]))
        await settle()
        invalidate_tag("row:2")
        second = asyncio.ensure_future(f([1, 2]))
        await settle()
        assert rows.asked == [[1, 2], [2]]
        rows.gate.set()
        assert await first == {1: (1, 1), 2: (2, 1)}
        assert await second == {1: (1, 1), 2: (2, 2)}
        assert await f([1, 2]) == {1: (1, 1), 2: (2, 2)}

    run(main())


def test_R6_R7_single_calls_that_were_not_launched_yet_are_loaded_anew(run):
    async def main():
        rows = Rows()
        f = made_many(rows, tags="all")

        async def after_the_first():
            invalidate_tag("all")
            return await f.one(1)

        first, second = await asyncio.gather(f.one(1), after_the_first())
        assert (first[0], second[0]) == (1, 1)
        assert f.cache_contains(1)
        invalidate_tag("all")
        assert not f.cache_contains(1)

    run(main())


def test_R6_R2_R7_stale_keys_of_an_invalidated_tag_are_loaded(run):
    async def main():
        clock, rows = Timers(), Rows()
        f = made_many(rows, ttl=10, timer=clock, stale_while_revalidate=100, tags=lambda key: f"row:{key}")
        await f([1, 2])
        clock.now = 20
        invalidate_tag("row:2")
        got = await f([1, 2])
        await settle()
        assert got[1] == (1, 1)
        assert got[2] != (2, 1)
        assert sorted(rows.asked) == [[1], [1, 2], [2]]

    run(main())


@pytest.mark.parametrize("one", [False, True])
def test_R6_R2_R7_an_error_of_the_tags_function_leaves_no_refresh_that_never_begins(run, one):
    async def main():
        clock, rows, bad = Timers(), Rows(), []

        def tags(key):
            if key in bad:
                raise LookupError(key)
            return f"row:{key}"

        f = made_many(rows, ttl=10, timer=clock, stale_while_revalidate=100, tags=tags)
        await f([1, 2])
        clock.now, bad[:] = 20, [2]
        calls = [f.one(1), f.one(2)] if one else [f([1, 2])]
        outcomes = [await outcome(call) for call in map(asyncio.ensure_future, calls)]
        assert isinstance(outcomes[-1], LookupError)
        await settle()
        assert rows.asked == [[1, 2], [1]]
        assert await f([1]) == {1: (1, 2)}

    run(main())


def test_R6_R7_a_key_that_is_absent_has_tags_too(run):
    async def main():
        rows, values = Rows(), []
        f = made_many(rows, missing="absent", tags=lambda key, *, value: values.append(value) or f"row:{key}")
        assert await f(["no"]) == {}
        assert values == [ABSENT]
        invalidate_tag("row:no")
        await f(["no"])
        assert len(rows.asked) == 2

    run(main())


# Loops, threads, memory


def test_R6_F7_an_invalidation_reaches_loads_of_other_loops_and_threads():
    loads = Loads(cached(maxsize=100, tags="all"))
    loops = [asyncio.new_event_loop() for _ in range(2)]
    try:
        calls = [loop.run_until_complete(loads.start())[0] for loop in loops]
        thread = threading.Thread(target=invalidate_tag, args=("all",))
        thread.start()
        thread.join()
        for number, (loop, call) in enumerate(zip(loops, calls, strict=True)):
            loads.ends[number].set_result(number)
            assert loop.run_until_complete(call) == number
            assert not loads.f.cache_contains(1)
    finally:
        for loop in loops:
            loop.close()


def test_R6_F7_threads_never_read_a_value_from_before_their_invalidation():
    """Each thread writes a source, invalidates, and reads: it must never see less than it wrote."""
    source = dict.fromkeys(range(4), 0)

    @cached(maxsize=100, tags=lambda number: f"thread:{number}")
    async def read(number):
        return source[number]

    async def work(number):
        for turn in range(1, 100):
            source[number] = turn
            invalidate_tag(f"thread:{number}")
            assert await read(number) == turn
            await read((number + 1) % 4)

    errors = []

    def main(number):
        try:
            asyncio.run(work(number))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=main, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_R6_names_are_forgotten_with_the_entries_that_have_them(run):
    async def main():
        @cached(maxsize=10, tags=lambda x: [f"forgotten:{x}"])
        async def f(x):
            return x

        gc.collect()
        for x in range(5000):
            await f(x)
            invalidate_tag(f"forgotten:{x}")
            invalidate_tag(f"never used:{x}")
        assert _core._known_tags() < 1000

    run(main())


def test_R6_a_load_whose_tags_come_late_remembers_a_bounded_number_of_invalidations(run, upstream):
    async def main():
        f = made(upstream, tags=lambda key, *, value: "late")
        gate = upstream.hold()
        call = asyncio.ensure_future(f(1))
        await settle()
        for number in range(20_000):
            invalidate_tag(f"meanwhile:{number}")
        assert _core._known_tags() < 20_000
        gate.set()
        assert await call == 1
        # It may have been among those that were forgotten.
        assert not f.cache_contains(1)
        assert await f(1) == 2
        assert f.cache_contains(1)

    run(main())
    for number in range(3000):
        invalidate_tag(f"afterwards:{number}")
    assert _core._known_tags() < 10_000


def test_R6_a_tags_function_and_what_it_was_called_with_can_be_collected(run, upstream):
    class Argument:
        pass

    async def main():
        argument = Argument()
        f = cached(tags=lambda key: f and "a")(upstream.__call__)
        argument.f, reference = f, weakref.ref(argument)
        await f(argument)
        return reference

    reference = run(main())
    upstream.loads.clear()
    gc.collect()
    assert reference() is None


# Copies, events


def test_R6_copies_and_pickles_keep_tags_by_name(run, upstream):
    async def main():
        f = cached(LRUCache(10), key=lambda key: key, tags=lambda key: f"copied:{key}")(upstream.__call__)
        await f(1), await f(2), await f(3)
        invalidate_tag("copied:3")
        copies = [copy.copy(f.cache), copy.deepcopy(f.cache), pickle.loads(pickle.dumps(f.cache))]
        for other in copies:
            assert dict(other) == {1: 1, 2: 2}
        invalidate_tag("copied:1")
        for other in copies:
            assert dict(other) == {2: 2}
            _core._validate(other)

    run(main())


class Invalidating:
    """A value that is copied as it is, but for a tag that is invalidated then."""

    def __init__(self, tag):
        self.tag = tag

    def __deepcopy__(self, memo):
        invalidate_tag(self.tag)
        return self


def test_R6_what_is_invalidated_during_a_copy_is_not_in_it(run):
    async def main():
        @cached(maxsize=10, tags=lambda key: f"during:{key}")
        async def f(key):
            return Invalidating(f"during:{3 - key}")

        first, second = await f(1), await f(2)
        assert (first.tag, second.tag) == ("during:2", "during:1")
        assert list(copy.deepcopy(f.cache)) == list(f.cache) == []

    run(main())


def test_R6_a_pickle_of_a_ttl_cache_keeps_tags(run, upstream):
    async def main():
        f = cached(TTLCache(10, 60), key=lambda key: key, tags=lambda key: f"copied:{key}")(upstream.__call__)
        await f(1), await f(2)
        other = pickle.loads(pickle.dumps(f.cache))
        invalidate_tag("copied:1")
        assert dict(other) == {2: 2}

    run(main())


def test_R6_O1_the_log_is_told_once_of_each_tag(run, upstream):
    async def main():
        records, events = [], []
        f = made(upstream, listener=events.append)
        await f(1), await f(2)
        handler = logger.add(
            lambda message: records.append(message.record), level="DEBUG", format="{message}"
        )
        logger.enable("aiocachetools")
        try:
            invalidate_tags(["all", "other"])
        finally:
            logger.disable("aiocachetools")
            logger.remove(handler)
        assert [record["message"] for record in records] == [
            "invalidate tag('all')",
            "invalidate tag('other')",
        ]
        assert {record["function"] for record in records} == {"invalidate"}
        await f(1)
        assert [event.name for event in events] == ["miss", "store", "miss", "store", "miss", "store"]

    run(main())


def test_R6_hits_and_misses_are_counted_as_ever(run, upstream):
    async def main():
        f = made(upstream)
        await f(1), await f(1)
        invalidate_tag("all")
        await f(1), await f(1)
        assert f.cache_info()[:2] == (2, 2)
        assert (f.cache.stats.hits, f.cache.stats.misses) == (2, 2)

    run(main())
