"""Rule R6: tags, what has them, and what their invalidation does to entries."""

import copy
import pickle
import re
import threading
from types import SimpleNamespace

import cachetools
import pytest
from loguru import logger
from support import Timers, tagged

import aiocachetools
from aiocachetools import (
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


# What names an entry


@pytest.mark.parametrize(
    "tags", ["a", ["a"], ("b", "a"), {"a"}, lambda key: "a", lambda key: iter(["b", "a"])]
)
def test_R6_tags_are_names_or_a_function_of_the_arguments(run, upstream, tags):
    async def main():
        f = tagged(upstream, tags=tags)
        assert [await f(1), await f(1)] == [1, 1]
        invalidate_tag("other")
        assert await f(1) == 1
        invalidate_tag("a")
        assert not f.cache_contains(1)
        assert [await f(1), await f(1)] == [2, 2]

    run(main())


def test_R6_only_entries_with_the_tag_are_invalidated(run, upstream):
    async def main():
        f = tagged(upstream, tags=lambda key: [f"key:{key}", "all"])
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
            f = tagged(upstream, tags=tags)
            await f(1)
            invalidate_tag("all")
            assert f.cache_contains(1)
        assert tagged(upstream, tags=()).cache_parameters()["tags"] is None
        assert tagged(upstream, tags="a").cache_parameters()["tags"] == ("a",)

    run(main())


def test_R6_functions_and_caches_share_tags(run, upstream):
    async def main():
        f, g = tagged(upstream, tags="shared"), tagged(upstream, tags=["g", "shared"], ttl=60)
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
            f = tagged(upstream, tags=lambda key, said=said: said)
            with pytest.raises(
                TypeError, match=r"f\(\): the tags function must return a name.*not " + re.escape(repr(said))
            ):
                await f(1)
        assert upstream.loads == []

    run(main())


def test_R6_an_error_of_the_tags_function_reaches_the_caller(run, upstream):
    async def main():
        f = tagged(upstream, tags=lambda key: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            await f(1)
        assert upstream.loads == []
        g = tagged(upstream, tags=lambda key, *, value: 1 // 0)
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
        f = tagged(upstream, key=lambda key: key)
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
        f = tagged(upstream, key=lambda key: key)
        await f(1)
        f.cache[1] = "by hand"
        invalidate_tag("all")
        assert await f(1) == "by hand"

    run(main())


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
        f = tagged(upstream, listener=events.append)
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
        f = tagged(upstream)
        await f(1), await f(1)
        invalidate_tag("all")
        await f(1), await f(1)
        assert f.cache_info()[:2] == (2, 2)
        assert (f.cache.stats.hits, f.cache.stats.misses) == (2, 2)

    run(main())
