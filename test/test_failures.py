"""Rule F3: loads that fail, or are cancelled from inside."""

import asyncio
import gc
import traceback
import warnings

import pytest
from support import QuietLoop, Source, outcome, settle

from aiocachetools import cached

CancelledError = asyncio.CancelledError


class Broken(Exception):
    pass


def test_F3_an_exception_reaches_every_waiter_and_is_not_cached(arun, deco):
    source = Source(held=True)
    f = deco()(source.load)

    async def main():
        tasks = [asyncio.create_task(f(1)) for _ in range(100)]
        await settle()
        source.error = Broken("first")
        source.gate.set()
        assert all(task.exception() is source.error for task in await done(tasks))
        assert len(f.cache) == 0
        assert f.cache_contains(1) is False
        source.error = None
        assert await f(1) == ["value of", 1]

    arun(main())
    assert source.runs == [1, 1]
    assert f.cache_info()[:2] == (99, 2)


async def done(tasks):
    await asyncio.wait(tasks)
    return tasks


def test_F3_a_failed_load_leaves_other_entries_alone(arun, deco):
    source = Source()
    f = deco()(source.load)

    async def main():
        await f(1)
        kept = dict(f.cache.items())
        source.error = Broken()
        for key in (2, 3, 2):
            with pytest.raises(Broken):
                await f(key)
        assert dict(f.cache.items()) == kept

    arun(main())
    assert source.runs == [1, 2, 3, 2]


def test_F3_an_error_before_the_first_suspension(arun, deco):
    @deco()
    async def f(x):
        raise Broken(x)

    async def main():
        results = await asyncio.gather(*(f(n % 2) for n in range(10)), return_exceptions=True)
        assert [error.args for error in results] == [(0,), (1,)] * 5

    arun(main())


def test_F3_tracebacks_start_at_the_load_and_do_not_grow(arun, deco):
    source = Source(held=True)
    source.error = Broken()
    f = deco()(source.load)
    lengths = []

    async def waiter():
        try:
            await f(1)
        except Broken as error:
            names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
            assert names[0] == "waiter"
            assert names[-1] == "load"
            lengths.append(len(names))

    async def main():
        tasks = [asyncio.create_task(waiter()) for _ in range(1000)]
        await settle()
        source.gate.set()
        await asyncio.gather(*tasks)

    arun(main())
    assert len(lengths) == 1000
    assert max(lengths) == min(lengths)
    assert max(lengths) <= 10


def test_F3_waiters_may_chain_what_they_got(arun):
    source = Source(held=True)
    source.error = Broken()
    f = cached(source.load)

    async def waiter(number):
        try:
            await f(1)
        except Broken as error:
            raise RuntimeError(number) from error

    async def main():
        tasks = [asyncio.create_task(waiter(n)) for n in range(20)]
        await settle()
        source.gate.set()
        for number, task in enumerate(await done(tasks)):
            assert task.exception().args == (number,)
            assert task.exception().__cause__ is source.error

    arun(main())
    assert source.error.__cause__ is None
    assert source.error.__context__ is None


def test_F3_cause_and_notes_stay(arun, deco):
    @deco()
    async def f(x):
        error = Broken("outer")
        error.add_note("a note")
        raise error from KeyError("inner")

    async def main():
        for error in await asyncio.gather(f(1), f(1), return_exceptions=True):
            assert isinstance(error.__cause__, KeyError)
            assert error.__notes__ == ["a note"]

    arun(main())


def test_F3_nothing_is_reported_when_all_have_left(arun, deco):
    """The load fails while it is being cancelled: nobody is there to be told."""
    source = Source(held=True)

    @deco()
    async def f(x):
        try:
            return await source.load(x)
        except CancelledError:
            raise Broken("during the clean-up") from None

    async def main():
        tasks = [asyncio.create_task(f(1)) for _ in range(3)]
        await settle()
        for task in tasks:
            task.cancel()
        results = [await outcome(task) for task in tasks]
        assert all(isinstance(result, CancelledError) for result in results)
        await settle()
        gc.collect()
        await settle()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        arun(main())
    assert source.cancelled == [1]


def test_F3_nothing_is_reported_when_a_waiter_leaves_as_the_load_fails(arun):
    source = Source(held=True)
    source.error = Broken()
    f = cached(source.load)

    async def main():
        for rounds in range(6):
            source.gate.clear()
            tasks = [asyncio.create_task(f(rounds)) for _ in range(2)]
            await settle()
            source.gate.set()
            await settle(rounds)
            tasks[0].cancel()
            results = [await outcome(task) for task in tasks]
            assert isinstance(results[0], CancelledError | Broken)
            assert results[1] is source.error
        gc.collect()
        await settle()

    arun(main())


INSIDE = {
    "raised": lambda task, loop: raise_cancelled(),
    "own_task": lambda task, loop: cancel_self(task),
    "awaited_future": lambda task, loop: await_cancelled(loop),
}


async def raise_cancelled():
    raise CancelledError("from inside")


async def cancel_self(task):
    task.cancel()
    await asyncio.sleep(0)


async def await_cancelled(loop):
    future = loop.create_future()
    future.cancel()
    await future


@pytest.mark.parametrize("how", INSIDE)
def test_F3_a_load_cancelled_from_inside(arun, deco, how):
    runs = []

    @deco()
    async def f(x):
        runs.append(x)
        await asyncio.sleep(0)
        if len(runs) == 1:
            await INSIDE[how](asyncio.current_task(), asyncio.get_running_loop())
        return x

    async def main():
        tasks = [asyncio.create_task(outcome(f(1))) for _ in range(3)]
        assert all(isinstance(result, CancelledError) for result in await asyncio.gather(*tasks))
        assert len(f.cache) == 0
        assert asyncio.current_task().cancelling() == 0
        assert await f(1) == 1

    arun(main())
    assert runs == [1, 1]


def test_F3_a_load_cancelled_from_outside(arun):
    """Somebody cancels all tasks of the loop, loads included, and catches that."""
    source = Source(held=True)
    f = cached(source.load)

    async def main():
        before = asyncio.all_tasks()
        waiter = asyncio.create_task(outcome(f(1)))
        await settle()
        for task in asyncio.all_tasks() - before - {waiter}:
            task.cancel()
        assert isinstance(await asyncio.wait_for(waiter, 5), CancelledError)
        source.gate.set()
        assert await f(1) == ["value of", 1]

    arun(main())
    assert source.runs == [1, 1]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("suspended", [False, True])
def test_F3_keyboard_interrupt_and_system_exit_end_the_loop(deco, kind, suspended):
    fatal = [True]

    @deco()
    async def f(x):
        if suspended:
            await settle(2)
        if fatal:
            raise kind("now")
        return x

    async def main():
        return await asyncio.gather(f(1), f(1))

    with pytest.raises(kind, match="now"):
        QuietLoop(asyncio.new_event_loop)(main(), quiet=False)
    fatal.clear()
    assert asyncio.run(main()) == [1, 1]


def test_F3_stop_iteration_is_a_runtime_error_as_in_any_coroutine(arun, deco):
    @deco()
    async def f(x):
        raise StopIteration(x)

    async def main():
        for error in await asyncio.gather(f(1), f(1), return_exceptions=True):
            assert isinstance(error, RuntimeError)
            assert isinstance(error.__cause__, StopIteration)

    arun(main())


def test_F3_exceptions_of_every_family(arun, deco):
    class Base(BaseException):
        pass

    @deco()
    async def f(kind):
        await asyncio.sleep(0)
        raise kind

    kinds = [Base("base"), ExceptionGroup("group", [Broken(1), Broken(2)]), TimeoutError(), KeyError(1)]

    async def main():
        for kind in kinds:
            assert await asyncio.gather(outcome(f(kind)), outcome(f(kind))) == [kind, kind]

    arun(main())
