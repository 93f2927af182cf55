"""The key that a mapping is asked with: what the mapping makes of it is its own."""

import gc
import weakref

import pytest
from support import in_child

from aiocachetools import cached


class Keeping(dict):
    """Keeps every key that it was asked with."""

    def __init__(self):
        self.asked = []

    def __getitem__(self, key):
        self.asked.append(key)
        return super().__getitem__(key)


class Nosy:
    """Equal to every key of its hash, which it keeps."""

    def __init__(self, *items):
        self.hash = hash(items)
        self.seen = []

    def __hash__(self):
        return self.hash

    def __eq__(self, other):
        self.seen.append(other)
        return True


async def of_any(*args):
    return args


CALLS = [(), (1,), (None,), (1, "a"), (3, "b", 4.0), (5, 6, 7, 8), (9, 10, 11, 12, 13)]


def test_N3_a_key_that_a_mapping_keeps_stays_as_it_was(run):
    cache = Keeping()
    f = cached(cache)(of_any)
    for call in [*CALLS, *CALLS, *reversed(CALLS)]:
        cache.asked.clear()
        kept = cache.asked
        run(f(*call))
        assert kept
        assert kept == [call] * len(kept)
        cache.asked = []
        assert run(f(*call[::-1])) == call[::-1]
        assert kept == [call] * len(kept)


def test_N3_a_key_that_a_comparison_keeps_stays_as_it_was(run):
    cache = {}
    f = cached(cache)(of_any)
    nosy = Nosy("x")
    cache[nosy] = "found"
    assert run(f("x")) == "found"
    assert run(f("y")) == ("y",)
    assert run(f("x")) == "found"
    assert nosy.seen == [("x",), ("x",)]
    assert nosy.seen[0] is not nosy.seen[1]


def test_N4_a_kept_key_is_seen_by_the_collector(run):
    class Item:
        pass

    cache = {}
    f = cached(cache)(of_any)
    run(f("other"))  # the key that is asked with from now on holds nothing that could be in a cycle
    item = Item()
    nosy = Nosy(item)
    item.nosy = nosy  # the key that it keeps closes the cycle
    cache[nosy] = "found"
    gc.collect()
    assert run(f(item)) == "found"
    gone = weakref.ref(item)
    cache.clear()
    del item, nosy
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("count", range(1, 7))
def test_N4_arguments_of_a_hit_are_not_kept(run, count):
    class Item:
        pass

    cache = {}
    f = cached(cache)(of_any)
    items = [Item() for _ in range(count)]
    for _ in range(3):
        run(f(*items))
    gone = [weakref.ref(item) for item in items]
    cache.clear()
    del items
    gc.collect()
    assert [ref() for ref in gone] == [None] * count


def test_N3_a_comparison_asks_the_same_way_in_turn(run):
    cache = {}
    f = cached(cache)(of_any)

    class Asking:
        def __hash__(self):
            return 1

        def __eq__(self, other):
            found.append(run_now(f("inner")))
            return isinstance(other, Asking)

    def run_now(call):
        try:
            call.send(None)
        except StopIteration as stop:
            return stop.value
        call.close()
        return None

    found = []
    run(f("inner"))
    first = run(f(Asking()))
    assert run(f(Asking())) == first
    assert found
    assert set(found) == {("inner",)}


def test_K4_an_unhashable_argument_is_named_where_the_cache_is_a_dict(run):
    async def f(x, y):
        return x

    f = cached({})(f)
    with pytest.raises(TypeError, match=r"argument 'y' cannot be part of a cache key"):
        f(1, [])
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        f(1)


def test_the_empty_tuple_is_left_as_it_is():
    """There is only one, which the collector does not look at."""
    in_child("""
        import asyncio
        import gc
        from collections import UserDict

        from aiocachetools import cached

        async def calls():
            for cache in {}, UserDict():
                @cached(cache)
                async def answer():
                    return 42

                assert [await answer() for _ in range(3)] == [42] * 3

        asyncio.run(calls())
        assert not gc.is_tracked(())
    """)
