"""Rules R2 and F4: `cache_refresh` and `cache_set`."""

import pytest
from support import begun, fresh_for_ten

import aiocachetools
from aiocachetools import cached, cachedmethod


def test_R2_cache_refresh_loads_whatever_there_is(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock)
        assert await f(1) == 1
        upstream.hold()
        refreshed = await begun(f.cache_refresh(1))
        assert await f(1) == 1
        joined = await begun(f.cache_refresh(1))
        upstream.gate.set()
        assert [await refreshed, await joined, await f(1)] == [2, 2, 2]
        assert upstream.loads == [1, 1]

    run(main())


def test_R2_a_failed_cache_refresh_leaves_the_value(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, cache_errors={OSError: 3})
        await f(1)
        upstream.error = OSError("down")
        with pytest.raises(OSError, match="down"):
            await f.cache_refresh(1)
        assert await f(1) == 1

    run(main())


def test_F4_cache_set_stores_and_wins_over_a_load(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock)
        upstream.hold()
        call = await begun(f(1))
        assert f.cache_set("set", 1) is True
        upstream.gate.set()
        assert [await call, await f(1)] == [1, "set"]
        clock.now = 10
        assert await f(1) == 2

    run(main())


def test_F4_cache_set_and_cache_refresh_of_methods(run):
    class Service:
        def __init__(self):
            self.cache = aiocachetools.TTLCache(10, 60)
            self.loads = 0

        @cachedmethod(lambda self: self.cache, stale_if_error=10)
        async def get(self, key):
            self.loads += 1
            return self.loads

    async def main():
        service = Service()
        assert await service.get(1) == 1
        assert await service.get.cache_refresh(1) == 2
        assert service.get.cache_set("set", 1)
        assert await service.get(1) == "set"
        assert service.get.cache_set.__name__ == "cache_set"

    run(main())


def test_A5_cache_set_and_refresh_while_caching_is_off(run, upstream):
    async def main():
        f = cached(None, stale_if_error=5)(upstream.__call__)
        assert f.cache_set("set", 1) is False
        assert [await f.cache_refresh(1), await f(1)] == [1, 2]

    run(main())
