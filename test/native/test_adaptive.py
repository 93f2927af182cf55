"""Rule N2: the class beyond cachetools."""

import copy
import math
import pickle
import random

import pytest
from conformance import CacheConformance

from aiocachetools import TinyLFUCache
from aiocachetools._core import _validate


class TestTinyLFUCache(CacheConformance):
    kind = TinyLFUCache

    # A pickle keeps the order of the entries; what a policy learned besides begins anew.
    test_copies_evict_in_the_order_of_their_source = None

    def test_what_is_used_often_survives_a_scan(self):
        cache = self.make(100)
        for _ in range(20):
            for key in range(50):
                cache[key] = cache.get(key, key)
        for key in range(1000, 3000):
            cache[key] = key
            cache.get(key % 50)
        assert sum(key in cache for key in range(50)) >= 40

    @pytest.mark.parametrize("getsizeof", [None, lambda value: value])
    def test_what_is_used_often_survives_a_scan_of_any_sizes(self, getsizeof):
        chance = random.Random(5)
        cache = self.make(1000, getsizeof=getsizeof)
        for _ in range(20):
            for key in range(100):
                cache[key] = cache.get(key, 5)
        for key in range(1000, 5000):
            cache[key] = chance.randrange(1, 10)
            cache.get(key % 100)
        assert cache.currsize <= 1000
        assert sum(key in cache for key in range(100)) >= 90

    @pytest.mark.parametrize("getsizeof", [None, lambda value: 0.5])
    def test_room_for_everything_and_more(self, getsizeof):
        cache = self.make(math.inf, getsizeof=getsizeof)
        cache.update((key, key) for key in range(5000))
        assert all(cache[key] == key for key in range(5000))

    def test_entries_without_weight(self):
        cache = self.make(3, getsizeof=lambda value: value)
        cache.update((key, 0) for key in range(50))
        cache.update({100: 1, 101: 2, 102: 3})
        assert cache.currsize == 3
        assert 102 in cache

    @pytest.mark.parametrize(
        "copied", [copy.copy, copy.deepcopy, lambda cache: pickle.loads(pickle.dumps(cache))]
    )
    def test_copies_know_what_their_entries_weigh(self, copied):
        cache = copied(self.filled(20, 8, getsizeof=float))
        _validate(cache)
        cache[9] = 9
        _validate(cache)
        assert cache.currsize <= 20
