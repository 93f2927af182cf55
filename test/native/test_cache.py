from conformance import CacheConformance

from aiocachetools import Cache


class TestCache(CacheConformance):
    kind = Cache

    def test_what_came_first_goes_first(self):
        cache = self.filled(3, 3)
        cache[1]
        cache[1] = "new"
        cache[4] = 4
        assert dict(cache) == {2: 2, 3: 3, 4: 4}
        assert cache.popitem() == (2, 2)

    def test_iteration_is_in_the_order_of_insertion(self):
        cache = self.filled(3, 3)
        cache[1] = "new"
        assert list(cache) == [1, 2, 3]
        del cache[1]
        cache[1] = "again"
        assert list(cache) == [2, 3, 1]
