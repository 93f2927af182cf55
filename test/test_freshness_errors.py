"""Rule R5: failures that are remembered."""

import gc
import weakref

import pytest
from support import begun, called, fresh_for_ten, outcome, settle

from aiocachetools import LoadTimeout, LRUCache, TTLCache, cached


class Missing(Exception):
    def __init__(self, key):
        super().__init__(key)
        self.key = key


def test_R5_a_failure_is_remembered_for_its_own_time(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, cache_errors={Missing: 3, (OSError, ValueError): 1})
        upstream.error = Missing(1)
        for _ in range(3):
            with pytest.raises(Missing) as caught:
                await f(1)
            assert caught.value.key == 1
        assert upstream.loads == [1]
        assert (len(f.cache), f.cache_contains(1)) == (0, False)
        clock.now = 3
        upstream.error = OSError(5, "down")
        for _ in range(2):
            with pytest.raises(OSError, match="down"):
                await f(1)
        assert upstream.loads == [1, 1]
        clock.now = 4
        upstream.error = KeyError(1)
        for _ in range(2):
            with pytest.raises(KeyError):
                await f(1)
        assert upstream.loads == [1, 1, 1, 1]
        upstream.error = None
        assert await f(1) == 5
        info = f.cache_info()
        assert (info.hits, info.misses) == (3, 5)

    run(main())


def test_R5_remembered_failures_hold_no_frames(run, clock):
    class Big:
        pass

    async def main():
        refs = []

        @cached(ttl=10, timer=clock, cache_errors={Missing: 3})
        async def f(key):
            big = Big()
            refs.append(weakref.ref(big))
            try:
                raise OSError
            except OSError:
                raise Missing(key) from None

        for _ in range(2):
            assert isinstance(await called(f, 1), Missing)
            big = Big()
            refs.append(weakref.ref(big))
            try:
                await f(1)
            except Missing as error:
                assert error.__traceback__.tb_next is None
            del big
        await settle()  # the load's task, in whose callback its callers were woken, is gone
        gc.collect()
        assert [ref() for ref in refs] == [None] * 3

    run(main())


def test_R5_what_cannot_be_copied_is_shared(run, clock):
    class Odd(Exception):
        def __init__(self, *, code):
            super().__init__(f"code {code}")
            self.code = code

    async def main():
        @cached(ttl=10, timer=clock, cache_errors={Odd: 3})
        async def f(key):
            raise Odd(code=7)

        for _ in range(3):
            error = await called(f, 1)
            assert (type(error), error.code) == (Odd, 7)

    run(main())


def test_R5_x_F4_an_invalidation_or_a_store_forgets_the_failure(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, cache_errors={OSError: 3})
        upstream.error = OSError("down")
        await called(f, 1)
        f.cache_invalidate(1)
        await called(f, 1)
        assert upstream.loads == [1, 1]
        f.cache[f.cache_key(1)] = "set"
        assert await f(1) == "set"
        f.cache_clear()
        upstream.hold()
        call = await begun(f(1))
        f.cache_invalidate(1)
        upstream.gate.set()
        assert isinstance(await outcome(call), OSError)
        upstream.error = None
        assert await f(1) == 4

    run(main())


def test_R5_x_R3_a_stale_value_is_served_while_the_upstream_rests(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, stale_if_error=100, cache_errors={OSError: 3})
        await f(1)
        clock.now = 10
        upstream.error = OSError("down")
        assert [await f(1) for _ in range(4)] == [1] * 4
        assert upstream.loads == [1, 1]
        clock.now = 13
        assert await f(1) == 1
        assert upstream.loads == [1, 1, 1]
        clock.now = 109
        assert await f(1) == 1
        clock.now = 110
        with pytest.raises(OSError, match="down"):
            await f(1)
        clock.now = 112
        upstream.error = None
        assert await f(1) == 5

    run(main())


def test_R5_x_R2_refreshes_rest_after_a_failure(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, stale_while_revalidate=20, cache_errors={OSError: 3})
        await f(1)
        clock.now = 10
        upstream.error = OSError("down")
        for _ in range(3):
            assert await f(1) == 1
            await settle()
        assert upstream.loads == [1, 1]
        clock.now = 13
        upstream.error = None
        assert await f(1) == 1
        await settle()
        assert await f(1) == 3

    run(main())


def test_R5_x_R4_timeouts_can_be_remembered(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, timeout=1, cache_errors={LoadTimeout: 5})
        upstream.hold()
        call = await begun(f(1))
        clock.advance(1)
        assert isinstance(await outcome(call), LoadTimeout)
        assert isinstance(await called(f, 1), LoadTimeout)
        assert upstream.loads == [1]

    run(main())


def test_R5_removal_listeners_and_expire_know_values_alone(run, clock, upstream):
    async def main():
        gone = []
        cache = TTLCache(10, 10, clock, removal_listener=lambda *entry: gone.append(entry))
        f = cached(cache, stale_if_error=5, cache_errors={OSError: 3})(upstream.__call__)
        await f(1)
        clock.now = 10
        upstream.error = OSError("down")
        assert await f(1) == 1
        assert isinstance(await called(f, 2), OSError)
        assert gone == []
        clock.now = 20
        assert cache.expire() == [(f.cache_key(1), 1)]
        assert [(value, str(cause)) for _, value, cause in gone] == [(1, "expired")]
        assert (len(cache), cache.currsize) == (0, 0)

    run(main())


def test_R5_an_untimed_cache_can_remember_failures(run, clock, upstream):
    async def main():
        f = cached(LRUCache(10, timer=clock), cache_errors={OSError: 3})(upstream.__call__)
        upstream.error = OSError("down")
        await called(f, 1)
        await called(f, 1)
        assert upstream.loads == [1]
        clock.now = 3
        upstream.error = None
        assert await f(1) == 2
        clock.now = 1e9
        assert await f(1) == 2

    run(main())


def test_R5_where_nothing_can_be_stored_failures_are_not(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, maxsize=0, cache_errors={OSError: 3})
        upstream.error = OSError("down")
        await called(f, 1)
        await called(f, 1)
        assert upstream.loads == [1, 1]

    run(main())
