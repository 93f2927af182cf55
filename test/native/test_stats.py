"""Rule N2: a native cache counts what is done to it."""

import asyncio
import copy

import pytest
from support import Clock
from test_reentrancy import CLASSES, make

from aiocachetools import LRUCache, Stats, TTLCache, cached


@pytest.mark.parametrize("name", CLASSES)
def test_N2_everything_is_counted(name):
    cache = make(name, 2)
    assert cache.stats == Stats(0, 0, 0, 0, 0, 0, 0)
    cache[1] = 1
    cache[2] = 2
    assert cache[1] == cache.get(1) == cache.setdefault(1, 0)
    assert cache.get(5) is None
    with pytest.raises(KeyError):
        cache[5]
    assert 1 in cache
    assert 5 not in cache
    cache[1] = 3
    cache.setdefault(3, 3)
    cache.pop(3)
    cache.clear()
    assert cache.stats == Stats(
        hits=3, misses=3, insertions=3, replacements=1, evictions=1, expirations=0, removals=2
    )


@pytest.mark.parametrize("name", ["TTLCache", "TLRUCache"])
def test_N2_expirations_are_counted(name):
    clock = Clock()
    cache = make(name, 3, timer=clock)
    cache.update({1: 1, 2: 2, 3: 3})
    clock.now = 10
    assert cache.get(1) is None
    assert len(cache) == 0
    assert cache.stats[:2] == (0, 1)
    assert cache.stats.expirations == 3


def test_N2_the_hit_ratio():
    cache = LRUCache(2)
    assert cache.stats.hit_ratio == 0.0
    cache[1] = 1
    for key in (1, 1, 1, 2):
        cache.get(key)
    assert cache.stats.hit_ratio == 0.75


@pytest.mark.parametrize("name", CLASSES)
def test_N1_a_subclass_may_have_stats_of_its_own(name):
    """A cache that was written for cachetools knows no `stats`."""

    cache = make(name, 2)
    cache.stats = {"hits": 0}
    assert cache.stats == copy.copy(cache).stats == {"hits": 0}
    assert isinstance(type(cache).stats.__get__(cache), Stats)


def test_N2_a_copy_counts_anew():
    cache = LRUCache(2)
    cache[1] = 1
    assert copy.copy(cache).stats == copy.deepcopy(cache).stats
    assert copy.copy(cache).stats.insertions == 0


def test_N2_decorated_functions_count_each_call_once(run):
    cache = TTLCache(10, 60)

    @cached(cache)
    async def double(x):
        return 2 * x

    async def main():
        await asyncio.gather(*(double(1) for _ in range(3)))
        assert [await double(x) for x in (1, 1, 2)] == [2, 2, 4]

    run(main())
    hits, misses, insertions = cache.stats[:3]
    assert hits + misses == 6
    assert hits + double.cache_stats().joins == 4
    assert insertions == 2
