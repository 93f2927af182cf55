"""A load that ends early or finds what nobody expects: it keeps nothing that others wait for, and raises nothing of its own."""

import asyncio
import time
from contextlib import suppress

import pytest

from aiocachetools import LRUCache, cached
from aiocachetools.redis import LoadFailedElsewhereError


class Tap:
    """Stands between a tier and its client: counts the requests, and acts while one is answered."""

    def __init__(self, tier, at=0, action=lambda: None):
        link = tier._links.get()
        self.client = link.client
        link.port.connection = None  # all requests go through the client
        self.count, self.at, self.action = 0, at, action
        for name in ("execute", "execute_many"):
            setattr(self.client, name, self.tapped(getattr(self.client, name)))

    def tapped(self, request):
        def execute(*command):
            answer = request(*command)
            self.count += 1
            if self.count == self.at:
                asyncio.get_running_loop().call_soon(self.action)
            return answer

        return execute


def function(tier, **options):
    @cached(tier=tier.using(name="f", **options))
    async def f(x: int) -> int:
        await asyncio.sleep(0)
        return x

    return f


def key_of(f, x):
    return f.cache_tier.loader.__self__.form.key((x,), (x,), {})


def test_F2_a_load_that_is_cancelled_at_any_await_holds_no_lease(on_loop, control):
    async def test(tier):
        f = function(tier, tags=["t"])
        await f(0)
        at, finished = 0, False
        while not finished:
            at += 1
            control.delete(tier._links.options.prefix + "#t")
            call = asyncio.create_task(f(at))
            tap = Tap(tier, at, call.cancel)
            with suppress(asyncio.CancelledError):
                await call
                finished = True
            for name in ("execute", "execute_many"):
                delattr(tap.client, name)
            assert not control.exists(key_of(f, at) + b"!")
            assert not tier._links.get().near.visits
        assert at > 4  # glance, lease, tag and publication

    on_loop(test)


def test_F2_a_caller_that_is_cancelled_twice_keeps_nobody_waiting(on_loop, control):
    async def test(tier):
        f = function(tier)
        await f(0)

        def cancel():
            call.cancel()
            asyncio.get_running_loop().call_soon(call.cancel)

        call = asyncio.create_task(f(1))
        Tap(tier, 2, cancel)
        with suppress(asyncio.CancelledError):
            await call
        while control.exists(key_of(f, 1) + b"!"):
            await asyncio.sleep(0)

    on_loop(test, lease=3600)


def test_D2_a_request_for_the_lease_may_arrive_twice(on_loop, control):
    async def test(tier):
        f = function(tier)
        await f(0)
        client = tier._links.get().client
        execute = client.execute

        async def twice(*command):
            await execute(*command)
            return await execute(*command)

        client.execute = twice
        assert await asyncio.wait_for(f(1), 60) == 1
        assert tier.stats(f).waits == 0

    on_loop(test, lease=3600)


@pytest.mark.parametrize("foreign", [b"x", b"-1", b"1" * 5000, b"18446744073709551616"])
def test_D5_a_tag_that_is_no_version_is_replaced(on_loop, control, foreign):
    async def test(tier):
        tag = tier._links.options.prefix + "#t"
        f = function(tier, tags=["t"])
        control.set(tag, foreign)
        assert await f(1) == 1
        assert control.get(tag) != foreign
        f.cache_clear()
        await f(1)
        assert tier.stats(f).loads == 1
        control.set(tag, foreign)
        f.cache_clear()
        await f(1)
        assert tier.stats(f).loads == 2

    on_loop(test)


def test_D5_a_lease_that_never_expires_is_none(on_loop, control):
    async def test(tier):
        f = function(tier)
        control.set(key_of(f, 1) + b"!", "somebody")
        assert await f(1) == 1
        assert tier.stats(f)[2:5] == (1, 0, 0)

    on_loop(test)


@pytest.mark.parametrize(("marker", "shown"), [(b"!2", ""), (b"!2:\xff", "\ufffd")])
def test_D5_a_strange_marker_of_a_failure(on_loop, control, marker, shown):
    async def test(tier):
        f = function(tier)
        key = key_of(f, 1)
        control.set(key + b"!", "somebody", px=3_600_000)
        call = asyncio.create_task(f(1))
        while not tier.stats(f).waits:
            await asyncio.sleep(0)
        control.set(key + b"!", marker, px=3_600_000)
        control.publish(tier._links.get().channel, bytes(8) + key)
        with pytest.raises(LoadFailedElsewhereError, match=f"the last with {shown}$"):
            await call

    on_loop(test)


@pytest.mark.parametrize("ttl_ms", [None, 10**14])
@pytest.mark.parametrize("own", [True, False])
def test_D5_a_value_that_lives_too_long_is_kept_as_long_as_it_is_good_for(on_loop, control, ttl_ms, own):
    async def test(tier):
        f = function(tier)
        g = cached(*([] if own else [LRUCache(10)]), tier=tier.using(name="f"))(f.__wrapped__)
        await f(1)
        if ttl_ms is None:
            control.persist(key_of(f, 1))
        else:
            control.pexpire(key_of(f, 1), ttl_ms)
        assert await g(1) == 1
        assert tier.stats(g).hits == 1
        if own:
            assert g.cache.expire(time.monotonic() + 3500) == []
            assert len(g.cache.expire(time.monotonic() + 3601)) == 1

    on_loop(test)
