"""The native call path where user code, closing and cancellation meet it in the middle of a step."""

import asyncio
import contextlib
import inspect
import random
import sys
import threading

import pytest
from support import Loads, called, in_child, outcome, settle

from aiocachetools import RecursiveLoadError, cached

CancelledError = asyncio.CancelledError
ENDED = {"cancel": CancelledError, "close": RuntimeError}


async def slow(x):
    await settle(2)
    return x


async def never(x):
    await asyncio.get_running_loop().create_future()


async def awaiting(awaitable):
    return await awaitable


async def ends(task):
    """The outcome of a task that must not wait forever."""
    return await asyncio.wait_for(outcome(task), 20)


@pytest.mark.parametrize("how", ["cancel", "close"])
def test_F2_a_woken_waiter_ends_another(arun, deco, how):
    """Both wait for the same load; the first to wake cancels or closes the second in that round."""
    loads = Loads(deco())

    async def first():
        value = await loads.f(1)
        getattr(second if how == "cancel" else call, how)()
        return value

    async def main():
        nonlocal call, second
        call = loads.f(1)
        task, second = asyncio.create_task(first()), asyncio.create_task(awaiting(call))
        await settle()
        loads.ends[0].set_result("value")
        assert await ends(task) == "value"
        assert isinstance(await ends(second), ENDED[how])

    call = second = None
    arun(main())
    assert len(loads.ends) == 1


class Chaos:
    """Many users of one function who cancel each other, invalidate, close and throw at random."""

    def __init__(self, deco, seed, on_abandon):
        self.dice = random.Random(seed)
        self.f = deco(on_abandon=on_abandon)(self.load)

    async def load(self, x):
        await settle(self.dice.randrange(6))
        if self.dice.random() < 0.2:
            raise ValueError(x)
        if x < 15 and self.dice.random() < 0.2:
            await self.f(x + 1)
        return x

    async def user(self):
        key, f = self.dice.randrange(12), self.f
        deeds = [
            lambda: self.dice.choice(self.tasks).cancel(),
            lambda: f.cache_invalidate(key),
            f.cache_clear,
        ]
        deeds += [lambda: f(key).close(), lambda: f(key).throw(ValueError(key)), int]
        with contextlib.suppress(ValueError):
            assert await f(key) == key
            self.dice.choices(deeds, [20, 10, 3, 3, 3, 60])[0]()

    async def round(self):
        self.tasks = [asyncio.create_task(self.user()) for _ in range(40)]
        for _ in range(8):
            await asyncio.sleep(0)
            self.dice.choice(self.tasks).cancel()
        for result in [await ends(task) for task in self.tasks]:
            assert result is None or isinstance(result, CancelledError)


@pytest.mark.parametrize("on_abandon", ["cancel", "finish"])
@pytest.mark.parametrize("seed", range(3))
def test_F2_random_disturbances_leave_nothing_behind(run, either, seed, on_abandon):
    async def main():
        chaos = Chaos(either, seed, on_abandon)
        for _ in range(8):
            await chaos.round()
        await settle(200)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())


@pytest.mark.parametrize("method", ["__init__", "done", "add_done_callback"])
def test_F1_a_broken_task_leaves_the_key_free(run, deco, method):
    def fail(self, *args, **kwargs):
        if armed:
            raise LookupError(method)
        return getattr(asyncio.Task, method)(self, *args, **kwargs)

    f, armed = deco()(slow), [True]
    broken = type("Broken", (asyncio.Task,), {method: fail})

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(lambda loop, coro, **kwargs: broken(coro, loop=loop, **kwargs))
        first = await outcome(f(1))
        loop.set_task_factory(None)
        armed.clear()
        assert isinstance(first, LookupError) or first == 1
        await settle()
        assert [await ends(f(x)) for x in (1, 2)] == [1, 2]

    run(main())


class Barging(list):
    """A lock that another thread gets first: it then does what it is told to do."""

    def __enter__(self):
        while self:
            thread = threading.Thread(target=self.pop())
            thread.start()
            thread.join(20)
            assert not thread.is_alive()

    def __exit__(self, *exc_info):
        pass


def test_F4_an_invalidation_while_the_store_waits_for_the_lock_wins(run):
    lock, cache = Barging(), {}

    @cached(cache, lock=lock)
    async def f(x):
        await settle(2)
        lock.append(lambda: f.cache_invalidate(1))
        return "old"

    assert run(f(1)) == "old"
    assert (lock, cache) == ([], {})


HOOKS = {
    "getsizeof": lambda lib, hook: lib.LRUCache(10, getsizeof=lambda value: hook() or 1),
    "ttu": lambda lib, hook: lib.TLRUCache(10, lambda key, value, now: hook() or now + 3600),
}


@pytest.mark.parametrize("hook", HOOKS)
def test_F4_an_invalidation_by_a_hook_of_the_store_wins(arun, lib, hook):
    def invalidate():
        if jobs:
            f.cache_invalidate(jobs.pop())

    jobs = [1]
    f = cached(HOOKS[hook](lib, invalidate))(slow)

    async def main():
        for stored in (False, True):
            assert await f(1) == 1
            assert f.cache_contains(1) is stored

    arun(main())
    assert jobs == []


class Key:
    """A key like all others by hash; hashes and comparisons are counted and do what they are told."""

    calls, jobs = 0, {}

    def __init__(self, value=1):
        self.value = value

    def __hash__(self):
        Key.calls += 1
        Key.jobs.pop(Key.calls, int)()
        return 7

    def __eq__(self, other):
        return bool(hash(self)) and self.value == other.value


@pytest.mark.parametrize("stored", [False, True])
def test_K4_an_exception_of_a_key_ends_the_call(run, either, stored):
    """It is raised once; the key is not asked again in the hope that it does better."""
    f = either()(slow)

    async def ask(job, n):
        f.cache_clear()
        if stored:
            await f(Key())
        Key.calls, Key.jobs = 0, {n: job}
        return type(await called(f, Key())), Key.calls

    async def main():
        kind, calls = await ask(int, 1)
        assert kind is Key
        for n in range(1, calls + 1):
            assert await ask([].pop, n) == (IndexError, n)

    run(main())


def test_a_deep_nest_of_calls_is_released_without_recursion():
    script = """
        import warnings
        from aiocachetools import cached

        @cached
        async def f(x):
            return x

        warnings.simplefilter("ignore")
        call = 0
        for _ in range(50_000):
            call = f(call)
        del call
        print("released")
    """
    assert in_child(script) == "released\n"


def test_F2_the_only_waiter_is_cancelled_while_another_caller_looks(arun, deco):
    """A comparison of keys ends the very flight that the caller is about to join."""

    async def main():
        for n in range(1, 9):
            loads = Loads(deco())
            [first] = await loads.start(key=Key())
            Key.calls, Key.jobs = 0, {n: first.cancel}
            [second] = await loads.start(key=Key())
            loads.ends[-1].set_result("value")
            assert await ends(second) == "value"
            assert first.cancelled() == (Key.calls >= n)
            await ends(first)

    arun(main())


class Late:
    """Awaits a coroutine and waits for what that waits for some rounds too late."""

    def __init__(self, coro):
        self.coro = coro

    def __await__(self):
        future = self.coro.send(None)
        yield from settle().__await__()
        future._asyncio_future_blocking = True
        yield future
        try:
            self.coro.send(None)
        except StopIteration as stop:
            return stop.value


def test_A2_a_callback_that_comes_after_the_end_is_called(arun, deco):
    f = deco()(slow)

    async def main():
        assert await ends(asyncio.create_task(awaiting(Late(f(1))))) == 1

    arun(main())


def test_A2_closing_a_call_wakes_who_waits_for_it(arun, deco):
    loads = Loads(deco())

    async def main():
        call = loads.f(1)
        task = asyncio.create_task(awaiting(call))
        [other] = await loads.start()
        call.close()
        assert isinstance(await ends(task), RuntimeError)
        loads.ends[0].set_result("value")
        assert await ends(other) == "value"

    arun(main())


@pytest.mark.parametrize("cache_closed", [False, True])
def test_F7_closing_after_the_loop_died_is_quiet(run, deco, cache_closed):
    """Of the call that was suspended in it, and of the function, whose flight is left over."""
    f, loop = deco()(never), asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    caller = awaiting(f(1))
    task = loop.create_task(caller)
    loop.run_until_complete(settle())
    loop.close()
    if cache_closed:
        run(f.cache_close())
    caller.close()
    del task


@pytest.mark.parametrize("wait", [False, True])
def test_F1_a_load_closes_its_own_cache(arun, deco, wait):
    """It neither waits for itself nor cancels itself."""

    @deco()
    async def f(x):
        await f.cache_close(wait=wait)
        await asyncio.sleep(0)
        return x

    async def main():
        assert await ends(asyncio.create_task(f(1))) == 1
        assert isinstance(await called(f, 1), RuntimeError)

    arun(main())


@pytest.mark.parametrize(
    ("operation", "arguments"), [("close", []), ("send", [None]), ("throw", [KeyError()])]
)
def test_A2_a_call_is_not_driven_during_its_first_step(run, deco, operation, arguments):
    """As of any coroutine; here the loop's task factory tries it."""
    call, errors = deco()(slow)(1), []

    def factory(loop, coro, **kwargs):
        with pytest.raises(ValueError, match="coroutine already executing") as caught:
            getattr(call, operation)(*arguments)
        errors.append(caught)
        return asyncio.Task(coro, loop=loop, **kwargs)

    async def main():
        asyncio.get_running_loop().set_task_factory(factory)
        result = await outcome(call)
        asyncio.get_running_loop().set_task_factory(None)
        assert result == 1

    run(main())
    assert len(errors) == 1


@pytest.mark.skipif(sys.version_info < (3, 12), reason="markcoroutinefunction is of Python 3.12")
def test_F6_a_wrapper_that_starts_its_task_at_the_call(run, deco):
    def wrapper(x):
        return awaiting(asyncio.ensure_future(inner(x)))

    async def inner(x):
        return await f(x)

    f = deco()(inspect.markcoroutinefunction(wrapper))

    async def main():
        assert isinstance(await ends(asyncio.create_task(f(1))), RecursiveLoadError)

    run(main())
