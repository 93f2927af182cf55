"""Rule F2: the task that a load runs in, and what the cancellation of its callers does."""

import asyncio
import contextvars
import gc
import weakref

import pytest
from support import Loads, Source, outcome, settle

from aiocachetools import cached

CancelledError = asyncio.CancelledError
REQUEST = contextvars.ContextVar("REQUEST", default="none")

VICTIMS = {
    "first": [0],
    "last": [4],
    "some": [1, 3],
    "all_but_first": [1, 2, 3, 4],
    "all_but_last": [0, 1, 2, 3],
}


@pytest.mark.parametrize("who", VICTIMS)
def test_F2_cancelling_some_callers_leaves_the_others_their_result(arun, deco, who):
    source = Source(held=True)
    f = deco()(source.load)

    async def main():
        tasks = [asyncio.create_task(f(1)) for _ in range(5)]
        await settle()
        for index in VICTIMS[who]:
            tasks[index].cancel()
        await settle()
        assert [index for index, task in enumerate(tasks) if task.cancelled()] == VICTIMS[who]
        source.gate.set()
        left = [task for index, task in enumerate(tasks) if index not in VICTIMS[who]]
        assert await asyncio.gather(*left) == [["value of", 1]] * len(left)
        assert f.cache_contains(1)

    arun(main())
    assert (source.runs, source.cancelled) == ([1], [])


@pytest.mark.parametrize("callers", [1, 3])
def test_F2_cancelling_the_last_caller_cancels_the_load(arun, deco, callers):
    source = Source(held=True)
    f = deco()(source.load)

    async def main():
        for attempt in range(1, 6):
            tasks = [asyncio.create_task(f(1)) for _ in range(callers)]
            await settle()
            assert len(source.runs) == attempt
            for task in tasks:
                task.cancel()
            for task in tasks:
                assert isinstance(await outcome(task), CancelledError)
            assert len(source.cancelled) == attempt
            assert len(f.cache) == 0
        source.gate.set()
        assert await f(1) == ["value of", 1]

    arun(main())


def test_F2_the_load_has_unwound_before_its_caller_hears_of_it(arun, deco):
    order = []

    class Connection:
        async def __aenter__(self):
            return self

        async def __aexit__(self, *exc_info):
            await settle(5)
            order.append("closed")

    @deco()
    async def f(connection):
        await asyncio.Event().wait()

    async def caller():
        async with Connection() as connection:
            try:
                await f(connection)
            except CancelledError:
                order.append("cancelled")
                raise

    @deco()
    async def with_resource(x):
        try:
            await asyncio.Event().wait()
        finally:
            await settle(5)
            order.append("unwound")

    async def nested():
        try:
            await with_resource(1)
        finally:
            order.append("caller")

    async def main():
        for make, expected in [(caller, ["cancelled", "closed"]), (nested, ["unwound", "caller"])]:
            order.clear()
            task = asyncio.create_task(make())
            await settle()
            task.cancel()
            assert isinstance(await outcome(task), CancelledError)
            assert order == expected

    arun(main())


def test_F2_the_key_is_free_while_the_old_load_unwinds(arun, deco):
    runs, release = [], asyncio.Event()

    @deco()
    async def f(x):
        runs.append(x)
        if len(runs) == 1:
            try:
                await asyncio.Event().wait()
            except CancelledError:
                await release.wait()
                return "a late value"
        return "fresh"

    async def main():
        task = asyncio.create_task(f(1))
        await settle()
        task.cancel()
        await settle()
        assert not task.done()
        assert await f(1) == "fresh"
        release.set()
        assert isinstance(await outcome(task), CancelledError)
        assert await f(1) == "fresh"

    arun(main())
    assert runs == [1, 1]


def test_F2_the_callers_own_cancelled_error_is_raised(arun):
    source = Source(held=True)
    f = cached(source.load)
    caught = []

    async def caller():
        try:
            await f(1)
        except CancelledError as error:
            caught.append(error.args)
            raise

    async def main():
        tasks = [asyncio.create_task(caller()) for _ in range(2)]
        await settle()
        for number, task in enumerate(tasks):
            task.cancel(f"reason {number}")
            await settle()
        await asyncio.wait(tasks)

    arun(main())
    assert caught == [("reason 0",), ("reason 1",)]


def test_F2_a_caller_that_handles_its_cancellation_goes_on(arun, deco):
    source = Source(held=True)
    f = deco()(source.load)

    async def caller():
        try:
            return await f(1)
        except CancelledError:
            asyncio.current_task().uncancel()
            source.gate.set()
            return await f(1)

    async def main():
        task = asyncio.create_task(caller())
        await settle()
        task.cancel()
        assert await task == ["value of", 1]
        assert task.cancelling() == 0

    arun(main())
    assert (source.runs, source.cancelled) == ([1, 1], [1])


def test_F2_cancelling_again_while_the_load_unwinds(arun):
    order, release = [], asyncio.Event()

    @cached
    async def f(x):
        try:
            await asyncio.Event().wait()
        finally:
            try:
                await release.wait()
            finally:
                order.append("unwound")

    async def caller():
        try:
            await f(1)
        finally:
            order.append("caller")

    async def main():
        task = asyncio.create_task(caller())
        await settle()
        for _ in range(3):
            task.cancel()
            await settle()
        release.set()
        assert isinstance(await outcome(task), CancelledError)

    arun(main())
    assert order == ["unwound", "caller"]


def test_F2_a_caller_cancelled_before_its_first_step_joins_nothing(arun, deco):
    source = Source()
    f = deco()(source.load)

    async def main():
        task = asyncio.create_task(f(1))
        task.cancel()
        assert isinstance(await outcome(task), CancelledError)
        await settle()
        assert source.runs == []
        assert await f(1) == ["value of", 1]

    arun(main())


def test_F2_timeouts(arun, deco):
    source = Source(held=True)
    f = deco()(source.load)

    async def main():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(f(1), 0.01)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await f(1)
        assert source.cancelled == [1, 1]
        patient = asyncio.create_task(f(1))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(f(1), 0.01)
        source.gate.set()
        assert await patient == ["value of", 1]

    arun(main())
    assert source.cancelled == [1, 1]


def test_F2_a_task_group_that_fails_takes_only_its_own_callers(arun, deco):
    source = Source(held=True)
    f = deco()(source.load)

    async def failing_group():
        async with asyncio.TaskGroup() as group:
            group.create_task(f(1))
            group.create_task(f(2))
            await settle()
            raise KeyError("the group")

    async def main():
        outside = asyncio.create_task(f(1))
        await settle()
        with pytest.raises(ExceptionGroup):
            await failing_group()
        assert source.cancelled == [2]
        source.gate.set()
        assert await outside == ["value of", 1]

    arun(main())


def test_F2_closing_a_suspended_call_leaves_the_flight(run):
    source = Source(held=True)
    f = cached(source.load)

    async def main():
        other = asyncio.create_task(f(1))
        await settle()
        call = f(1)
        call.send(None)
        call.close()
        await settle()
        assert source.cancelled == []
        source.gate.set()
        assert await other == ["value of", 1]

    run(main())


def test_F2_whoever_wins_the_race_at_the_end_of_the_load(arun, deco):
    """A caller is cancelled in each of the steps around the load's end."""
    loads = Loads(deco())

    async def main():
        for rounds in range(8):
            tasks = await loads.start(3, key=rounds)
            loads.ends[rounds].set_result(rounds)
            await settle(rounds)
            tasks[rounds % 3].cancel()
            results = [await outcome(task) for task in tasks]
            for index, result in enumerate(results):
                assert result == rounds or (index == rounds % 3 and isinstance(result, CancelledError))
            assert await loads.f(rounds) == rounds

    arun(main())
    assert len(loads.ends) == 8


def test_F2_on_abandon_finish_lets_the_load_store(arun, deco):
    source = Source(held=True)
    f = deco(on_abandon="finish")(source.load)

    async def main():
        tasks = [asyncio.create_task(f(1)) for _ in range(2)]
        await settle()
        for task in tasks:
            task.cancel()
        await settle()
        assert all(task.cancelled() for task in tasks)
        late = asyncio.create_task(f(1))
        await settle()
        late.cancel()
        await settle()
        source.gate.set()
        await settle()
        assert f.cache_contains(1)

    arun(main())
    assert (source.runs, source.cancelled) == ([1], [])


def test_F2_an_abandoned_load_that_fails_stays_quiet(arun, deco):
    source = Source(held=True)
    source.error = KeyError("nobody listens")
    f = deco(on_abandon="finish")(source.load)

    async def main():
        task = asyncio.create_task(f(1))
        await settle()
        task.cancel()
        await outcome(task)
        source.gate.set()
        await settle()
        assert not f.cache_contains(1)

    arun(main())
    assert source.runs == [1]


def test_F2_an_abandoned_load_is_held(arun):
    """Nothing else refers to the future that it awaits, so that a collection could take both."""
    futures = []

    @cached(on_abandon="finish")
    async def f(x):
        future = asyncio.get_running_loop().create_future()
        futures.append(weakref.ref(future))
        return await future

    async def main():
        task = asyncio.create_task(f(1))
        await settle()
        task.cancel()
        await outcome(task)
        del task
        gc.collect()
        future = futures[0]()
        assert future is not None
        future.set_result("kept")
        await settle()
        assert await f(1) == "kept"

    arun(main())


def test_F2_the_load_runs_in_a_copy_of_the_first_callers_context(arun, deco):
    seen = []

    @deco()
    async def f(x):
        seen.append(REQUEST.get())
        REQUEST.set("changed by the load")
        await settle(2)

    async def caller(name):
        REQUEST.set(name)
        await f(1)
        return REQUEST.get()

    async def main():
        assert await asyncio.gather(*map(caller, "abc")) == ["a", "b", "c"]
        f.cache_clear()
        REQUEST.set("direct")
        await f(1)
        assert REQUEST.get() == "direct"

    arun(main())
    assert seen == ["a", "direct"]


def test_F2_the_load_is_a_task_named_after_function_and_key(arun):
    tasks = []

    @cached
    async def fetch_page(number):
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0)

    async def main():
        await fetch_page(4711)
        assert tasks[0] is not asyncio.current_task()
        assert "fetch_page" in tasks[0].get_name()
        assert "4711" in tasks[0].get_name()

    arun(main())


def test_F2_loads_that_start_within_another_ones_first_step_have_their_own_names(arun):
    names = []

    @cached
    async def countdown(n):
        if n:
            await countdown(n - 1)
        names.append((n, asyncio.current_task().get_name()))

    async def main():
        await countdown(3)
        assert [n for n, _ in names] == [0, 1, 2, 3]
        assert all(name.endswith(f"countdown({n})") for n, name in names)

    arun(main())
