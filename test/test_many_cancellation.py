"""Rule R7 with F2: who is cancelled leaves the others their keys, and the last one cancels the load."""

import asyncio

import pytest
from support import Batches, outcome, settle, values

from aiocachetools import cached_many


def test_R7_F2_a_cancelled_caller_leaves_the_others_their_keys(arun):
    b = Batches(held=True)

    async def main():
        first, second = await b.start([1, 2, 3], [3])
        first.cancel()
        assert isinstance(await outcome(first), asyncio.CancelledError)
        assert b.cancelled == []
        b.open()
        assert await second == values(3)
        # The others were loaded as well, and are kept.
        assert await b.f([1, 2]) == values(1, 2)
        assert b.asked == [[1, 2, 3]]

    arun(main())


def test_R7_F2_a_key_that_nobody_waits_for_can_be_joined_while_its_batch_runs(run):
    b = Batches(held=True)

    async def main():
        first, second = await b.start([1, 2], [2])
        first.cancel()
        await settle()
        third = asyncio.create_task(b.f([1]))
        await settle()
        second.cancel()
        await settle()
        b.open()
        assert await third == values(1)
        assert b.asked == [[1, 2]]
        assert b.cancelled == []

    run(main())


def test_R7_F2_the_load_is_cancelled_when_nobody_waits_for_any_key(arun):
    b = Batches(held=True)

    async def main():
        first, second = await b.start([1, 2], [2])
        first.cancel()
        await settle()
        second.cancel()
        assert isinstance(await outcome(second), asyncio.CancelledError)
        assert b.cancelled == [[1, 2]]
        b.held = False
        assert await b.f([1, 2]) == values(1, 2)
        assert b.asked == [[1, 2], [1, 2]]

    arun(main())


def test_R7_F2_the_last_callers_cancellation_is_raised_when_the_load_has_unwound(run):
    log = []

    @cached_many
    async def f(ids):
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            log.append("unwound")

    async def caller():
        try:
            await f([1, 2])
        finally:
            log.append("raised")

    async def main():
        task = asyncio.create_task(caller())
        await settle()
        task.cancel("why")
        error = await outcome(task)
        assert isinstance(error, asyncio.CancelledError)
        assert log == ["unwound", "raised"]
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


def test_R7_F2_a_call_is_cancelled_in_the_midst_of_several_batches(run):
    b = Batches(held=True, max_batch=2)

    async def main():
        other, task = await b.start([3, 9], [1, 2, 3, 4])
        assert b.asked == [[3, 9], [1, 2], [4]]
        task.cancel()
        assert isinstance(await outcome(task), asyncio.CancelledError)
        assert sorted(b.cancelled) == [[1, 2], [4]]
        b.open()
        assert await other == values(3, 9)

    run(main())


def test_R7_F2_an_abandoned_batch_may_finish(run):
    b = Batches(held=True, on_abandon="finish")

    async def main():
        task = asyncio.create_task(b.f([1, 2]))
        await settle()
        task.cancel()
        assert isinstance(await outcome(task), asyncio.CancelledError)
        b.open()
        await settle()
        assert await b.f([1, 2]) == values(1, 2)
        assert b.asked == [[1, 2]]

    run(main())


@pytest.mark.parametrize("left", [[], [1], [0, 1, 2]])
def test_R7_F2_calls_for_one_key_leave_before_their_batch_is_launched(run, left):
    b = Batches()

    async def main():
        calls = [b.f.one(key) for key in range(3)]
        tasks = [asyncio.create_task(call) for call in calls]
        await asyncio.sleep(0)
        for i in left:
            tasks[i].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for i, result in enumerate(results):
            assert isinstance(result, asyncio.CancelledError) if i in left else result == ("value of", i)
        stayed = [i for i in range(3) if i not in left]
        assert b.asked == ([stayed] if stayed else [])
        assert await b.f([0, 1, 2]) == values(0, 1, 2)

    run(main())


def test_R7_F2_a_dropped_call_leaves_its_flights(run):
    b = Batches(held=True)

    async def main():
        call = b.f([1, 2])
        call.send(None)
        await settle()
        call.close()
        await settle()
        assert b.cancelled == [[1, 2]]
        with pytest.raises(RuntimeError):
            call.send(None)

    run(main())
