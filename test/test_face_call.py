"""Rule A2: what a call returns is a coroutine to everything that takes one."""

import asyncio
import collections.abc
import concurrent.futures
import gc
import inspect
import sys
import warnings

import pytest
from support import Source, outcome, settle

from aiocachetools import cached, cachedmethod


@cached
async def echo(x):
    await asyncio.sleep(0)
    return x


class Service:
    @cachedmethod(lambda self: self.__dict__.setdefault("cache", {}))
    async def load(self, x, *, limit=1):
        return x


@pytest.fixture(params=["miss", "hit"])
def call(request):
    """Makes, inside a coroutine, a call of `echo` of either outcome."""

    async def make(x):
        echo.cache_invalidate(x)
        if request.param == "hit":
            await echo(x)
        return echo(x)

    return make


def test_A2_a_call_is_a_coroutine(run, call):
    async def main():
        made = await call(1)
        assert isinstance(made, collections.abc.Coroutine)
        assert isinstance(made, collections.abc.Awaitable)
        assert asyncio.iscoroutine(made)
        assert inspect.isawaitable(made)
        assert not asyncio.isfuture(made)
        assert await made == 1

    run(main())


WAYS = {
    "await": lambda made: made,
    "create_task": asyncio.create_task,
    "ensure_future": asyncio.ensure_future,
    "gather": lambda made: first_of(asyncio.gather(made)),
    "wait_for": lambda made: asyncio.wait_for(made, 5),
    "wait_for_without_limit": lambda made: asyncio.wait_for(made, None),
    "shield": asyncio.shield,
    "task_group": lambda made: in_task_group(made),
    "as_completed": lambda made: next(iter(asyncio.as_completed([made]))),
    "timeout": lambda made: in_timeout(made),
    "yield_from": lambda made: FromGenerator(made),
    "loop_create_task": lambda made: asyncio.get_running_loop().create_task(made, name="mine"),
}


async def first_of(results):
    return (await results)[0]


async def in_task_group(made):
    async with asyncio.TaskGroup() as group:
        task = group.create_task(made)
    return task.result()


async def in_timeout(made):
    async with asyncio.timeout(5):
        return await made


class FromGenerator:
    def __init__(self, made):
        self.made = made

    def __await__(self):
        return (yield from self.made.__await__())


@pytest.mark.parametrize("way", WAYS)
def test_A2_every_way_of_awaiting(arun, call, way):
    async def main():
        assert await WAYS[way](await call(1)) == 1

    arun(main())


def test_A2_asyncio_run_and_runners():
    assert asyncio.run(echo(10)) == 10
    assert asyncio.run(echo(10)) == 10
    with asyncio.Runner() as runner:
        assert runner.run(echo(11)) == 11
        assert runner.get_loop().run_until_complete(echo(11)) == 11


def test_A2_run_coroutine_threadsafe(arun, call):
    async def main():
        loop = asyncio.get_running_loop()
        made = await call(1)
        future = await asyncio.to_thread(asyncio.run_coroutine_threadsafe, made, loop)
        assert isinstance(future, concurrent.futures.Future)
        assert await asyncio.wrap_future(future) == 1

    arun(main())


def anyio_takes_coroutines():
    anyio = pytest.importorskip("anyio")
    version = __import__("importlib.metadata").metadata.version("anyio")
    if tuple(map(int, version.split(".")[:2])) < (4, 14):
        pytest.skip("anyio before 4.14 demands types.CoroutineType")
    return anyio


def test_A2_anyio():
    anyio = anyio_takes_coroutines()
    source = Source()

    @cached
    async def f(x):
        return await source.load(x)

    async def main():
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(f, 1)
        with anyio.fail_after(5):
            return await f(1)

    assert anyio.run(main) == ["value of", 1]
    assert anyio.run(f, 1) == ["value of", 1]
    assert source.runs == [1]


def test_A2_anyio_cancellation():
    anyio = anyio_takes_coroutines()
    source = Source(held=True)

    @cached
    async def f(x):
        return await source.load(x)

    async def main():
        async with anyio.create_task_group() as group:
            group.start_soon(f, 1)
            await settle()
            group.cancel_scope.cancel()

    anyio.run(main)
    assert source.cancelled == [1]


def test_A2_a_hit_is_decided_when_the_function_is_called(run, deco):
    source = Source()
    f = deco()(source.load)

    async def main():
        value = await f(1)
        hit = f(1)
        f.cache_clear()
        assert await hit is value
        assert source.runs == [1]
        assert await f(1) is not value

    run(main())


def test_A2_a_miss_looks_again_at_its_first_step(run, deco):
    source = Source()
    f = deco()(source.load)

    async def main():
        early = f(1)
        value = await f(1)
        assert await early is value

    run(main())
    assert source.runs == [1]


def test_A2_a_miss_starts_nothing_before_its_first_step(run, deco):
    source = Source()
    f = deco()(source.load)

    async def main():
        call = f(1)
        await settle()
        assert source.runs == []
        assert f.cache_info()[:2] == (0, 0)
        await call
        assert source.runs == [1]

    run(main())


def test_A2_a_hit_needs_no_step_of_the_loop(run, deco):
    f = deco()(Source().load)

    async def main():
        value = await f(1)
        with pytest.raises(StopIteration) as stop:
            f(1).send(None)
        assert stop.value.value is value
        with pytest.raises(StopIteration) as stop:
            next(f(1).__await__())
        assert stop.value.value is value

    run(main())


def test_A2_results_stay_with_the_exceptions_that_carried_them(run, either):
    """Whoever keeps a StopIteration, a tracer for one, never sees another call's value in it."""

    @either()
    async def f(x):
        return "value", x

    async def main():
        for x in range(20):
            await f(x)
        kept = []
        for x in range(20):
            with pytest.raises(StopIteration) as stop:
                f(x).send(None)
            kept.append(stop.value)
        assert [stop.value for stop in kept] == [("value", x) for x in range(20)]

    run(main())


def test_A2_results_are_right_under_a_tracer(run, either):
    kept = []

    @either()
    async def f(x):
        return "value", x

    def tracer(frame, event, argument):
        if event == "exception":
            kept.append(argument[1])
        return tracer

    async def main():
        previous = sys.gettrace()
        for x in range(20):
            await f(x)
        sys.settrace(tracer)
        try:
            results = [await f(x) for x in range(20)]
        finally:
            sys.settrace(previous)
        assert results == [("value", x) for x in range(20)]

    run(main())


def test_A2_a_hit_inside_an_except_block_keeps_the_handled_exception(run, either):
    f = either()(Source().load)

    async def main():
        await f(1)
        try:
            raise KeyError("handled")
        except KeyError as handled:
            await f(1)
            assert sys.exc_info()[1] is handled
            assert handled.__context__ is None
        assert [x async for x in values(f)] == [["value of", 1]] * 3

    async def values(f):
        for _ in range(3):
            yield await f(1)

    run(main())


@pytest.mark.parametrize("bound", [False, True])
def test_A2_a_dropped_miss_warns_that_it_was_never_awaited(run, bound):
    function = Service().load if bound else cached(Source().load)

    async def main():
        with pytest.warns(RuntimeWarning, match=r"coroutine '.*load' was never awaited"):
            function(77)
            gc.collect()
        assert function.cache_info()[:2] == (0, 0)

    run(main())


def test_A2_a_closed_miss_does_not_warn(run):
    f = cached(Source().load)

    async def main():
        call = f(1)
        call.close()
        call.close()
        del call
        gc.collect()
        assert isinstance(await outcome(f(2)), list)

    run(main())
    assert f.cache_info()[:2] == (0, 1)


def test_A2_a_second_await_is_a_runtime_error(arun, call):
    async def main():
        made = await call(1)
        assert await made == 1
        for _ in range(2):
            with pytest.raises(RuntimeError, match="await"):
                await made
        with pytest.raises(RuntimeError):
            made.send(None)

    arun(main())


def test_A2_a_second_await_after_an_error_or_close_is_a_runtime_error(arun):
    source = Source()
    source.error = KeyError("failed")
    f = cached(source.load)

    async def main():
        made = f(1)
        assert isinstance(await outcome(made), KeyError)
        with pytest.raises(RuntimeError):
            await made
        closed = f(2)
        closed.close()
        with pytest.raises(RuntimeError):
            await closed

    arun(main())
    assert source.runs == [1]


def test_A2_two_tasks_cannot_await_one_call(arun):
    source = Source(held=True)
    f = cached(source.load)

    async def main():
        made = f(1)
        first = asyncio.create_task(made)
        await settle()
        with pytest.raises(RuntimeError):
            await made
        source.gate.set()
        assert await first == ["value of", 1]

    arun(main())
    assert source.runs == [1]


def test_A2_throwing_into_a_call(run):
    source = Source(held=True)
    f = cached(source.load)

    async def main():
        fresh = f(1)
        with pytest.raises(KeyError, match="thrown"):
            fresh.throw(KeyError("thrown"))
        assert source.runs == []
        suspended = f(1)
        suspended.send(None)
        await settle()
        with pytest.raises(KeyError, match="thrown"):
            suspended.throw(KeyError("thrown"))
        await settle()

    run(main())
    assert source.runs == source.cancelled == [1]


WRONG = [
    ((), {}),
    ((1, 2, 3), {}),
    ((1, 2), {"a": 3}),
    ((), {"b": 3}),
    ((1,), {"unknown": 3}),
    ((1,), {"b": 2, "c": 3, "unknown": 4}),
    ((1, 2), {"b": 3}),
]


@pytest.mark.parametrize(("args", "kwargs"), WRONG)
def test_A2_wrong_arguments_are_pythons_own_type_error_at_the_call(args, kwargs):
    @cached
    async def f(a, b=1, *, c=2):
        return a

    with pytest.raises(TypeError) as expected:
        f.__wrapped__(*args, **kwargs)
    with pytest.raises(TypeError) as got:
        f(*args, **kwargs)
    assert str(got.value) == str(expected.value)
    assert f.cache_info()[:2] == (0, 0)


def test_A2_wrong_arguments_of_other_kinds_of_parameters():
    @cached
    async def positional_only(a, /, b):
        return a

    @cached
    async def required_keyword(a, *rest, key):
        return a

    for f, args, kwargs in [(positional_only, (), {"a": 1, "b": 2}), (required_keyword, (1, 2), {})]:
        with pytest.raises(TypeError) as expected:
            f.__wrapped__(*args, **kwargs)
        with pytest.raises(TypeError) as got:
            f(*args, **kwargs)
        assert str(got.value) == str(expected.value)


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, 2), {}), ((1,), {"unknown": 2})])
def test_A2_wrong_arguments_of_methods(args, kwargs):
    service = Service()
    with pytest.raises(TypeError) as expected:
        Service.load.__wrapped__(service, *args, **kwargs)
    with pytest.raises(TypeError) as got:
        service.load(*args, **kwargs)
    assert str(got.value) == str(expected.value)


def test_A2_debug_mode_can_print_tasks(call):
    async def main():
        task = asyncio.create_task(await call(1))
        assert repr(task).startswith("<Task pending")
        assert await task == 1

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main(), debug=True)


def test_A2_no_running_loop_is_an_error_that_says_what_to_do():
    """Driven by hand, as trio and curio drive coroutines."""
    source = Source()
    f = cached(source.load)
    with pytest.raises(RuntimeError, match="asyncio"):
        f(1).send(None)
    assert source.runs == []
    assert asyncio.run(f(1)) == ["value of", 1]


def test_A2_under_trio_a_miss_is_an_error_that_says_what_to_do():
    trio = pytest.importorskip("trio")
    source = Source()
    f = cached(source.load)
    with pytest.raises(RuntimeError, match="asyncio"):
        trio.run(f, 1)
    assert source.runs == []
