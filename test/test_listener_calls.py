"""Rule O3: what a listener does harms nothing, and it may use what it is told of."""

import asyncio
import gc
import sys
import weakref

import pytest
from support import Source, outcome, settle

from aiocachetools import cached, cached_many


@pytest.fixture
def unraisable(monkeypatch):
    raised = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: raised.append((args.exc_value, args.object)))
    return raised


def test_O3_what_it_raises_harms_nothing(run, deco, unraisable):
    error = RuntimeError("the listener's own")

    def listener(event):
        raise error

    source = Source()
    f = deco(listener=listener)(source.load)

    async def main():
        assert await asyncio.gather(f(1), f(1)) == [["value of", 1]] * 2
        assert await f(1) == ["value of", 1]
        assert f.cache_invalidate(1)

    run(main())
    assert source.runs == [1]
    assert unraisable == [(error, listener)] * 5


def test_O3_it_may_use_the_cache(run, deco):
    """Whatever it does, calls return what was loaded."""
    acting = False

    def listener(event):
        nonlocal acting
        if not acting:
            acting = True
            for act in (
                lambda: f.cache_contains(event.key[0]),
                lambda: f.cache.pop(f.cache_key(2), None),
                lambda: f.cache_invalidate(event.key[0]),
                lambda: f.cache_info(),
                f.cache_clear,
            ):
                act()
            acting = False

    @deco(listener=listener)
    async def f(x):
        await asyncio.sleep(0)
        return x

    async def main():
        for n in range(30):
            assert await f(n % 4) == n % 4
            assert await asyncio.gather(f(7), f(n % 5), f(7)) == [7, n % 5, 7]

    run(main())


def step_of(make_call, events):
    """A listener that steps another call once, in the midst of the events of these names."""

    def listener(event):
        seen.append(event.name)
        if event.name in events and len(seen) < 20:
            call = make_call()
            try:
                call.send(None)
            except StopIteration:
                pass
            else:
                call.close()

    seen = []
    return listener, seen


def test_O3_a_call_that_it_makes_at_a_miss_joins_the_load(run, either):
    """Telling before the load is listed would start a second one."""
    listener, seen = step_of(lambda: f(1), {"miss"})
    source = Source()
    f = either(listener=listener)(source.load)
    assert run(f(1)) == ["value of", 1]
    assert source.runs == [1]
    assert seen == ["miss", "join", "store"]


def test_O3_a_call_that_it_makes_at_a_miss_of_several_keys_joins_the_load(run):
    listener, _ = step_of(lambda: find([1, 2]), {"miss"})
    loads = []

    @cached_many(maxsize=10, listener=listener)
    async def find(numbers):
        loads.append(numbers)
        return {number: -number for number in numbers}

    assert run(find([1, 2, 3])) == {1: -1, 2: -2, 3: -3}
    assert sorted(key for keys in loads for key in keys) == [1, 2, 3]


@pytest.mark.parametrize("event", ["hit", "join", "store", "load_error", "evict", "invalidate"])
def test_O3_it_may_call_the_function(run, event):
    listener, seen = step_of(lambda: f(event), {event})
    source = Source(held=True)
    f = cached(maxsize=1, listener=listener)(source.load)

    async def main():
        tasks = [asyncio.create_task(f(1)) for _ in range(2)]
        await settle()
        source.gate.set()
        assert await asyncio.gather(*tasks) == [["value of", 1]] * 2
        assert await f(1) == ["value of", 1]
        assert await f(2) == ["value of", 2]
        f.cache_invalidate(2)
        source.error = LookupError("none")
        assert await outcome(f(3)) is source.error
        await settle()

    run(main(), quiet=False)
    assert event in seen


def test_O3_it_is_collected_with_its_function(run):
    def use():
        def listener(event):
            told.append(f.cache_info())

        told = []
        f = cached(listener=listener)(Source().load)
        run(f(1))
        assert len(told) == 2
        return weakref.ref(listener), weakref.ref(f)

    gone = use()
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
