"""Rule N5: time as a test tells it, for every cache; and the fixture for users' own tests."""

import asyncio
import gc
import os
import subprocess
import sys
import weakref
from contextvars import ContextVar
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import in_child, settle

import aiocachetools
from aiocachetools import TLRUCache, TTLCache, cached
from aiocachetools.testing import TestClock

CLASSES = ["Cache", "FIFOCache", "LFUCache", "LRUCache", "RRCache", "TinyLFUCache"]


@pytest.fixture
def clock():
    return TestClock()


@pytest.fixture
def calls():
    return []


@pytest.mark.parametrize(
    "make",
    [
        lambda clock: TTLCache(10, 5, timer=clock),
        lambda clock: TLRUCache(10, lambda key, value, now: now + 5, timer=clock),
        lambda clock: cached(ttl=5, timer=clock)(lookup).cache,
    ],
    ids=["TTLCache", "TLRUCache", "cached"],
)
def test_N5_a_cache_goes_by_the_clock(clock, make):
    cache = make(clock)
    cache[1] = 2
    clock.advance(4)
    assert cache[1] == 2
    clock.advance(timedelta(seconds=1))
    assert 1 not in cache


@pytest.mark.parametrize("name", CLASSES)
def test_N5_a_time_of_its_own_goes_by_the_clock(clock, name):
    cache = getattr(aiocachetools, name)(10, timer=clock)
    cache.set(1, 2, ttl=5)
    clock.advance(4.5)
    assert cache[1] == 2
    clock.advance(0.5)
    assert 1 not in cache


async def lookup(x):
    return x


def test_N5_a_decorated_function_goes_by_the_clock(run, clock):
    f = cached(maxsize=10, ttl=5, timer=clock)(lookup)

    async def main():
        await f(1)
        clock.advance(4.9)
        assert f.cache_contains(1)
        clock.advance(0.1)
        assert not f.cache_contains(1)

    run(main())


def test_N5_it_begins_where_it_is_told():
    clock = TestClock(100)
    clock.advance(0.5)
    assert clock() == 100.5
    assert repr(clock) == "<TestClock at 100.5 s>"


@pytest.mark.parametrize(
    ("by", "error"),
    [
        (-1, ValueError),
        (float("nan"), ValueError),
        (timedelta(-1), ValueError),
        ("1", TypeError),
        (True, TypeError),
    ],
)
def test_N5_time_does_not_go_back(clock, by, error):
    with pytest.raises(error, match=r"TestClock\.advance\(\): by must be a number of seconds"):
        clock.advance(by)
    with pytest.raises(error, match=r"TestClock\.call_later\(\): delay must be a number of seconds"):
        clock.call_later(by, print)
    assert clock() == 0


def test_N5_calls_are_made_in_order_of_time(clock, calls):
    for delay, name in ((3, "c"), (1, "a"), (2, "b"), (1, "a too")):
        clock.call_later(delay, lambda name: calls.append((name, clock())), name)
    clock.advance(2)
    assert calls == [("a", 1), ("a too", 1), ("b", 2)]
    clock.advance(timedelta(seconds=5))
    assert calls[3:] == [("c", 3)]
    assert clock() == 7


@given(delays=st.lists(st.floats(0, 10)), steps=st.lists(st.floats(0, 5)))
def test_N5_any_calls_are_made_in_order_of_time(delays, steps):
    clock, made = TestClock(), []
    for number, delay in enumerate(delays):
        clock.call_later(delay, lambda *call: made.append((*call, clock())), delay, number)
    for step in (*steps, 0):
        clock.advance(step)
    due = sorted((delay, number) for number, delay in enumerate(delays) if delay <= clock())
    assert made == [(delay, number, delay) for delay, number in due]


def test_N5_a_call_may_ask_for_another(clock, calls):
    def tick():
        calls.append(clock())
        clock.call_later(2, tick)

    clock.call_later(2, tick)
    clock.advance(7)
    assert calls == [2, 4, 6]


def test_N5_a_call_may_advance_the_clock(clock, calls):
    clock.call_later(1, clock.advance, 5)
    clock.call_later(2, lambda: calls.append(clock()))
    clock.advance(3)
    assert calls == [2]
    assert clock() == 6


def test_N5_a_cancelled_call_is_not_made(clock, calls):
    made, cancelled, late = (clock.call_later(delay, calls.append, delay) for delay in (1, 2, 3))
    clock.call_later(1, cancelled.cancel)
    clock.advance(2)
    late.cancel()
    made.cancel()
    clock.advance(2)
    assert calls == [1]
    assert [handle.cancelled() for handle in (made, cancelled, late)] == [False, True, True]
    assert [handle.when() for handle in (made, cancelled, late)] == [1, 2, 3]


def test_N5_what_a_call_raises_ends_the_advance_there(clock, calls):
    def fail():
        raise LookupError("none")

    clock.call_later(1, fail)
    clock.call_later(2, calls.append, "after")
    with pytest.raises(LookupError, match="none"):
        clock.advance(5)
    assert (clock(), calls) == (1, [])
    clock.advance(1)
    assert (clock(), calls) == (2, ["after"])


def test_N5_a_call_is_made_in_the_context_that_asked_for_it(clock, calls):
    variable = ContextVar("variable", default="none")
    variable.set("asked")
    clock.call_later(1, lambda: calls.append(variable.get()))
    variable.set("changed")
    clock.advance(1)
    assert calls == ["asked"]


def test_N5_neither_a_made_nor_a_cancelled_call_is_kept(clock):
    class Callback:
        def __call__(self):
            pass

    callbacks = [Callback(), Callback()]
    gone = [weakref.ref(callback) for callback in callbacks]
    handles = [clock.call_later(1, callback) for callback in callbacks]
    del callbacks
    handles[0].cancel()
    clock.advance(1)
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_N5_sleep_waits_by_the_clock(run, clock, calls):
    async def sleeper(seconds):
        await clock.sleep(seconds)
        calls.append((seconds, clock()))

    async def main():
        tasks = [asyncio.create_task(sleeper(seconds)) for seconds in (2, 1, 9)]
        await settle()
        clock.advance(1.5)
        await settle()
        assert calls == [(1, 1.5)]
        tasks[2].cancel()
        await settle()
        assert tasks[2].cancelled()
        clock.advance(100)
        await tasks[0]
        assert calls == [(1, 1.5), (2, 101.5)]

    run(main())


def test_N5_elapse_lets_coroutines_run_at_every_step(run, clock, calls):
    @cached(maxsize=10)
    async def load(x):
        for _ in range(3):
            await clock.sleep(1)
            calls.append(clock())
        return x

    async def main():
        task = asyncio.create_task(load(1))
        await clock.elapse(timedelta(seconds=2.5))
        assert (calls, clock(), task.done()) == ([1, 2], 2.5, False)
        await clock.elapse(0.5)
        assert (calls, clock(), task.done()) == ([1, 2, 3], 3, True)
        with pytest.raises(ValueError, match=r"TestClock\.elapse\(\): by must be a number of seconds"):
            await clock.elapse(-1)

    run(main())


# The fixture

TESTS = """
    import pytest
    from aiocachetools import TTLCache
    from aiocachetools.testing import TestClock

    def test_expiry(cache_clock):
        assert isinstance(cache_clock, TestClock)
        cache = TTLCache(10, 60, timer=cache_clock)
        cache["key"] = "value"
        cache_clock.advance(60)
        assert "key" not in cache

    def test_each_test_has_a_clock_of_its_own(cache_clock):
        assert cache_clock() == 0
"""


def test_N5_the_fixture_in_a_project_of_its_own(tmp_path):
    """The class is not collected, and nothing warns, whatever was imported first."""
    plugin = "from aiocachetools.testing import TestClock\npytest_plugins = ['aiocachetools.testing']\n"
    (tmp_path / "conftest.py").write_text(plugin)
    (tmp_path / "test_it.py").write_text("\n".join(line[4:] for line in TESTS.splitlines()))
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(tmp_path)]
    path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=os.environ | path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert "warning" not in done.stdout


def test_N5_the_clock_needs_no_pytest():
    script = """
        import sys
        sys.modules["pytest"] = None
        from aiocachetools import testing
        print(testing.TestClock()(), hasattr(testing, "cache_clock"))
    """
    assert in_child(script).split() == ["0.0", "False"]
