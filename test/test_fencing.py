"""Rule F4: what is done to a key while its load runs wins over that load."""

import asyncio
import contextlib

import cachetools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import Clock, Loads, QuietLoop, Source, outcome, settle

import aiocachetools
from aiocachetools import cached, cachedmethod

NATIVE = {
    "Cache": lambda: aiocachetools.Cache(20),
    "LRUCache": lambda: aiocachetools.LRUCache(20),
    "LFUCache": lambda: aiocachetools.LFUCache(20),
    "FIFOCache": lambda: aiocachetools.FIFOCache(20),
    "RRCache": lambda: aiocachetools.RRCache(20),
    "TTLCache": lambda: aiocachetools.TTLCache(20, 60),
    "TLRUCache": lambda: aiocachetools.TLRUCache(20, lambda key, value, now: now + 60),
}
FOREIGN = {"dict": dict, "cachetools": lambda: cachetools.TTLCache(20, 60)}
EVERY = {**NATIVE, **FOREIGN}


def delete(cache, key):
    with contextlib.suppress(KeyError):
        del cache[key]


def pop(cache, key):
    with contextlib.suppress(KeyError):
        cache.pop(key)


REMOVALS = {
    "del": delete,
    "pop": pop,
    "pop_with_default": lambda cache, key: cache.pop(key, None),
    "clear": lambda cache, key: cache.clear(),
}
STORES = {
    "setitem": lambda cache, key: cache.__setitem__(key, "explicit"),
    "update": lambda cache, key: cache.update({key: "explicit"}),
    "setdefault": lambda cache, key: cache.setdefault(key, "explicit"),
}
METHODS = {
    "cache_invalidate": lambda f: f.cache_invalidate(1),
    "cache_invalidate_by_keyword": lambda f: f.cache_invalidate(x=1),
    "cache_clear": lambda f: f.cache_clear(),
}
WAYS = [(cache, way) for cache in NATIVE for way in [*REMOVALS, *METHODS]]
WAYS += [(cache, way) for cache in FOREIGN for way in METHODS]


def remove(f, way):
    """Take key 1 out, in one of the ways."""
    if way in METHODS:
        METHODS[way](f)
    else:
        REMOVALS[way](f.cache, f.cache_key(1))


@pytest.mark.parametrize(("cache", "way"), WAYS)
def test_F4_a_removal_during_a_load_wins(run, cache, way):
    loads = Loads(cached(EVERY[cache]()))

    async def main():
        old = await loads.start(3)
        remove(loads.f, way)
        loads.ends[0].set_result("old")
        assert await asyncio.gather(*old) == ["old"] * 3
        assert len(loads.f.cache) == 0
        new = await loads.start(2)
        assert len(loads.ends) == 2
        loads.ends[1].set_result("new")
        assert await asyncio.gather(*new) == ["new"] * 2
        assert await loads.f(1) == "new"

    run(main())


@pytest.mark.parametrize(("cache", "way"), WAYS)
@pytest.mark.parametrize("end", ["value", "error", "cancelled", "abandoned"])
def test_F4_an_old_load_only_removes_its_own_flight(run, cache, way, end):
    loads = Loads(cached(EVERY[cache]()))

    async def main():
        old = await loads.start(2)
        remove(loads.f, way)
        new = await loads.start(2)
        finish(loads.ends[0], old, end)
        await asyncio.wait(old)
        late = await loads.start(2)
        assert len(loads.ends) == 2
        loads.ends[1].set_result("new")
        assert await asyncio.gather(*new, *late) == ["new"] * 4
        assert await loads.f(1) == "new"
        assert len(loads.ends) == 2
        await asyncio.gather(*old, return_exceptions=True)

    run(main())


def finish(future, callers, how):
    """End a load in one of the ways in which loads end."""
    if how == "value":
        future.set_result("old")
    elif how == "error":
        future.set_exception(KeyError("old"))
    elif how == "cancelled":
        future.cancel()
    else:
        for caller in callers:
            caller.cancel()


@pytest.mark.parametrize(("cache", "way"), WAYS)
def test_F4_an_old_load_that_ends_last_stores_nothing(run, cache, way):
    loads = Loads(cached(EVERY[cache]()))

    async def main():
        old = await loads.start()
        remove(loads.f, way)
        new = await loads.start()
        loads.ends[1].set_result("new")
        assert await new[0] == "new"
        loads.ends[0].set_result("old")
        assert await old[0] == "old"
        assert await loads.f(1) == "new"
        assert len(loads.ends) == 2

    run(main())


@pytest.mark.parametrize("cache", NATIVE)
@pytest.mark.parametrize("way", STORES)
def test_F4_an_explicit_store_during_a_load_wins(run, cache, way):
    loads = Loads(cached(NATIVE[cache]()))

    async def main():
        waiting = await loads.start(2)
        STORES[way](loads.f.cache, loads.f.cache_key(1))
        assert await loads.f(1) == "explicit"
        loads.ends[0].set_result("loaded")
        assert await asyncio.gather(*waiting) == ["loaded"] * 2
        assert await loads.f(1) == "explicit"
        assert len(loads.ends) == 1

    run(main())


@pytest.mark.parametrize("cache", NATIVE)
def test_F4_popitem_of_an_explicitly_stored_key(run, cache):
    loads = Loads(cached(NATIVE[cache]()))

    async def main():
        waiting = await loads.start()
        loads.f.cache[loads.f.cache_key(1)] = "explicit"
        assert loads.f.cache.popitem() == (loads.f.cache_key(1), "explicit")
        loads.ends[0].set_result("loaded")
        assert await waiting[0] == "loaded"
        assert len(loads.f.cache) == 0

    run(main())


@pytest.mark.parametrize("cache", NATIVE)
@pytest.mark.parametrize("way", [*(set(REMOVALS) - {"clear"}), *STORES])
def test_F4_other_keys_are_not_fenced(run, cache, way):
    loads = Loads(cached(NATIVE[cache]()))

    async def main():
        waiting = await loads.start()
        {**REMOVALS, **STORES}[way](loads.f.cache, loads.f.cache_key(2))
        loads.f.cache_invalidate(3)
        waiting += await loads.start()
        loads.ends[0].set_result("loaded")
        assert await asyncio.gather(*waiting) == ["loaded"] * 2
        assert loads.f.cache[loads.f.cache_key(1)] == "loaded"

    run(main())
    assert len(loads.ends) == 1


@pytest.mark.parametrize("cache", NATIVE)
def test_F4_reading_does_not_fence(run, cache):
    loads = Loads(cached(NATIVE[cache]()))

    async def main():
        waiting = await loads.start()
        mapping, key = loads.f.cache, loads.f.cache_key(1)
        assert mapping.get(key, "nothing") == "nothing"
        assert key not in mapping
        with pytest.raises(KeyError):
            mapping[key]
        assert loads.f.cache_contains(1) is False
        assert (list(mapping), len(mapping)) == ([], 0)
        loads.ends[0].set_result("loaded")
        assert await waiting[0] == "loaded"
        assert mapping[key] == "loaded"

    run(main())


@pytest.mark.parametrize("cache", [name for name in NATIVE if name != "Cache"])
def test_F4_eviction_does_not_fence(run, cache):
    loads = Loads(cached(NATIVE[cache]()))

    async def main():
        waiting = await loads.start()
        for number in range(100):
            loads.f.cache["other", number] = number
        loads.ends[0].set_result("loaded")
        assert await waiting[0] == "loaded"
        assert loads.f.cache[loads.f.cache_key(1)] == "loaded"

    run(main())


@pytest.mark.parametrize("kind", ["TTLCache", "TLRUCache"])
def test_F4_expiry_does_not_fence(run, kind):
    """Not even that of the entry which the load is about to replace."""
    clock = Clock()
    caches = {
        "TTLCache": lambda: aiocachetools.TTLCache(20, 10, timer=clock),
        "TLRUCache": lambda: aiocachetools.TLRUCache(20, lambda key, value, now: now + 10, timer=clock),
    }
    loads = Loads(cached(caches[kind]()))

    async def main():
        first = await loads.start()
        loads.ends[0].set_result("first")
        await asyncio.wait(first)
        clock.now = 10
        second = await loads.start()
        loads.f.cache.expire()
        clock.now = 50
        loads.f.cache.expire()
        loads.ends[1].set_result("second")
        assert await second[0] == "second"
        assert await loads.f(1) == "second"
        assert len(loads.ends) == 2

    run(main())


def test_F4_clear_fences_every_function_on_the_cache(run):
    cache = aiocachetools.LRUCache(20)
    f, g = Loads(cached(cache)), Loads(cached(cache))

    class Service:
        source = Source(held=True)

        @cachedmethod(lambda self: cache)
        async def load(self, x):
            return await self.source.load(x)

    async def main():
        waiting = [*await f.start(), *await g.start(), asyncio.create_task(Service().load(1))]
        await settle()
        cache.clear()
        f.ends[0].set_result("f")
        g.ends[0].set_result("g")
        Service.source.gate.set()
        assert await asyncio.gather(*waiting) == ["f", "g", ["value of", 1]]
        assert len(cache) == 0

    run(main())


@pytest.mark.parametrize("cache", EVERY)
def test_F4_methods_are_fenced_by_instance(run, cache):
    class Service:
        def __init__(self):
            self.cache, self.source = EVERY[cache](), Source(held=True)

        @cachedmethod(lambda self: self.cache)
        async def load(self, x):
            return await self.source.load(x)

    async def main():
        a, b = Service(), Service()
        waiting = [asyncio.create_task(service.load(x)) for service in (a, b) for x in (1, 2)]
        await settle()
        a.load.cache_invalidate(1)
        a.source.gate.set()
        b.source.gate.set()
        await asyncio.gather(*waiting)
        assert [s.load.cache_contains(x) for s in (a, b) for x in (1, 2)] == [False, True, True, True]

    run(main())


@pytest.mark.parametrize("cache", EVERY)
def test_F4_the_load_may_invalidate_its_own_key(run, cache):
    runs = []

    @cached(EVERY[cache]())
    async def f(x):
        runs.append(x)
        await asyncio.sleep(0)
        if len(runs) == 1:
            f.cache_invalidate(x)
        return len(runs)

    async def main():
        assert [await f(1), await f(1), await f(1)] == [1, 2, 2]

    run(main())


@pytest.mark.parametrize("cache", EVERY)
def test_F4_a_fence_before_the_load_does_not_stick(run, cache):
    source = Source()
    f = cached(EVERY[cache]())(source.load)

    async def main():
        f.cache_invalidate(1)
        f.cache_clear()
        f.cache.pop(f.cache_key(1), None)
        assert await f(1) is await f(1)

    run(main())
    assert source.runs == [1]


# --- random programs against a model

OPERATIONS = st.one_of(
    st.just(("call",)),
    st.just(("call",)),
    st.tuples(st.just("finish"), st.integers(0, 3), st.sampled_from(["value", "error"])),
    st.tuples(st.just("leave"), st.integers(0, 3)),
    st.tuples(st.just("remove"), st.sampled_from([*METHODS, *REMOVALS])),
    st.tuples(st.just("store"), st.sampled_from([*STORES])),
)


class Model:
    """One key of a native cache: its value, the load that callers join, and the loads that run."""

    def __init__(self, cache):
        self.loads = Loads(cached(cache))
        self.stored = None
        self.joined = None
        self.running = {}
        self.started = 0

    async def call(self):
        task = asyncio.create_task(self.loads.f(1))
        await settle(6)
        if self.stored is not None:
            assert await outcome(task) == self.stored
            return
        if self.joined is None:
            self.joined = self.started
            self.running[self.joined] = []
            self.started += 1
        self.running[self.joined].append(task)

    async def finish(self, which, how):
        if not self.running:
            return
        number = list(self.running)[which % len(self.running)]
        value = f"loaded {number}" if how == "value" else KeyError(number)
        end = self.loads.ends[number]
        end.set_result(value) if how == "value" else end.set_exception(value)
        for task in self.running.pop(number):
            assert await outcome(task) == value
        if self.joined == number:
            self.joined = None
            if how == "value":
                self.stored = value

    async def leave(self, which):
        if not self.running:
            return
        number = list(self.running)[which % len(self.running)]
        task = self.running[number].pop(0)
        task.cancel()
        assert isinstance(await outcome(task), asyncio.CancelledError)
        if not self.running[number]:
            del self.running[number]
            if self.joined == number:
                self.joined = None
            assert self.loads.ends[number].cancelled()

    async def remove(self, way):
        remove(self.loads.f, way)
        self.stored = self.joined = None

    async def store(self, way):
        STORES[way](self.loads.f.cache, self.loads.f.cache_key(1))
        if way != "setdefault" or self.stored is None:
            self.stored = "explicit"
        self.joined = None

    async def check(self):
        await settle(6)
        assert len(self.loads.ends) == self.started
        assert self.loads.f.cache_contains(1) is (self.stored is not None)

    async def run(self, program):
        for name, *arguments in program:
            await getattr(self, name)(*arguments)
            await self.check()
        while self.running:
            await self.finish(0, "value")
            await self.check()


@given(program=st.lists(OPERATIONS, min_size=3, max_size=25), kind=st.sampled_from(list(NATIVE)))
@settings(max_examples=150, deadline=None, database=None)
def test_F4_random_programs(program, kind):
    QuietLoop(asyncio.new_event_loop)(Model(NATIVE[kind]()).run(program))
