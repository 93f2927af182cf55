"""Rule R7: a call asks for what is neither cached nor in flight, and each key keeps its own flight."""

import asyncio
import collections
import copy
import pickle

import pytest
from cachetools.keys import hashkey
from support import Batches, Broken, Clock, Odd, outcome, settle, values

from aiocachetools import ABSENT, LRUCache, MissingKeyError, TTLCache, cached_many

CACHES = {"native": lambda: LRUCache(1000), "ttl": lambda: TTLCache(1000, 60), "dict": dict}


@pytest.fixture(params=list(CACHES))
def cache(request):
    return CACHES[request.param]()


def test_R7_a_call_loads_only_what_is_not_cached(run, cache):
    b = Batches(cache)

    async def main():
        assert await b.f([1, 2, 3]) == values(1, 2, 3)
        assert await b.f([3, 4, 1]) == values(3, 4, 1)
        assert await b.f([4, 2]) == values(4, 2)
        assert b.asked == [[1, 2, 3], [4]]
        assert b.f.cache_info()[:2] == (4, 4)

    run(main())


def test_R7_the_result_is_a_dict_in_the_order_asked(run):
    b = Batches()

    async def main():
        await b.f([5])
        result = await b.f([9, 5, 7])
        assert type(result) is dict
        assert list(result) == [9, 5, 7]

    run(main())


def test_R7_keys_in_flight_are_joined(run, cache):
    b = Batches(cache, held=True)

    async def main():
        first = asyncio.create_task(b.f([1, 2]))
        await settle()
        second = asyncio.create_task(b.f([2, 3]))
        third = asyncio.create_task(b.f([1, 2, 3]))
        await settle()
        assert b.asked == [[1, 2], [3]]
        b.open()
        assert await asyncio.gather(first, second, third) == [values(1, 2), values(2, 3), values(1, 2, 3)]
        stats = b.f.cache_stats()
        assert (stats.hits, stats.misses, stats.joins, stats.loads) == (4, 3, 4, 2)

    run(main())


def test_R7_many_overlapping_callers_load_each_key_once(run):
    b = Batches(held=True)

    async def main():
        tasks = [asyncio.create_task(b.f(range(i, i + 10))) for i in range(100)]
        await settle()
        b.open()
        results = await asyncio.gather(*tasks)
        assert results == [values(*range(i, i + 10)) for i in range(100)]
        loaded = collections.Counter(key for keys in b.asked for key in keys)
        assert set(loaded.values()) == {1}
        assert len(loaded) == 109

    run(main())


def test_R7_nothing_is_loaded_for_no_keys(run):
    b = Batches()

    async def main():
        assert await b.f([]) == {}
        assert b.asked == []

    run(main())


@pytest.mark.parametrize("make", [list, tuple, iter, dict.fromkeys, lambda keys: (key for key in keys)])
def test_R7_keys_are_any_iterable_and_the_function_gets_a_list(run, make):
    b = Batches()

    async def main():
        assert await b.f(make([1, 2])) == values(1, 2)
        assert b.asked == [[1, 2]]

    run(main())


def test_R7_duplicated_and_equal_keys_are_one(run):
    b = Batches()

    async def main():
        assert await b.f([1, 1, 1.0, True, 2]) == values(1, 2)
        assert b.asked == [[1, 2]]
        assert await b.f([True]) == {True: ("value of", 1)}

    run(main())


def test_R7_typed_tells_keys_of_different_calls_apart(run):
    b = Batches(typed=True)

    async def main():
        await b.f([1])
        assert await b.f([1.0]) == values(1.0)
        assert b.asked == [[1], [1.0]]

    run(main())


def test_R7_further_arguments_are_part_of_the_key(run):
    b = Batches()

    async def main():
        assert await b.f([1], "en") == {1: ("value of", 1, "en")}
        assert await b.f([1], "de") == {1: ("value of", 1, "de")}
        assert await b.f([1, 2], "en") == {1: ("value of", 1, "en"), 2: ("value of", 2, "en")}
        assert b.asked == [[1], [1], [2]]

    run(main())


def test_R7_ignored_arguments_are_not_part_of_the_key(run):
    calls = []

    @cached_many(maxsize=10, ignore="db")
    async def f(keys, db):
        calls.append((keys, db))
        return dict.fromkeys(keys, "v")

    async def main():
        await f([1], ["unhashable"])
        assert await f([1, 2], db=["another"]) == {1: "v", 2: "v"}
        assert calls == [([1], ["unhashable"]), ([2], ["another"])]

    run(main())


def test_R7_the_keys_may_be_passed_by_name(run):
    @cached_many
    async def f(ids, *, lang="en"):
        return dict.fromkeys(ids, lang)

    async def main():
        assert await f(ids=[1, 2], lang="de") == {1: "de", 2: "de"}
        assert f.cache_contains(1, lang="de")
        assert f.cache_contains(ids=2, lang="de")
        assert not f.cache_contains(1)

    run(main())


def test_R7_entries_have_the_key_of_a_single_argument(run):
    b = Batches()

    async def main():
        await b.f([1, 2])
        assert list(b.f.cache) == [hashkey(1), hashkey(2)] == [b.f.cache_key(1), b.f.cache_key(2)]
        b.f.cache[hashkey(3)] = "set by hand"
        assert (await b.f([3]))[3] == "set by hand"

    run(main())


def test_R7_a_key_function_is_called_with_one_key(run):
    b = Batches(key=str.lower)

    async def main():
        assert await b.f(["A", "b"]) == values("A", "b")
        assert list(b.f.cache) == ["a", "b"]
        assert await b.f(["a", "B"]) == {"a": ("value of", "A"), "B": ("value of", "b")}
        assert b.asked == [["A", "b"]]

    run(main())


def test_R7_keys_that_a_key_function_makes_equal_are_loaded_once(run):
    b = Batches(key=str.lower)

    async def main():
        assert await b.f(["A", "a"]) == {"A": ("value of", "A"), "a": ("value of", "A")}
        assert b.asked == [["A"]]

    run(main())


def test_R7_unhashable_keys_are_named(run):
    b = Batches()

    async def main():
        with pytest.raises(TypeError, match=r"f\(\): a key in 'keys' cannot be part of a cache key"):
            b.f([1, [2]])
        with pytest.raises(TypeError, match="argument 'rest' cannot be part"):
            b.f([1], [2])
        assert b.asked == []

    run(main())


@pytest.mark.parametrize("keys", ["abc", b"abc", 3, None])
def test_R7_what_is_no_iterable_of_keys_is_an_error(run, keys):
    with pytest.raises(TypeError, match="'keys' must be an iterable of keys"):
        Batches().f(keys)


def test_R7_wrong_arguments_raise_pythons_own_error():
    @cached_many
    async def f(ids, lang="en"):
        return {}

    with pytest.raises(TypeError, match="missing 1 required positional argument: 'ids'"):
        f()
    with pytest.raises(TypeError, match="unexpected keyword argument 'nope'"):
        f([1], nope=1)


@pytest.mark.parametrize("returned", [[1, 2], None, "ab", 5])
def test_R7_a_result_that_is_no_mapping_is_an_error(run, returned):
    @cached_many
    async def f(ids):
        return returned

    async def main():
        with pytest.raises(TypeError, match="must return a mapping of the keys"):
            await f([1, 2])
        assert len(f.cache) == 0

    run(main())


class Loud(collections.UserDict):
    """A mapping that is no dict."""


@pytest.mark.parametrize("make", [Loud, collections.OrderedDict, lambda d: collections.defaultdict(int, d)])
def test_R7_the_result_is_any_mapping(run, make):
    @cached_many(missing="absent")
    async def f(ids):
        return make({1: "one"})

    async def main():
        assert await f([1, 2]) == {1: "one"}

    run(main())


@pytest.mark.parametrize(
    "error", [ValueError("no"), StopIteration("no"), StopAsyncIteration("no"), Odd("no")]
)
def test_F3_what_a_mapping_raises_for_a_key_reaches_who_waits_for_that(run, error):
    @cached_many
    async def f(ids):
        await asyncio.sleep(0)
        return Broken(error, {key: f"value {key}" for key in ids})

    async def main():
        both, one, two = [asyncio.create_task(call) for call in (f([1, 2]), f.one(1), f.one(2))]
        assert await one == "value 1"
        for failed in (await outcome(both), await outcome(two)):
            # Raised out of a coroutine, StopIteration is an error of its own (PEP 479).
            if isinstance(error, StopIteration):
                assert isinstance(failed, RuntimeError)
                failed = failed.__cause__
            assert failed is error

    run(main())


def test_R7_what_was_not_asked_for_is_not_stored(run):
    @cached_many
    async def f(ids):
        return {1: "one", 2: "two"}

    async def main():
        assert await f([1]) == {1: "one"}
        assert list(f.cache) == [hashkey(1)]

    run(main())


def test_R7_none_is_a_value(run):
    calls = []

    @cached_many
    async def f(ids):
        calls.append(ids)
        return dict.fromkeys(ids)

    async def main():
        assert await f([1]) == await f([1]) == {1: None}
        assert calls == [[1]]

    run(main())


def test_R7_a_value_too_large_is_returned_and_not_stored(run):
    b = Batches(LRUCache(0))

    async def main():
        assert await b.f([1, 2]) == values(1, 2)
        assert len(b.f.cache) == 0

    run(main())


# Keys that the result lacks.


def test_R7_a_missing_key_is_an_error_of_those_who_asked_for_it(run):
    b = Batches(lacking=[2, 3], held=True)

    async def main():
        tasks = [asyncio.create_task(b.f(keys)) for keys in ([1, 2, 3], [1], [3])]
        await settle()
        b.open()
        first, second, third = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(first, MissingKeyError)
        assert isinstance(first, KeyError)
        assert (first.keys, third.keys) == ((2, 3), (3,))
        assert str(first).endswith("f() returned nothing for 2, 3")
        assert second == values(1)
        assert list(b.f.cache) == [hashkey(1)]
        assert b.asked == [[1, 2, 3]]

    run(main())


def test_R7_a_missing_key_is_asked_for_again(run):
    b = Batches(lacking=[2])

    async def main():
        for _ in range(2):
            with pytest.raises(MissingKeyError):
                await b.f([1, 2])
        assert b.asked == [[1, 2], [2]]

    run(main())


def test_R7_a_missing_key_is_cached_as_absent(run):
    b = Batches(lacking=[2], missing="absent")

    async def main():
        assert await b.f([1, 2, 3]) == values(1, 3)
        assert await b.f([2]) == {}
        assert b.asked == [[1, 2, 3]]
        assert b.f.cache[b.f.cache_key(2)] is ABSENT
        assert b.f.cache_contains(2)
        assert b.f.cache_invalidate(2)
        b.lacking.clear()
        assert await b.f([2]) == values(2)

    run(main())


def test_R7_a_missing_key_has_the_default(run):
    b = Batches(lacking=[2], default=None)

    async def main():
        assert await b.f([1, 2]) == {1: ("value of", 1), 2: None}
        assert await b.f([2]) == {2: None}
        assert await b.f.one(2) is None
        assert b.asked == [[1, 2]]

    run(main())


def test_R7_the_absent_mark_is_one_of_its_kind():
    assert copy.copy(ABSENT) is copy.deepcopy(ABSENT) is ABSENT
    assert pickle.loads(pickle.dumps(ABSENT)) is ABSENT
    assert not ABSENT
    assert repr(ABSENT) == "aiocachetools.ABSENT"


# Larger asks.


def test_R7_a_larger_ask_is_split_and_loaded_at_once(run):
    b = Batches(max_batch=3, held=True)

    async def main():
        task = asyncio.create_task(b.f(range(8)))
        await settle()
        assert b.asked == [[0, 1, 2], [3, 4, 5], [6, 7]]
        b.open()
        assert await task == values(*range(8))
        await b.f([*range(8), 8])
        assert b.asked[3:] == [[8]]

    run(main())


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"max_batch": 0}, ValueError, "max_batch must be at least 1"),
        ({"max_batch": 1.5}, TypeError, "max_batch must be a number of keys"),
        ({"max_batch": True}, TypeError, "max_batch must be a number of keys"),
        ({"missing": "nope"}, ValueError, "missing must be 'error' or 'absent'"),
        ({"missing": "absent", "default": 1}, TypeError, "default cannot be combined with missing"),
        ({"on_abandon": "nope"}, ValueError, "on_abandon"),
        ({"cache": {}, "ttl": 1}, TypeError, r"cached_many\(\): ttl cannot be combined with a cache"),
    ],
)
def test_R7_wrong_options_are_errors_at_decoration(options, error, match):
    with pytest.raises(error, match=match):
        cached_many(**options)


def test_R7_what_takes_no_keys_is_an_error_at_decoration():
    with pytest.raises(TypeError, match=r"f\(\) takes no argument by position"):

        @cached_many
        async def f(*, ids):
            return {}

    with pytest.raises(TypeError, match="Expected Coroutine function"):
        cached_many(lambda ids: {})


def test_R7_entries_expire_one_by_one(run):
    clock = Clock()
    b = Batches(TTLCache(100, 10, timer=clock))

    async def main():
        await b.f([1])
        clock.now = 5
        await b.f([1, 2])
        clock.now = 12
        await b.f([1, 2])
        assert b.asked == [[1], [2], [1]]

    run(main())
