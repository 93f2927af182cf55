"""Cycles through caches, decorated functions, calls and flights are collected."""

import asyncio
import gc
import weakref

import cachetools
import pytest
from support import Source, settle

import aiocachetools
from aiocachetools import cached, cachedmethod


class Thing:
    """Something to hang into a cycle and to watch."""

    link = None


CACHES = {
    "LRUCache": lambda: aiocachetools.LRUCache(10),
    "TTLCache": lambda: aiocachetools.TTLCache(10, 60),
    "Cache": lambda: aiocachetools.Cache(10),
    "cachetools": lambda: cachetools.LRUCache(10),
}


def is_collected(reference):
    gc.collect()
    gc.collect()
    return reference() is None


@pytest.mark.parametrize("kind", CACHES)
def test_a_cache_that_holds_itself(kind):
    cache, thing = CACHES[kind](), Thing()
    cache["itself"], cache["thing"] = cache, thing
    reference = weakref.ref(thing)
    del thing, cache
    assert is_collected(reference)


@pytest.mark.parametrize("kind", CACHES)
def test_a_value_that_refers_to_its_cache(kind):
    cache, thing = CACHES[kind](), Thing()
    thing.link = cache
    cache["thing"] = thing
    reference = weakref.ref(thing)
    del thing, cache
    assert is_collected(reference)


@pytest.mark.parametrize("kind", CACHES)
def test_a_key_that_refers_to_its_cache(kind):
    cache, thing = CACHES[kind](), Thing()
    thing.link = cache
    cache[thing] = 1
    reference = weakref.ref(thing)
    del thing, cache
    assert is_collected(reference)


class Hooks(Thing):
    """Policies of the cache that it links to."""

    def getsizeof(self, value):
        return 1

    def ttu(self, key, value, now):
        return now + 1

    def timer(self):
        return 1

    def choice(self, keys):
        return next(iter(keys))


HOOKED = {
    "getsizeof": lambda hooks: aiocachetools.LRUCache(10, getsizeof=hooks.getsizeof),
    "ttu": lambda hooks: aiocachetools.TLRUCache(10, hooks.ttu),
    "timer": lambda hooks: aiocachetools.TTLCache(10, 5, timer=hooks.timer),
    "choice": lambda hooks: aiocachetools.RRCache(10, choice=hooks.choice),
}


@pytest.mark.parametrize("hook", HOOKED)
def test_a_hook_that_refers_to_its_cache(hook):
    hooks = Hooks()
    hooks.link = HOOKED[hook](hooks)
    hooks.link[1] = 1
    reference = weakref.ref(hooks)
    del hooks
    assert is_collected(reference)


def test_options_that_refer_to_their_function(run):
    class Options(Thing):
        def key(self, x):
            return x

        def resolve(self, owner):
            return owner.cache

        def __enter__(self):
            pass

        def __exit__(self, *exc_info):
            pass

    class Owner:
        def __init__(self):
            self.cache = {}

    async def original(self, x=1):
        return x

    async def main():
        references = []
        for make in (
            lambda options: cached({}, options.key, options),
            lambda options: cachedmethod(options.resolve, lock=lambda owner, options=options: options),
        ):
            options = Options()
            options.link = make(options)(original)
            await options.link(Owner())
            references.append(weakref.ref(options))
        del options
        return references

    for reference in run(main()):
        assert is_collected(reference)


@pytest.mark.parametrize("kind", CACHES)
def test_a_value_that_refers_to_the_function_that_made_it(run, kind):
    async def main():
        @cached(CACHES[kind]())
        async def f(x):
            thing = Thing()
            thing.link = f
            return thing

        return weakref.ref(await f(1))

    assert is_collected(run(main()))


def test_a_function_that_refers_to_itself(run):
    async def main():
        thing = Thing()

        @cached
        async def f(x, ignored=thing):
            return f, thing

        f.attribute = f
        await f(1)
        return weakref.ref(thing), weakref.ref(f)

    for reference in run(main()):
        assert is_collected(reference)


def test_an_instance_whose_cache_holds_its_bound_methods(run):
    class Service:
        def __init__(self):
            self.cache = aiocachetools.LRUCache(10)

        @cachedmethod(lambda self: self.cache)
        async def load(self, x):
            return self.load

    async def main():
        service = Service()
        await service.load(1)
        return weakref.ref(service)

    assert is_collected(run(main()))


def test_calls_in_a_cycle(run):
    """Hits and misses that are held by what they hold, and never awaited."""

    @cached(ignore=("thing",))
    async def f(x, thing):
        return x

    async def main():
        await f(1, None)
        references = []
        for x in (1, 2):
            thing = Thing()
            thing.link = f(x, thing)
            references.append(weakref.ref(thing))
            thing.link.close()
        del thing
        return references

    for reference in run(main()):
        assert is_collected(reference)


def test_a_flight_under_way_holds_its_arguments_and_lets_them_go(run):
    source = Source(held=True)

    @cached(ignore=("thing",))
    async def f(x, thing):
        thing.link = asyncio.current_task()
        del thing
        return await source.load(x)

    async def main():
        thing = Thing()
        reference = weakref.ref(thing)
        tasks = [asyncio.create_task(f(1, thing)) for _ in range(2)]
        del thing
        await settle()
        gc.collect()
        source.gate.set()
        await asyncio.gather(*tasks)
        del tasks
        await settle()
        assert is_collected(reference)

    run(main())


def test_an_exception_that_refers_to_everything(run):
    @cached
    async def f(x):
        error = KeyError(x)
        error.thing = Thing()
        error.thing.link = error
        raise error

    async def main():
        references = []
        for error in await asyncio.gather(f(1), f(1), return_exceptions=True):
            references.append(weakref.ref(error.thing))
        del error
        return references

    for reference in run(main()):
        assert is_collected(reference)


def test_a_loop_that_died_with_a_flight_is_collected():
    """At the latest when there has been a miss on another loop."""

    async def wait_forever(thing):
        await asyncio.get_running_loop().create_future()

    def abandon():
        f, thing, loop = cached(ignore=("thing",))(wait_forever), Thing(), asyncio.new_event_loop()
        loop.set_exception_handler(lambda *_: None)
        thing.link = loop.create_task(f(thing))
        loop.run_until_complete(settle())
        loop.close()
        return weakref.ref(thing)

    reference = abandon()
    asyncio.run(cached(Source().load)(1))
    assert is_collected(reference)


@pytest.mark.parametrize("kind", CACHES)
def test_clear_and_pop_let_values_go_at_once(kind):
    cache = CACHES[kind]()
    things = [Thing() for _ in range(4)]
    references = [weakref.ref(thing) for thing in things]
    for number, thing in enumerate(things):
        cache[number] = thing
    del things, thing
    gc.disable()
    try:
        del cache[0]
        cache.pop(1)
        cache[2] = None
        cache.clear()
        assert [reference() for reference in references] == [None] * 4
    finally:
        gc.enable()


def test_a_closed_call_lets_its_arguments_go_at_once(run, either):
    @either(ignore=("thing",))
    async def f(x, thing):
        return x

    async def main():
        await f(1, None)
        gc.disable()
        try:
            for x in (1, 2):
                thing = Thing()
                reference = weakref.ref(thing)
                call = f(x, thing)
                del thing
                call.close()
                del call
                assert reference() is None
        finally:
            gc.enable()

    run(main())
