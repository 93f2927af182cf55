from conformance import CacheConformance

from aiocachetools import LRUCache


class TestLRUCache(CacheConformance):
    kind = LRUCache

    def test_the_least_recently_used_goes_first(self):
        cache = self.filled(3, 3)
        cache[1]
        cache[4] = 4
        assert dict(cache) == {1: 1, 3: 3, 4: 4}

    def test_what_counts_as_use(self):
        for use in (
            lambda cache: cache[1],
            lambda cache: cache.get(1),
            lambda cache: cache.__setitem__(1, 1),
            lambda cache: cache.setdefault(1, 2),
            lambda cache: cache.update({1: 1}),
        ):
            cache = self.filled(2, 2)
            use(cache)
            assert cache.popitem() == (2, 2)

    def test_what_does_not_count_as_use(self):
        for look in (
            lambda cache: 1 in cache,
            list,
            len,
            repr,
            lambda cache: cache.currsize,
            lambda cache: cache.get(9),
            lambda cache: cache.pop(9, None),
        ):
            cache = self.filled(2, 2)
            look(cache)
            assert cache.popitem() == (1, 1)
