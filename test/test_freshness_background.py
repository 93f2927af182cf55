"""Rule R2: loads that nobody waits for."""

import asyncio
import gc

import pytest
from loguru import logger
from support import begun, fresh_for_ten, in_child, loop_factory, outcome, settle

from aiocachetools import cached, cached_many


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
        upstream.hold()
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


def test_R2_many_refreshes_are_bounded_by_their_loads(run, clock):
    gate, loads = asyncio.Event(), []

    @cached_many(maxsize=1000, ttl=10, timer=clock, stale_while_revalidate=5, max_batch=1)
    async def f(keys):
        loads.extend(keys)
        if clock.now >= 10:
            await gate.wait()
        return dict.fromkeys(keys)

    async def main():
        await f(range(300))
        clock.now = 10
        await f(range(300))
        await settle()
        assert len(loads) == 300 + 256
        gate.set()
        await settle()
        await f([299])
        await settle()
        assert len(loads) == 300 + 257

    run(main())


@pytest.mark.parametrize("end", ["fails", "is cancelled", "cannot start"])
def test_R2_a_refresh_that_ends_badly_makes_room_for_another(run, clock, upstream, end):
    def refuse(loop, coro, **kwargs):
        raise LookupError("no tasks")

    async def main():
        events = []
        f = fresh_for_ten(upstream, clock, stale_while_revalidate=5, listener=events.append)
        await f(1)
        clock.now = 10
        upstream.error = asyncio.CancelledError() if end == "is cancelled" else OSError("down")
        loop = asyncio.get_running_loop()
        for _ in range(300):
            loop.set_task_factory(refuse if end == "cannot start" else None)
            call = f(1)
            with pytest.raises(StopIteration, match="1"):
                call.send(None)
            loop.set_task_factory(None)
            await settle(4)
        assert f.cache_stats().refreshes == 300
        assert [event.name for event in events].count("load_error") == 300
        upstream.error = None
        assert await f(1) == 1
        await settle()
        assert f.cache_contains(1)

    run(main())


def test_R2_there_is_one_refresh_of_a_key_whoever_asks_for_it(run, clock):
    gate, loads = asyncio.Event(), []

    @cached_many(maxsize=10, ttl=10, timer=clock, stale_while_revalidate=5)
    async def f(keys):
        loads.append(keys)
        if clock.now >= 10:
            await gate.wait()
        return dict.fromkeys(keys, len(loads))

    async def main():
        await f([1])
        clock.now = 10
        await asyncio.gather(f([1]), f.one(1), f([1]))
        refreshed = await begun(f.cache_refresh([1]))
        assert loads == [[1], [1]]
        gate.set()
        assert await refreshed == {1: 2}

    run(main())


def test_R2_a_failed_refresh_is_logged(run, clock, upstream):
    messages = []

    async def main():
        f = fresh_for_ten(upstream, clock, stale_while_revalidate=5)
        await f(1)
        clock.now = 10
        upstream.error = OSError("down")
        await f(1)
        await settle()

    handler = logger.add(lambda message: messages.append(message.record["message"]), level="DEBUG")
    logger.enable("aiocachetools")
    try:
        run(main())
    finally:
        logger.disable("aiocachetools")
        logger.remove(handler)
    assert [message.split()[0] for message in messages] == ["miss", "store", "stale", "refresh", "load_error"]


def loads_for_nobody(clock):
    """Functions whose second load never ends and is waited for by nobody, once they were called twice."""
    options = {"ttl": 10, "timer": clock}

    @cached(stale_while_revalidate=5, **options)
    async def refreshed(key):
        await ends_until(clock, 10)

    @cached(soft_timeout=1, stale_if_error=5, **options)
    async def let_go(key):
        await ends_until(clock, 10)

    @cached_many(stale_while_revalidate=5, **options)
    async def refreshed_together(keys):
        await ends_until(clock, 10)
        return dict.fromkeys(keys)

    @cached(on_abandon="finish", **options)
    async def abandoned(key):
        await ends_until(clock, 10)

    async def cancelled(key):
        call = asyncio.ensure_future(abandoned(key))
        await settle(2)
        call.cancel()
        await outcome(call)

    return {
        "refreshed": refreshed,
        "refreshed together": lambda key: refreshed_together([key]),
        "let go": let_go,
        "abandoned": cancelled,
    }


async def ends_until(clock, time):
    if clock.now >= time:
        await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize("turns", [0, 1, 5])
@pytest.mark.parametrize("name", ["refreshed", "refreshed together", "let go", "abandoned"])
def test_R2_a_load_for_nobody_does_not_outlive_its_loop_noisily(clock, recwarn, caplog, kind, turns, name):
    noise = []
    loop = loop_factory(kind)()
    loop.set_exception_handler(lambda _, context: noise.append(context))
    f = loads_for_nobody(clock)[name]

    async def call():
        return await f(1)

    loop.run_until_complete(call())
    clock.now = 10
    served = loop.create_task(call())
    loop.run_until_complete(settle(2))
    clock.advance(1)
    loop.run_until_complete(served)
    loop.run_until_complete(settle(turns))
    loop.close()
    f = served = None
    gc.collect()
    asyncio.run(settle(1))  # lets go of what the closed loop has left
    gc.collect()
    assert noise == []
    assert caplog.messages == []
    assert [str(warning.message) for warning in recwarn] == []


def test_R2_a_refresh_does_not_outlive_its_process_noisily():
    assert (
        in_child("""
        import asyncio
        import sys
        from aiocachetools import cached
        from support import Timers

        sys.stderr = sys.stdout  # where complaints are to be seen
        clock = Timers()

        @cached(ttl=10, timer=clock, stale_while_revalidate=5)
        async def f(key):
            if clock.now >= 10:
                await asyncio.Event().wait()

        async def main():
            await f(1)
            clock.now = 10
            await f(1)
            await asyncio.sleep(0)

        asyncio.run(main())
        clock.now = 0
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        print("done")
    """)
        == "done\n"
    )
