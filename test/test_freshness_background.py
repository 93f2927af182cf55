"""Rule R2: loads that nobody waits for."""

import asyncio
import gc

from support import fresh_for_ten, settle

from aiocachetools import cached


def test_R2_a_refresh_does_not_begin_before_the_caller_goes_on(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, stale_while_revalidate=5)
        await f(1)
        clock.now = 10
        assert await f(1) == 1
        assert upstream.loads == [1]
        await settle()
        assert upstream.loads == [1, 1]

    run(main())


def test_R2_a_failed_refresh_is_reported_and_the_next_call_tries_again(run, clock, upstream):
    async def main():
        events = []
        f = fresh_for_ten(upstream, clock, stale_while_revalidate=5, listener=events.append)
        await f(1)
        clock.now = 10
        upstream.error = OSError("down")
        assert await f(1) == 1
        await settle()
        assert [event.name for event in events] == ["miss", "store", "stale", "refresh", "load_error"]
        assert events[-1].error is upstream.error
        upstream.error = None
        assert await f(1) == 1
        await settle()
        assert await f(1) == 3
        assert f.cache_stats().load_errors == 1

    run(main())


def test_R2_refreshes_run_in_the_context_of_the_call_that_started_them(run, clock):
    from contextvars import ContextVar

    request = ContextVar("request")
    seen = []

    async def main():
        @cached(ttl=10, timer=clock, stale_while_revalidate=5)
        async def f(key):
            seen.append(request.get())
            request.set("changed")

        request.set("first")
        await f(1)
        clock.now = 10
        request.set("second")
        await f(1)
        await settle()
        assert (seen, request.get()) == (["first", "second"], "second")

    run(main())


def test_R2_refreshes_are_bounded(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, maxsize=1000, stale_while_revalidate=5)
        for key in range(400):
            await f(key)
        clock.now = 10
        upstream.gate = asyncio.Event()
        for key in range(400):
            await f(key)
        await settle()
        assert len(upstream.loads) == 400 + 256
        upstream.gate.set()
        await settle()
        await f(399)
        await settle()
        assert len(upstream.loads) == 400 + 257

    run(main())


def test_R2_a_refresh_does_not_outlive_its_loop_noisily(clock, recwarn, capfd):
    async def never():
        await asyncio.get_running_loop().create_future()

    @cached(ttl=10, timer=clock, stale_while_revalidate=5)
    async def f(key):
        if clock.now >= 10:
            await never()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(f(1))
    clock.now = 10
    loop.run_until_complete(f(1))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    asyncio.run(f(2)) if clock.now < 10 else None
    gc.collect()
    assert capfd.readouterr().err == ""
    assert [str(warning.message) for warning in recwarn] == []
