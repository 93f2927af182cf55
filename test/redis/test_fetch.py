"""A load that begins with a read by the native connection has no task until it needs one, and is otherwise as any."""

import asyncio
import gc
import weakref
from contextvars import ContextVar

import pytest

from aiocachetools import LoadTimeout, RecursiveLoadError, cached
from aiocachetools._core import Fetch

VARIABLE = ContextVar("variable", default="nobody's")


@pytest.fixture
def on_loop(run, make_tier):
    """Runs a test's coroutine with a tier whose connection is up."""

    def runner(test, **options):
        async def main():
            tier = make_tier(**options)
            await function(tier, name="warm-up")(0)
            try:
                await test(tier)
            finally:
                await tier.aclose()

        run(main())

    return runner


def function(tier, *, name="f", **options):
    @cached(tier=tier.using(name=name), **options)
    async def f(x: int) -> str:
        await asyncio.sleep(0)
        return VARIABLE.get()

    return f


def tasks():
    return asyncio.all_tasks() - {asyncio.current_task()}


def near(tier):
    return tier._links.get().near


async def asked(call):
    """A task that has asked the server, whose answer the loop has not looked for yet."""
    task = asyncio.create_task(call)
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def stored(tier, x):
    """Let the server have a value that memory has not."""
    f = function(tier)
    await f(x)
    f.cache_clear()
    return f


def test_F2_a_hit_of_the_server_is_without_a_task(on_loop):
    async def test(tier):
        f = await stored(tier, 1)
        before = tasks()
        call = await asked(f(1))
        assert tasks() == before | {call}
        assert await call == "nobody's"
        assert tier.stats(f).hits == f.cache_tier.loader.hits == 1
        assert f.cache_contains(1)

    on_loop(test)


def test_F2_all_callers_have_the_one_answer(on_loop):
    async def test(tier):
        f = await stored(tier, 1)
        assert await asyncio.gather(*(f(1) for _ in range(100))) == ["nobody's"] * 100
        assert tier.stats(f).hits == 1
        assert f.cache_stats().loads == 1

    on_loop(test)


def test_F4_the_load_after_a_miss_is_in_the_context_of_the_first_call(on_loop):
    async def test(tier):
        f = function(tier)
        VARIABLE.set("the caller's")
        first = await asked(f(1))
        VARIABLE.set("another's")
        assert await asyncio.gather(first, f(1)) == ["the caller's"] * 2

    on_loop(test)


def test_F4_so_is_that_of_a_key_which_the_server_has_lost(on_loop, control):
    async def test(tier):
        f = await stored(tier, 1)
        VARIABLE.set("the caller's")
        control.delete(f.cache_tier.loader.__self__.form.key((1,), (1,), {}))
        first = await asked(f(1))
        VARIABLE.set("another's")
        assert await asyncio.gather(first, f(1)) == ["the caller's"] * 2
        assert not near(tier).visits

    on_loop(test)


def test_D8_a_loop_of_another_thread_asks_on_a_connection_of_its_own(on_loop):
    async def test(tier):
        f = await stored(tier, 1)

        async def elsewhere():
            found = await f(1)
            f.cache_clear()
            again = await f(1)
            f.cache_clear()
            await tier.aclose()
            return found, again

        for _ in range(2):
            assert await f(1) == "nobody's"
            f.cache_clear()
            assert await asyncio.to_thread(asyncio.run, elsewhere()) == ("nobody's", "nobody's")
        assert tier.stats(f).hits == 6
        assert tier.stats(f).loads == 1

    on_loop(test)


def test_F3_the_last_caller_that_goes_ends_it(on_loop):
    async def test(tier):
        f = await stored(tier, 1)
        first, second = await asked(f(1)), await asked(f(1))
        first.cancel("first")
        second.cancel("second")
        with pytest.raises(asyncio.CancelledError, match="first"):
            await first
        with pytest.raises(asyncio.CancelledError, match="second"):
            await second
        assert not near(tier).visits
        assert not f.cache_contains(1)
        assert await f(1) == "nobody's"
        assert tier.stats(f).hits == 1

    on_loop(test)


def test_F3_one_that_is_to_finish_is_stored_though_nobody_waits(on_loop):
    async def test(tier):
        await stored(tier, 1)
        f = function(tier, on_abandon="finish")
        call = await asked(f(1))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        while near(tier).visits:
            await asyncio.sleep(0)
        assert f.cache_contains(1)

    on_loop(test)


@pytest.mark.parametrize("wait", [True, False])
def test_F3_closing_the_function_waits_for_it_or_ends_it(on_loop, wait):
    async def test(tier):
        f = await stored(tier, 1)
        call = await asked(f(1))
        await f.cache_close(wait=wait)
        assert not near(tier).visits
        (outcome,) = await asyncio.gather(call, return_exceptions=True)
        assert outcome == "nobody's" if wait else isinstance(outcome, asyncio.CancelledError)

    on_loop(test)


def test_F3_closing_the_function_waits_for_the_task_that_it_becomes(on_loop):
    async def test(tier):
        f = function(tier)
        call = await asked(f(1))
        await f.cache_close(wait=True)
        assert await call == "nobody's"

    on_loop(test)


def test_R3_a_timeout_ends_it(on_loop):
    async def test(tier):
        await stored(tier, 1)
        f = function(tier, timeout=1e-9)
        with pytest.raises(LoadTimeout):
            await f(1)
        while near(tier).visits:
            await asyncio.sleep(0)
        assert not f.cache_contains(1)

    on_loop(test)


def test_F7_a_load_that_would_wait_for_itself_is_told(on_loop):
    async def test(tier):
        @cached(tier=tier.using(name="circle"))
        async def circle(x: int) -> int:
            return await circle(x)

        with pytest.raises(RecursiveLoadError):
            await circle(1)
        assert not near(tier).visits

    on_loop(test)


def test_D4_a_connection_that_is_lost_meanwhile_costs_a_load(on_loop):
    async def test(tier):
        f = await stored(tier, 1)
        VARIABLE.set("loaded")
        call = await asked(f(1))
        tier._links.get().client.connection.abort()
        assert await call == "loaded"
        assert tier.stats(f).unshared == 1

    on_loop(test)


def test_F5_what_goes_wrong_with_the_answer_reaches_the_callers(on_loop, monkeypatch):
    async def test(tier):
        await stored(tier, 1)
        f = function(tier)
        form = f.cache_tier.loader.__self__.form
        monkeypatch.setattr(form, "plain", lambda: None)
        monkeypatch.setattr(form, "read", lambda *_: 1 / 0)
        outcomes = await asyncio.gather(f(1), f(1), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ZeroDivisionError] * 2
        assert not near(tier).visits

    on_loop(test)


def test_F3_a_task_factory_makes_the_task_that_it_becomes(on_loop):
    async def test(tier):
        made = []

        def factory(loop, coroutine, **options):
            made.append(asyncio.Task(coroutine, loop=loop, **options))
            return made[-1]

        asyncio.get_running_loop().set_task_factory(factory)
        f = function(tier)
        try:
            assert await f(1) == "nobody's"
        finally:
            asyncio.get_running_loop().set_task_factory(None)
        assert made

    on_loop(test)


def test_F8_a_task_factory_that_refuses_fails_the_call_alone(on_loop):
    async def test(tier):
        def refuse(_loop, _coroutine, **_options):
            raise RuntimeError("no more tasks")

        f = function(tier)
        call = await asked(f(1))
        asyncio.get_running_loop().set_task_factory(refuse)
        try:
            with pytest.raises(RuntimeError, match="no more tasks"):
                await call
        finally:
            asyncio.get_running_loop().set_task_factory(None)
        assert not near(tier).visits
        assert await f(1) == "nobody's"

    on_loop(test)


def test_one_that_is_never_answered_is_collected_with_what_it_holds(on_loop):
    class Owner:
        pass

    async def test(tier):
        f = await stored(tier, 1)
        owner = Owner()
        VARIABLE.set(owner)
        call = await asked(f(1))
        VARIABLE.set("nobody's")
        found = weakref.ref(owner)
        call.cancel()
        del owner
        with pytest.raises(asyncio.CancelledError):
            await call
        del call
        await f(1)
        gc.collect()
        assert found() is None

    on_loop(test)


def test_its_state_is_that_of_a_task(on_loop):
    async def test(tier):
        f = await stored(tier, 1)
        reader = f.cache_tier.loader
        fetch = reader(1)
        assert isinstance(fetch, Fetch)
        told = []
        fetch.add_done_callback(told.append)
        assert fetch.get_loop() is asyncio.get_running_loop()
        assert not fetch.done()
        assert fetch.cancel()
        assert fetch.done()
        assert not fetch.cancel()
        assert told == []
        fetch.add_done_callback(told.append)
        await asyncio.sleep(0)
        assert told == [fetch, fetch]
        assert not near(tier).visits

    on_loop(test)
