"""Rule F8: eager tasks, task factories and loops that make tasks in their own way."""

import asyncio
import contextvars
import sys

import pytest
from support import Source, outcome, settle

REQUEST = contextvars.ContextVar("REQUEST", default="none")
eager = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are of Python 3.12")


def be_eager():
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)


@eager
def test_F8_eager_callers_are_one_execution(run, deco):
    source = Source(held=True)
    f = deco()(source.load)

    async def main():
        be_eager()
        tasks = [asyncio.create_task(f(n % 3)) for n in range(300)]
        assert sorted(source.runs) == [0, 1, 2]
        source.gate.set()
        assert [value[1] for value in await asyncio.gather(*tasks)] == [n % 3 for n in range(300)]
        assert all(task.done() for task in [asyncio.create_task(f(n)) for n in range(3)])

    run(main())
    assert sorted(source.runs) == [0, 1, 2]


@eager
def test_F8_eager_loads_that_never_suspend(run, deco):
    runs = []

    @deco()
    async def f(x):
        runs.append(x)
        if x < 0:
            raise KeyError(x)
        return x

    async def main():
        be_eager()
        assert await asyncio.gather(*(f(1) for _ in range(10))) == [1] * 10
        for _ in range(2):
            assert isinstance(await outcome(f(-1)), KeyError)
        assert f.cache_contains(1)
        assert not f.cache_contains(-1)

    run(main())
    assert runs == [1, -1, -1]


@eager
def test_F8_the_flight_is_there_before_the_first_step(run, deco):
    """In its first, eager step the load sees to it that others ask for the same key."""
    runs, others = [], []

    @deco()
    async def f(x):
        runs.append(x)
        others.append(contextvars.Context().run(asyncio.ensure_future, f(x)))
        await settle(2)
        return x

    async def main():
        be_eager()
        assert await f(1) == 1
        assert [await asyncio.wait_for(outcome(other), 5) for other in others] == [1]

    run(main())
    assert runs == [1]


@eager
def test_F8_eager_cancellation(run, deco):
    source = Source(held=True)
    f = deco()(source.load)

    async def main():
        be_eager()
        tasks = [asyncio.create_task(f(1)) for _ in range(3)]
        for task in tasks:
            task.cancel()
        results = [await outcome(task) for task in tasks]
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        source.gate.set()
        assert await f(1) == ["value of", 1]

    run(main())
    assert (source.runs, source.cancelled) == ([1, 1], [1])


@eager
def test_F8_eager_loads_run_in_a_copy_of_the_callers_context(run, deco):
    seen = []

    @deco()
    async def f(x):
        seen.append(REQUEST.get())
        REQUEST.set("the load's")
        return x

    async def main():
        be_eager()
        REQUEST.set("the caller's")
        await f(1)
        assert REQUEST.get() == "the caller's"

    run(main())
    assert seen == ["the caller's"]


def test_F8_a_load_sees_its_own_task_from_the_first_step(arun, deco):
    tasks = []

    @deco()
    async def f(x):
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0)
        tasks.append(asyncio.current_task())

    async def main():
        caller = asyncio.current_task()
        await f(1)
        assert tasks[0] is tasks[1] is not caller
        assert asyncio.current_task() is caller

    arun(main())


class MyTask(asyncio.Task):
    """A task of another class."""


FACTORIES = {
    "bare": lambda made: lambda loop, coro: record(made, asyncio.Task(coro, loop=loop)),
    "keywords": lambda made: lambda loop, coro, **kw: record(made, asyncio.Task(coro, loop=loop, **kw)),
    "subclass": lambda made: lambda loop, coro, **kw: record(made, MyTask(coro, loop=loop, **kw)),
}


def record(made, task):
    made.append(task)
    return task


@pytest.mark.parametrize("kind", FACTORIES)
def test_F8_the_loops_task_factory_makes_the_task(run, deco, kind):
    """It is never given arguments that it may not take."""
    made, seen = [], []

    @deco()
    async def f(x):
        seen.append((asyncio.current_task(), REQUEST.get()))
        await asyncio.sleep(0)
        return x

    async def main():
        asyncio.get_running_loop().set_task_factory(FACTORIES[kind](made))
        REQUEST.set("the caller's")
        assert await f(1) == 1
        assert await f(1) == 1
        asyncio.get_running_loop().set_task_factory(None)

    run(main())
    assert seen == [(made[0], "the caller's")]
    assert len(made) == 1


class CountingLoop(asyncio.SelectorEventLoop):
    """A loop with a create_task of its own that knows nothing of names and contexts."""

    tasks = 0

    def create_task(self, coro, **kwargs):
        self.tasks += 1
        return super().create_task(coro, **kwargs)


class StrictLoop(CountingLoop):
    strict = False

    def create_task(self, coro, **kwargs):
        assert not (self.strict and kwargs)
        return super().create_task(coro, **kwargs)


@pytest.mark.parametrize("loop_class", [CountingLoop, StrictLoop])
def test_F8_an_overridden_create_task_makes_the_task(either, loop_class):
    source = Source()
    f = either()(source.load)

    async def main():
        loop = asyncio.get_running_loop()
        loop.strict, before = True, loop.tasks
        try:
            assert await f(1) == ["value of", 1]
            assert await f(1) == ["value of", 1]
            assert loop.tasks == before + 1
        finally:
            loop.strict = False

    with asyncio.Runner(loop_factory=loop_class) as runner:
        runner.run(main())


@pytest.mark.parametrize("where", ["class", "loop"])
def test_F8_a_create_task_that_is_replaced_between_two_loads_makes_the_task(either, where):
    """What was found of a loop's class holds no longer than the class stays as it is."""
    made = []

    class Loop(asyncio.SelectorEventLoop):
        pass

    f = either()(Source().load)
    loop = Loop()

    def create_task(coro, **options):
        made.append(coro)
        return asyncio.Task(coro, loop=loop)

    async def main():
        await f(1)
        await f(2)
        if where == "class":
            Loop.create_task = lambda self, coro, **options: create_task(coro)
        else:
            loop.create_task = create_task
        await f(3)

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    assert len(made) == 1


def test_F8_a_factory_that_raises_leaves_the_key_free(run, deco):
    source = Source()
    f = deco()(source.load)

    def refuse(loop, coro, **kwargs):
        coro.close()
        raise ZeroDivisionError("no tasks today")

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(refuse)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                await f(1)
        loop.set_task_factory(None)
        assert await asyncio.wait_for(f(1), 5) == ["value of", 1]

    run(main())
    assert source.runs == [1]


@eager
def test_F8_an_eager_constructor_that_raises_leaves_the_key_free(run, deco):
    """The first step has been run, and then there is no task."""
    runs = []

    class Failing(asyncio.Task):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            raise ZeroDivisionError("half a task")

    @deco()
    async def f(x):
        runs.append(x)
        return x

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.create_eager_task_factory(Failing))
        assert isinstance(await outcome(f(1)), ZeroDivisionError)
        loop.set_task_factory(None)
        f.cache_clear()
        assert await asyncio.wait_for(f(1), 5) == 1

    run(main())
    assert runs == [1, 1]
