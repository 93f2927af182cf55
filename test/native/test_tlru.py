import copy
import math
import pickle
from datetime import datetime, timedelta

import pytest
from conformance import CacheConformance
from support import Clock

from aiocachetools import TLRUCache


def forever(key, value, now):
    return math.inf


def by_value(key, value, now):
    return now + value


class TestTLRUCache(CacheConformance):
    kind = TLRUCache

    def make(self, maxsize, ttu=forever, **options):
        return TLRUCache(maxsize, ttu, timer=Clock(), **options)

    def test_each_entry_lives_for_a_time_of_its_own(self):
        cache = self.make(10, ttu=by_value)
        cache.update({"long": 9, "short": 1, "middle": 5})
        assert list(cache) == ["short", "middle", "long"]
        assert cache.expire(5) == [("short", 1), ("middle", 5)]
        assert dict(cache) == {"long": 9}
        assert cache.ttu is by_value

    def test_what_is_over_at_once_is_not_stored(self):
        cache = self.make(10, ttu=by_value)
        cache["a"] = 0
        assert "a" not in cache
        cache["a"] = 5
        cache["a"] = -1
        assert "a" not in cache
        assert (len(cache), cache.currsize) == (0, 0)

    def test_the_function_gets_the_very_objects(self):
        seen = []
        clock = Clock(datetime(2024, 1, 1))
        cache = TLRUCache(3, lambda *given: seen.append(given) or given[2] + timedelta(1), timer=clock)
        key, value = (1, 2), object()
        cache[key] = value
        [(got_key, got_value, now)] = seen
        assert got_key is key
        assert got_value is value
        assert now is clock.now

    def test_a_function_that_fails_leaves_the_cache_as_it_was(self):
        cache = self.make(2, ttu=lambda key, value, now: 1 / value)
        cache.update({1: 1, 2: 2})
        for key in (1, 3):
            with pytest.raises(ZeroDivisionError):
                cache[key] = 0
        assert dict(cache) == {1: 1, 2: 2}

    def test_the_least_recently_used_goes_first(self):
        cache = self.filled(3, 3)
        cache[1]
        cache[4] = 4
        assert set(cache) == {1, 3, 4}

    def test_a_time_that_is_no_number(self):
        for wrong, error in ((math.nan, ValueError), ("later", TypeError), (None, TypeError)):
            cache = self.make(2, ttu=lambda key, value, now, wrong=wrong: wrong)
            with pytest.raises(error):
                cache[1] = 1
            assert len(cache) == 0

    @pytest.mark.parametrize(
        "way", [copy.copy, copy.deepcopy, lambda cache: pickle.loads(pickle.dumps(cache))]
    )
    def test_copies_expire_as_their_source(self, way):
        cache = self.make(5, ttu=by_value)
        cache.update({"a": 3, "b": 1, "c": 2})
        twin = way(cache)
        assert twin.expire(2) == [("b", 1), ("c", 2)]
        assert twin.expire(3) == [("a", 3)]
        assert len(cache) == 3
