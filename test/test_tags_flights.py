"""Rule R6: tags and loads: those under way, those asked for by hand, and those of other loops and threads."""

import asyncio
import gc
import threading
import weakref

import pytest
from support import Loads, begun, outcome, settle, tagged

from aiocachetools import _core, cached, invalidate_tag

# Tags and loads under way


@pytest.mark.parametrize("tags", ["a", lambda key: "a"])
def test_R6_F4_an_invalidation_during_a_load_wins(run, upstream, tags):
    async def main():
        f = tagged(upstream, tags=tags)
        gate = upstream.hold()
        first = [asyncio.ensure_future(f(1)) for _ in range(3)]
        await settle()
        invalidate_tag("a")
        second = await begun(f(1))
        assert upstream.loads == [1, 1]
        gate.set()
        assert await asyncio.gather(*first, second) == [1, 1, 1, 2]
        assert await f(1) == 2

    run(main())


def test_R6_F4_an_invalidation_during_a_load_whose_tags_come_from_the_value_keeps_it_from_being_stored(
    run, upstream
):
    async def main():
        f = tagged(upstream, tags=lambda key, *, value: f"number:{value}")
        gate = upstream.hold()
        calls = [asyncio.ensure_future(f(key)) for key in (1, 2)]
        await settle()
        invalidate_tag("number:2")
        # Nobody can know yet that it is concerned: it is joined.
        calls.append(asyncio.ensure_future(f(2)))
        await settle()
        gate.set()
        assert await asyncio.gather(*calls) == [1, 2, 2]
        assert [f.cache_contains(key) for key in (1, 2)] == [True, False]
        assert await f(2) == 3
        assert f.cache_contains(2)

    run(main())


@pytest.mark.parametrize("tags", ["a", lambda key: "a", lambda key, *, value: "a"])
def test_R6_an_invalidation_while_the_value_is_being_stored_wins(run, upstream, tags):
    async def main():
        def ttl(value):
            invalidate_tag("a")
            return 60

        f = tagged(upstream, tags=tags, ttl=ttl)
        assert await f(1) == 1
        assert not f.cache_contains(1)

    run(main())


@pytest.mark.parametrize("names", ["a", ()])
def test_R6_F1_a_tags_function_that_starts_the_same_load_joins_it(run, upstream, names):
    """The user's function may run anything, such as the first step of the same call."""

    async def main():
        started = []

        def tags(key):
            if not started:
                started.append(f(key))
                started[0].send(None)
            return names

        f = tagged(upstream, tags=tags)
        gate = upstream.hold()
        call = await begun(f(1))
        gate.set()
        assert await call == 1
        assert upstream.loads == [1]
        started[0].close()

    run(main())


def test_R6_F2_an_abandoned_load_leaves_nothing_behind(run, upstream):
    async def main():
        f = tagged(upstream, tags=lambda key, *, value: "a")
        upstream.hold()
        call = await begun(f(1))
        call.cancel()
        assert isinstance(await outcome(call), asyncio.CancelledError)

    run(main())
    for number in range(3000):
        invalidate_tag(f"after an abandoned load {number}")
    assert _core._known_tags() < 1000


def test_R6_cache_close_and_invalidation_of_the_key_itself_go_together(run, upstream):
    async def main():
        f = tagged(upstream)
        gate = upstream.hold()
        call = await begun(f(1))
        f.cache_invalidate(1)
        invalidate_tag("all")
        gate.set()
        assert await call == 1
        assert not f.cache_contains(1)

    run(main())


# By hand


@pytest.mark.parametrize("tags", ["all", lambda key: "all", lambda key, *, value: f"{value}"])
def test_R6_what_cache_set_stores_has_tags(run, upstream, tags):
    async def main():
        f = tagged(upstream, tags=tags)
        assert f.cache_set("all", 1)
        assert await f(1) == "all"
        invalidate_tag("all")
        assert not f.cache_contains(1)
        assert await f(1) == 1
        invalidate_tag("all")
        assert f.cache_set("all", 1)
        assert f.cache_contains(1)

    run(main())


def test_R6_cache_set_during_a_load_is_invalidated_like_any_value(run, upstream):
    async def main():
        f = tagged(upstream)
        gate = upstream.hold()
        call = await begun(f(1))
        f.cache_set("by hand", 1)
        gate.set()
        assert await call == 1
        assert await f(1) == "by hand"
        invalidate_tag("all")
        assert not f.cache_contains(1)

    run(main())


def test_R6_cache_refresh_joins_no_load_from_before_the_invalidation(run, upstream):
    async def main():
        f = tagged(upstream)
        gate = upstream.hold()
        before = await begun(f.cache_refresh(1))
        invalidate_tag("all")
        after = await begun(f.cache_refresh(1))
        assert len(upstream.loads) == 2
        gate.set()
        assert await asyncio.gather(before, after) == [1, 2]
        assert await f(1) == 2

    run(main())


# Loops, threads, memory


def test_R6_F7_an_invalidation_reaches_loads_of_other_loops_and_threads():
    loads = Loads(cached(maxsize=100, tags="all"))
    loops = [asyncio.new_event_loop() for _ in range(2)]
    try:
        calls = [loop.run_until_complete(loads.start())[0] for loop in loops]
        thread = threading.Thread(target=invalidate_tag, args=("all",))
        thread.start()
        thread.join()
        for number, (loop, call) in enumerate(zip(loops, calls, strict=True)):
            loads.ends[number].set_result(number)
            assert loop.run_until_complete(call) == number
            assert not loads.f.cache_contains(1)
    finally:
        for loop in loops:
            loop.close()


def test_R6_F7_threads_never_read_a_value_from_before_their_invalidation():
    """Each thread writes a source, invalidates, and reads: it must never see less than it wrote."""
    source = dict.fromkeys(range(4), 0)

    @cached(maxsize=100, tags=lambda number: f"thread:{number}")
    async def read(number):
        return source[number]

    async def work(number):
        for turn in range(1, 100):
            source[number] = turn
            invalidate_tag(f"thread:{number}")
            assert await read(number) == turn
            await read((number + 1) % 4)

    errors = []

    def main(number):
        try:
            asyncio.run(work(number))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=main, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_R6_names_are_forgotten_with_the_entries_that_have_them(run):
    async def main():
        @cached(maxsize=10, tags=lambda x: [f"forgotten:{x}"])
        async def f(x):
            return x

        gc.collect()
        for x in range(5000):
            await f(x)
            invalidate_tag(f"forgotten:{x}")
            invalidate_tag(f"never used:{x}")
        assert _core._known_tags() < 1000

    run(main())


def test_R6_a_load_whose_tags_come_late_remembers_a_bounded_number_of_invalidations(run, upstream):
    async def main():
        f = tagged(upstream, tags=lambda key, *, value: "late")
        gate = upstream.hold()
        call = await begun(f(1))
        for number in range(20_000):
            invalidate_tag(f"meanwhile:{number}")
        assert _core._known_tags() < 20_000
        gate.set()
        assert await call == 1
        # It may have been among those that were forgotten.
        assert not f.cache_contains(1)
        assert await f(1) == 2
        assert f.cache_contains(1)

    run(main())
    for number in range(3000):
        invalidate_tag(f"afterwards:{number}")
    assert _core._known_tags() < 10_000


def test_R6_a_tags_function_and_what_it_was_called_with_can_be_collected(run, upstream):
    class Argument:
        pass

    async def main():
        argument = Argument()
        f = cached(tags=lambda key: f and "a")(upstream.__call__)
        argument.f, reference = f, weakref.ref(argument)
        await f(argument)
        return reference

    reference = run(main())
    upstream.loads.clear()
    gc.collect()
    assert reference() is None
