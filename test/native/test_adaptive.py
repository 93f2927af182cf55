"""The classes beyond cachetools."""

from conformance import CacheConformance

from aiocachetools import TinyLFUCache
from aiocachetools._core import S3FIFOCache, SieveCache


class AdaptiveConformance(CacheConformance):
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


class TestTinyLFUCache(AdaptiveConformance):
    kind = TinyLFUCache


class TestSieveCache(AdaptiveConformance):
    kind = SieveCache
    module = "aiocachetools._core"


class TestS3FIFOCache(AdaptiveConformance):
    kind = S3FIFOCache
    module = "aiocachetools._core"
