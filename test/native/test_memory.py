"""Rule N4: caches take part in garbage collection, and give back what they held."""

import gc
import sys
import weakref
from pathlib import Path

import pytest
from support import Clock, in_child

import aiocachetools

CLASSES = ["Cache", "FIFOCache", "LRUCache", "LFUCache", "RRCache", "TTLCache", "TLRUCache", "TinyLFUCache"]
OPTIONS = {"TTLCache": {"ttl": 10}, "TLRUCache": {"ttu": lambda key, value, now: now + 10}}


class Thing:
    pass


def make(name, **options):
    return getattr(aiocachetools, name)(10, **{**OPTIONS.get(name, {}), **options})


def is_collected(things):
    references = [weakref.ref(thing) for thing in things]
    things.clear()
    gc.collect()
    return all(reference() is None for reference in references)


@pytest.mark.parametrize("name", CLASSES)
def test_cycles_through_a_cache_are_collected(name):
    def through_value(cache, thing):
        cache[1], thing.cache = thing, cache

    def through_key(cache, thing):
        cache[thing], thing.cache = 1, cache

    def through_tuple_key(cache, thing):
        cache[1, thing], thing.cache = 1, cache

    def through_attribute(cache, thing):
        cache.thing, thing.cache = thing, cache

    def through_itself(cache, thing):
        cache[1], cache[2] = cache, thing

    def through_iterator(cache, thing):
        cache[1] = thing
        cache[2] = thing.keys = iter(cache)

    for tie in (
        through_value,
        through_key,
        through_tuple_key,
        through_attribute,
        through_itself,
        through_iterator,
    ):
        cache, thing = make(name), Thing()
        tie(cache, thing)
        things = [cache, thing]
        del cache, thing
        assert is_collected(things), tie.__name__


def test_cycles_through_functions_are_collected():
    def sized(thing):
        return aiocachetools.LRUCache(5, getsizeof=lambda value, thing=thing: 1)

    def chosen(thing):
        return aiocachetools.RRCache(5, choice=lambda keys, thing=thing: keys[0])

    def timed(thing):
        return aiocachetools.TTLCache(5, 5, timer=lambda thing=thing: 0)

    def until(thing):
        return aiocachetools.TLRUCache(5, lambda key, value, now, thing=thing: 1)

    def frozen(thing):
        thing.timer = lambda: thing
        cache = aiocachetools.TTLCache(5, 5, timer=Clock(0))
        cache.timer.__enter__()
        return cache

    for make_cache in (sized, chosen, timed, until, frozen):
        thing = Thing()
        thing.cache = make_cache(thing)
        things = [thing, thing.cache]
        del thing
        assert is_collected(things), make_cache.__name__


@pytest.mark.parametrize("name", CLASSES)
def test_entries_are_referred_to_once(name):
    clock = Clock(0)
    cache = make(name, **({"timer": clock} if name in OPTIONS else {}))
    value, key = Thing(), Thing()
    held = sys.getrefcount(value), sys.getrefcount(key)
    for _ in range(3):
        cache[key] = value
    assert (sys.getrefcount(value), sys.getrefcount(key)) == (held[0] + 1, held[1] + 1)
    cache[key]
    cache.get(key)
    cache.setdefault(key, 1)
    list(cache)
    list(cache.items())
    repr(cache)
    assert (sys.getrefcount(value), sys.getrefcount(key)) == (held[0] + 1, held[1] + 1)
    for remove in (
        lambda: cache.pop(key),
        lambda: cache.__delitem__(key),
        lambda: cache.clear(),
        lambda: cache.popitem(),
        lambda: cache.__setitem__(key, None),
        lambda: [cache.popitem() for _ in range(len(cache))],
        lambda: cache.__init__(5, **OPTIONS.get(name, {})),
    ):
        cache.clear()
        cache[key] = value
        remove()
        assert sys.getrefcount(value) == held[0]
    cache.clear()
    assert sys.getrefcount(key) == held[1]


def test_a_collected_cache_is_empty_and_usable():
    """A finalizer may see a cache that the collector has taken apart."""
    seen = []

    class Last:
        def __del__(self):
            seen.append(len(self.cache))
            self.cache[5] = 5

    last = Last()
    last.cache = aiocachetools.TTLCache(5, 5)
    last.cache.update({1: last, 2: last.cache})
    del last
    gc.collect()
    assert seen == [2]


def test_clear_gives_the_memory_back():
    cache = aiocachetools.LRUCache(10_000)
    value = Thing()
    reference = weakref.ref(value)
    cache.update((key, value) for key in range(10_000))
    del value
    cache.clear()
    assert reference() is None


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux' count of resident pages")
def test_an_entry_takes_64_bytes_at_most_and_clear_gives_them_back():
    """Beyond key and value; 230,000 entries are the fewest that need a table of twice the size."""
    script = """
        import resource
        from aiocachetools import LRUCache

        def resident():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * resource.getpagesize()

        keys = list(range(1000, 231_000))
        before = resident()
        cache = LRUCache(len(keys))
        for key in keys:
            cache[key] = None
        full = resident()
        cache.clear()
        print((full - before) / len(keys), (resident() - before) / len(keys))
    """
    full, cleared = map(float, in_child(script).split())
    assert 30 < full <= 64
    assert cleared < 6
