import copy
import pickle

from conformance import CacheConformance

from aiocachetools import LFUCache


class TestLFUCache(CacheConformance):
    kind = LFUCache

    def test_the_least_frequently_used_goes_first(self):
        cache = self.filled(3, 3)
        for key, uses in ((1, 3), (2, 1), (3, 2)):
            for _ in range(uses):
                cache[key]
        cache[4] = 4
        assert dict(cache) == {1: 1, 3: 3, 4: 4}

    def test_of_equally_used_entries_the_oldest_goes_first(self):
        cache = self.filled(3, 3)
        for key in (3, 2, 1):
            cache[key]
        assert [cache.popitem()[0] for _ in range(3)] == [3, 2, 1]

    def test_copies_keep_the_counts(self):
        source = self.filled(4, 3)
        for _ in range(5):
            source[1]
        source[2]
        for twin in (copy.copy(source), copy.deepcopy(source), pickle.loads(pickle.dumps(source))):
            for _ in range(3):
                twin[2]  # 5 uses against 6 of 1
            twin[3]
            assert [twin.popitem()[0] for _ in range(3)] == [3, 2, 1]
