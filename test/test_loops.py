"""Rule F7: one function used from several loops, threads and processes."""

import asyncio
import gc
import sys
import threading
import weakref

import pytest
from support import Loads, Source, in_child, outcome, settle

import aiocachetools
from aiocachetools import cached

TIMEOUT = 20


class Threads:
    """Runs a function in several threads at once and hands on what they raise."""

    def __init__(self, count, target):
        self.results, self.errors = {}, []
        self.threads = [threading.Thread(target=self.call, args=(target, n)) for n in range(count)]

    def call(self, target, number):
        try:
            self.results[number] = target(number)
        except BaseException as error:
            self.errors.append(error)

    def run(self):
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join(TIMEOUT)
        assert not any(thread.is_alive() for thread in self.threads)
        assert self.errors == []
        return self.results


def test_F7_finished_values_are_shared_by_loops(deco):
    source = Source()
    f = deco()(source.load)
    value = asyncio.run(f(1))
    assert asyncio.run(f(1)) is value
    results = Threads(3, lambda _: asyncio.run(f(1))).run()
    assert all(result is value for result in results.values())
    assert source.runs == [1]


def test_F7_loops_that_take_turns_have_flights_of_their_own(deco):
    """Two loops in one thread: the second call neither joins nor disturbs the first."""
    loads = Loads(deco())
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        in_first = first.run_until_complete(loads.start(2))
        in_second = second.run_until_complete(loads.start(2))
        assert len(loads.ends) == 2
        loads.ends[1].set_result("second")
        assert second.run_until_complete(all_of(in_second)) == ["second"] * 2
        assert second.run_until_complete(loads.f(1)) == "second"
        loads.ends[0].set_result("first")
        assert set(first.run_until_complete(all_of(in_first))) <= {"first", "second"}
        assert first.run_until_complete(loads.f(1)) == "second"
        assert len(loads.ends) == 2
    finally:
        first.close()
        second.close()


async def all_of(tasks):
    return await asyncio.gather(*tasks)


def test_F7_one_load_per_loop_at_most(deco):
    """All threads are inside their loads at the same time; then one value is everybody's."""
    barrier, runs = threading.Barrier(3), []

    @deco()
    async def f(x):
        me = threading.get_ident()
        runs.append(me)
        barrier.wait(TIMEOUT)
        await asyncio.sleep(0)
        return me

    def in_thread(number):
        async def main():
            results = await asyncio.gather(*(f(1) for _ in range(50)))
            return {*results, await f(1)}

        return asyncio.run(main())

    results = Threads(3, in_thread).run()
    assert len(runs) == len(set(runs)) == 3
    stored = asyncio.run(f(1))
    assert len(runs) == 3
    for seen in results.values():
        assert stored in seen
        assert seen <= set(runs)


def test_F7_the_first_store_wins(deco):
    """A load that ends after another loop has stored leaves that value alone."""
    stored, runs = threading.Event(), []

    @deco()
    async def f(x):
        me = len(runs)
        runs.append(me)
        if me == 0:
            other.start()
            stored.wait(TIMEOUT)
            return "slow"
        return "fast"

    def in_thread():
        assert asyncio.run(f(1)) == "fast"
        stored.set()

    other = threading.Thread(target=in_thread)
    assert asyncio.run(f(1)) in ("slow", "fast")
    other.join(TIMEOUT)
    assert asyncio.run(f(1)) == "fast"
    assert runs == [0, 1]


def test_F7_threads_on_a_small_cache():
    """Hits, misses, evictions and invalidations from several threads: every answer is right."""

    @cached(maxsize=20)
    async def f(x):
        if x % 3 == 0:
            await asyncio.sleep(0)
        return x, "value"

    def in_thread(number):
        async def main():
            for n in range(1500):
                x = (n * (number + 1)) % 60
                assert await f(x) == (x, "value")
                if n % 50 == 0:
                    f.cache_invalidate(x)
                    assert await asyncio.gather(f(x), f(x + 1)) == [(x, "value"), (x + 1, "value")]
            return True

        return asyncio.run(main())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        assert set(Threads(4, in_thread).run().values()) == {True}
    finally:
        sys.setswitchinterval(interval)
    assert f.cache_info().currsize <= 20


def test_F7_the_tasks_of_a_threads_loads_are_its_loops():
    loads = []

    @cached(maxsize=None)
    async def load(thread, n):
        task = asyncio.current_task()
        loads.append(
            (task.get_loop() is asyncio.get_running_loop(), task.get_name().endswith(f"({thread}, {n})"))
        )

    async def main(thread):
        for n in range(200):
            await load(thread, n)

    threads = [threading.Thread(target=lambda i=i: asyncio.run(main(i))) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == [(True, True)] * 800


def test_F7_a_loop_is_not_kept_by_its_last_load():
    @cached
    async def load(x):
        return x

    async def main():
        await load(1)
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(main())
    gc.collect()
    assert loop() is None


def test_F7_errors_stay_in_their_loop(deco):
    source = Source()
    source.error = KeyError("failed")
    f = deco()(source.load)
    results = Threads(3, lambda _: asyncio.run(outcome(f(1)))).run()
    assert all(isinstance(result, KeyError) for result in results.values())
    source.error = None
    assert asyncio.run(f(1)) == ["value of", 1]


def abandon_a_loop(f, key):
    """Start a load on a loop that is closed in the middle of it."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)

    async def begin():
        tasks = [asyncio.ensure_future(f(key)) for _ in range(2)]
        await settle()
        return tasks

    tasks = loop.run_until_complete(begin())
    loop.close()
    return tasks


@pytest.mark.parametrize("keep", [True, False])
def test_F7_a_loop_that_died_does_not_poison_its_keys(deco, keep):
    source = Source(held=True)
    f = deco()(source.load)
    for attempt in range(1, 4):
        left = abandon_a_loop(f, 1)
        assert len(source.runs) == attempt
        if not keep:
            del left
        source.gate = asyncio.Event()
        source.gate.set()
        assert asyncio.run(asyncio.wait_for(f(1), 5)) == ["value of", 1]
        assert len(source.runs) == attempt + 1
        f.cache_clear()
        source.runs[:] = source.runs[:attempt]
        source.gate.clear()


def test_F7_a_dead_loops_flight_does_not_outlive_an_invalidation(deco):
    source = Source(held=True)
    f = deco()(source.load)
    left = abandon_a_loop(f, 1)
    assert f.cache_contains(1) is False
    assert f.cache_invalidate(1) is False
    f.cache_clear()
    source.gate = asyncio.Event()
    source.gate.set()
    assert asyncio.run(f(1)) == ["value of", 1]
    assert asyncio.run(f(1)) == ["value of", 1]
    assert source.runs == [1, 1]
    assert len(left) == 2


def test_F7_a_call_may_be_made_before_its_loop_runs(deco):
    source = Source()
    f = deco()(source.load)
    call = f(1)
    assert asyncio.run(call) == ["value of", 1]
    hit = f(1)
    assert asyncio.run(hit) == ["value of", 1]
    assert source.runs == [1]


def test_F7_fork_starts_with_no_flights():
    """The child of a process whose load is under way loads for itself, and keeps what was stored."""
    printed = in_child("""
        import asyncio, os, sys, warnings
        from aiocachetools import cached

        warnings.simplefilter("ignore", DeprecationWarning)
        runs = []

        @cached
        async def f(x):
            runs.append(x)
            if x == "held":
                await gate.wait()
            return os.getpid()

        async def in_the_child():
            assert await f("stored") == os.getppid()
            gate.set()
            results = await asyncio.gather(f("held"), f("held"))
            assert results == [os.getpid()] * 2, results

        async def main():
            global gate
            gate = asyncio.Event()
            await f("stored")
            tasks = [asyncio.create_task(f("held")) for _ in range(2)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert runs == ["stored", "held"]
            pid = os.fork()
            if pid == 0:
                try:
                    gate = asyncio.Event()
                    asyncio.run(asyncio.wait_for(in_the_child(), 10))
                    os._exit(0)
                except BaseException:
                    import traceback
                    traceback.print_exc()
                    os._exit(1)
            status = os.waitpid(pid, 0)[1]
            gate.set()
            assert await asyncio.gather(*tasks) == [os.getpid()] * 2
            return os.waitstatus_to_exitcode(status)

        print(asyncio.run(main()))
    """)
    assert printed.strip() == "0"


FORK = """
    import asyncio, os, traceback, warnings
    from aiocachetools import _core, cached, invalidate_tag
    from support import Timers, settle

    warnings.simplefilter("ignore", DeprecationWarning)

    def in_a_forked_child(main):
        pid = os.fork()
        if pid == 0:
            try:
                asyncio.run(asyncio.wait_for(main(), 60))
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


def test_F7_refreshes_of_the_parent_do_not_count_in_a_forked_child():
    printed = in_child(
        FORK
        + """
    clock, loads, held = Timers(), [], False

    @cached(maxsize=None, ttl=10, timer=clock, stale_while_revalidate=1000)
    async def f(key):
        loads.append(key)
        if held:
            await gate.wait()
        return len(loads)

    async def in_the_child():
        loads.clear()
        await f("fresh")
        await settle()
        assert loads == ["fresh"], loads

    async def main():
        global gate, held
        gate = asyncio.Event()
        for key in [*range(300), "fresh"]:
            await f(key)
        clock.now, held = 20, True
        loads.clear()
        for key in range(300):
            await f(key)
        await settle()
        assert len(loads) == 256, loads
        status = in_a_forked_child(in_the_child)
        gate.set()
        return status

    print(asyncio.run(main()))
    """
    )
    assert printed.strip() == "0"


def test_F7_no_invalidation_is_remembered_for_loads_of_the_parent_in_a_forked_child():
    printed = in_child(
        FORK
        + """
    @cached(maxsize=10, tags=lambda key, *, value: f"tag of {value}")
    async def f(key):
        await gate.wait()
        return key

    async def in_the_child():
        before = _core._known_tags()
        for number in range(100):
            invalidate_tag(f"nobody has {number}")
        assert _core._known_tags() == before, (before, _core._known_tags())

    async def main():
        global gate
        gate = asyncio.Event()
        load = asyncio.create_task(f(1))
        await settle()
        status = in_a_forked_child(in_the_child)
        gate.set()
        await load
        return status

    print(asyncio.run(main()))
    """
    )
    assert printed.strip() == "0"


def test_F7_the_native_caches_can_be_used_by_threads_directly():
    cache = aiocachetools.LRUCache(50)

    @cached(cache, key=lambda x: x)
    async def f(x):
        return x

    def in_thread(number):
        async def main():
            for n in range(1000):
                assert await f(n % 70) == n % 70
                cache.pop((n + number) % 70, None)
                cache.get(n % 70)

        asyncio.run(main())

    Threads(3, in_thread).run()
    assert len(cache) <= 50
    assert all(key == value for key, value in cache.items())
