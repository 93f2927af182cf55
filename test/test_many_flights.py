"""Rule R7 with F3 to F8: in a batch each key keeps its own flight."""

import asyncio
import contextvars
import threading

import pytest
from support import Batches, outcome, settle, values

from aiocachetools import LRUCache, RecursiveLoadError, cached_many

# Errors (F3).


def test_R7_F3_an_error_reaches_those_who_wait_for_its_keys_only(arun):
    b = Batches(held=True)
    problem = ValueError("no")

    async def main():
        first = asyncio.create_task(b.f([1, 2]))
        await settle()
        second = asyncio.create_task(b.f([2]))
        third = asyncio.create_task(b.f([3]))
        fourth = asyncio.create_task(b.f([3, 1]))
        await settle()
        b.gates[0].set_exception(problem)
        b.gates[1].set_result(None)
        results = await asyncio.gather(first, second, third, fourth, return_exceptions=True)
        assert results == [problem, problem, values(3), problem]
        assert b.f.cache_contains(3)
        assert not b.f.cache_contains(1)
        b.held = False
        assert await b.f([1]) == values(1)
        assert b.f.cache_stats().load_errors == 1

    arun(main())


def test_R7_F3_what_other_parts_load_is_kept_when_one_fails(run):
    b = Batches(held=True, max_batch=1)
    problem = ValueError("no")

    async def main():
        task = asyncio.create_task(b.f([1, 2]))
        await settle()
        b.gates[0].set_exception(problem)
        await settle()
        assert not task.done()
        b.gates[1].set_result(None)
        assert await outcome(task) is problem
        assert b.f.cache_contains(2)

    run(main())


def test_R7_F3_a_load_that_fails_at_once_is_as_one_that_fails_later(run):
    @cached_many
    async def f(ids):
        raise LookupError("at once")

    async def main():
        for _ in range(2):
            with pytest.raises(LookupError, match="at once"):
                await f([1, 2])
        assert f.cache_stats().load_errors == 2

    run(main())


def test_R7_F3_an_error_while_a_value_is_looked_up_or_stored_is_its_keys_own(run):
    def size(value):
        if value == "bad":
            raise LookupError("size")
        return 1

    @cached_many(LRUCache(10, getsizeof=size))
    async def f(ids):
        await asyncio.sleep(0)
        return {i: "bad" if i == 2 else "good" for i in ids}

    async def main():
        tasks = [asyncio.create_task(f(keys)) for keys in ([1, 2], [1], [2])]
        first, second, third = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(first, LookupError)
        assert second == {1: "good"}
        assert third is first

    run(main())


def test_R7_F3_a_load_that_is_cancelled_from_inside_cancels_its_waiters(run):
    @cached_many
    async def f(ids):
        await asyncio.sleep(0)
        raise asyncio.CancelledError

    async def main():
        for _ in range(2):
            assert isinstance(await outcome(asyncio.create_task(f([1, 2]))), asyncio.CancelledError)

    run(main())


# Fencing (F4).

FENCES = {
    "cache_invalidate": lambda f: f.cache_invalidate(1),
    "cache_invalidate_many": lambda f: f.cache_invalidate_many([1]),
    "pop": lambda f: f.cache.pop(f.cache_key(1), None),
}


@pytest.mark.parametrize("fence", list(FENCES))
def test_R7_F4_a_fenced_key_of_a_running_batch_is_returned_and_not_stored(run, fence):
    b = Batches(held=True)

    async def main():
        old = asyncio.create_task(b.f([1, 2]))
        await settle()
        FENCES[fence](b.f)
        new = asyncio.create_task(b.f([1, 2]))
        await settle()
        assert b.asked == [[1, 2], [1]]
        b.gates[0].set_result(None)
        assert await old == values(1, 2)
        assert b.f.cache_contains(2)
        assert not b.f.cache_contains(1)
        b.gates[1].set_result(None)
        assert await new == values(1, 2)
        assert b.f.cache_contains(1)

    run(main())


def test_R7_F4_an_explicit_store_wins_over_its_key_of_a_running_batch(run):
    b = Batches(held=True)

    async def main():
        old = asyncio.create_task(b.f([1, 2]))
        await settle()
        b.f.cache[b.f.cache_key(1)] = "explicit"
        b.open()
        assert await old == values(1, 2)
        assert await b.f([1, 2]) == {1: "explicit", 2: ("value of", 2)}

    run(main())


def test_R7_F4_clear_fences_every_key(run):
    b = Batches(held=True)

    async def main():
        old = asyncio.create_task(b.f([1, 2]))
        await settle()
        b.f.cache_clear()
        b.open()
        assert await old == values(1, 2)
        assert len(b.f.cache) == 0

    run(main())


def test_R7_F4_a_fenced_key_counts_for_who_waits_for_the_batch(run):
    b = Batches(held=True)

    async def main():
        first = asyncio.create_task(b.f([1, 2]))
        await settle()
        second = asyncio.create_task(b.f([1]))
        await settle()
        b.f.cache_invalidate(1)
        first.cancel()
        await settle()
        assert b.cancelled == []
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        assert b.cancelled == [[1, 2]]

    run(main())


# Recursion (F6).


def test_R7_F6_a_batch_that_waits_for_one_of_its_keys_is_an_error(arun):
    @cached_many
    async def f(ids):
        return {i: await f([i + 1, 2]) for i in ids}

    async def main():
        with pytest.raises(RecursiveLoadError, match=r"f\(2\) would wait for itself"):
            await f([1, 2])
        assert len(f.cache) == 0

    arun(main())


def test_R7_F6_two_batches_that_wait_for_each_other_are_an_error(run):
    gates = {}

    @cached_many
    async def f(ids):
        await gates[ids[0]].wait()
        other = 3 if ids[0] == 1 else 2
        return dict.fromkeys(ids, await f([other]))

    async def main():
        gates.update({1: asyncio.Event(), 3: asyncio.Event()})
        first = asyncio.create_task(f([1, 2]))
        second = asyncio.create_task(f([3, 4]))
        await settle()
        gates[1].set()
        await settle()
        gates[3].set()
        results = await asyncio.gather(first, second, return_exceptions=True)
        assert all(isinstance(result, RecursiveLoadError) for result in results)

    run(main())


def test_R7_F6_other_keys_nest_freely(run):
    @cached_many
    async def total(ids):
        below = await total([i - 1 for i in ids if i > 0])
        return {i: i + below.get(i - 1, 0) for i in ids}

    async def main():
        assert await total([100]) == {100: 5050}

    run(main())


# Loops and threads (F7), tasks (F8).


def test_R7_F7_loops_share_values_and_have_batches_of_their_own():
    calls = []
    together = threading.Barrier(4)

    @cached_many
    async def f(ids):
        calls.append(ids)
        await asyncio.sleep(0)
        return {i: object() for i in ids}

    results = []

    def thread():
        async def main():
            together.wait()
            results.extend([await f(range(20)) for _ in range(50)])

        asyncio.run(main())

    threads = [threading.Thread(target=thread) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(results) == 200
    assert results[-1] == asyncio.run(wait_for(f, range(20)))


async def wait_for(f, keys):
    """The result of a call on a loop of its own."""
    return await f(keys)


def test_R7_F7_a_batch_of_a_closed_loop_does_not_block_its_keys():
    b = Batches(held=True)
    loop = asyncio.new_event_loop()
    task = loop.create_task(b.f([1, 2]))
    loop.run_until_complete(settle())
    one = loop.create_task(b.f.one(3))
    loop.run_until_complete(asyncio.sleep(0))
    for abandoned in (task, one):
        abandoned._log_destroy_pending = False
    loop.close()
    b.held = False
    assert asyncio.run(wait_for(b.f, [1, 2, 3])) == values(1, 2, 3)
    b.gates.clear()


def test_R7_F8_the_load_is_a_named_task_in_a_copy_of_the_callers_context(run):
    variable = contextvars.ContextVar("variable", default="unset")
    names = []

    @cached_many
    async def load(ids):
        names.append(asyncio.current_task().get_name())
        seen = variable.get()
        variable.set("inside")
        return dict.fromkeys(ids, seen)

    async def main():
        variable.set("caller")
        assert await load(range(2)) == dict.fromkeys(range(2), "caller")
        assert variable.get() == "caller"
        await load(range(100, 110))
        assert await asyncio.gather(load.one(7)) == ["caller"]
        prefix = "test_R7_F8_the_load_is_a_named_task_in_a_copy_of_the_callers_context.<locals>."
        assert [name.removeprefix(prefix) for name in names] == [
            "load([0, 1])",
            "load([100, 101, 102, 103, and 6 more])",
            "load([7])",
        ]

    run(main())


def test_R7_F2_the_load_runs_in_a_copy_of_the_context_of_the_caller_who_was_first(run):
    variable = contextvars.ContextVar("variable", default="unset")
    seen = {}

    @cached_many
    async def load(ids):
        seen.update(dict.fromkeys(ids, variable.get()))
        variable.set("changed by the load")
        await settle(2)
        return dict.fromkeys(ids)

    async def caller(name, call):
        variable.set(name)
        await call()
        return variable.get()

    async def main():
        calls = [lambda: load([1, 2]), lambda: load([2, 3]), lambda: load.one(1)]
        assert await asyncio.gather(*map(caller, "abc", calls)) == ["a", "b", "c"]
        assert seen == {1: "a", 2: "a", 3: "b"}
        ones = [lambda key=key: load.one(key) for key in (4, 5)]
        assert await asyncio.gather(*map(caller, "de", ones)) == ["d", "e"]
        assert seen[4] == seen[5] == "d"

    run(main())


def test_R7_F8_a_task_factory_is_respected(run):
    made = []

    def factory(loop, coro, **kwargs):
        made.append(coro)
        return asyncio.Task(coro, loop=loop, **kwargs)

    b = Batches()

    async def main():
        asyncio.get_running_loop().set_task_factory(factory)
        assert await b.f([1, 2]) == values(1, 2)
        assert len(made) == 1

    run(main())


def test_R7_F8_a_task_that_cannot_be_started_leaves_nothing_behind(run):
    b = Batches()

    def factory(loop, coro, **kwargs):
        raise LookupError("no tasks")

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(factory)
        with pytest.raises(LookupError, match="no tasks"):
            await b.f([1, 2])
        loop.set_task_factory(None)
        assert await b.f([1, 2]) == values(1, 2)

    run(main())
