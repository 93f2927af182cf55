from conformance import CacheConformance

from aiocachetools import FIFOCache


class TestFIFOCache(CacheConformance):
    kind = FIFOCache

    def test_what_was_written_first_goes_first(self):
        cache = self.filled(3, 3)
        cache[1]
        cache[4] = 4
        assert dict(cache) == {2: 2, 3: 3, 4: 4}
        cache[2] = "new"
        cache[5] = 5
        assert dict(cache) == {2: "new", 4: 4, 5: 5}
        assert cache.popitem() == (4, 4)

    def test_the_error_names_the_class(self):
        class Mine(FIFOCache):
            pass

        for cache, message in ((FIFOCache(1), "FIFOCache is empty"), (Mine(1), "Mine is empty")):
            try:
                cache.popitem()
            except KeyError as error:
                assert error.args == (message,)
