"""Instances, classes and caches that come and go around the native call path."""

import gc
import weakref

import pytest
from cachetools.keys import methodkey
from support import in_child, settle

import aiocachetools
from aiocachetools import cached, cachedmethod


async def slow(x):
    await settle(2)
    return x


def test_K5_a_classmethod_over_cached_keys_the_class_by_identity(run, either):
    """Also where the metaclass makes all classes equal."""
    equal = {"__eq__": lambda cls, other: True, "__hash__": lambda cls: 1}

    class A(metaclass=type("AllEqual", (type,), equal)):
        @classmethod
        @either()
        async def load(cls, x):
            return cls.__name__

    class B(A):
        pass

    async def main():
        assert [await cls.load(0) for cls in (A, B, A, B)] == ["A", "B", "A", "B"]

    run(main())


class Owner:
    """An instance with a cache of its own, of which it is the lock as well."""

    def __init__(self, cache):
        self.cache = cache

    @cachedmethod(lambda self: self.cache, key=methodkey, lock=lambda self: self)
    async def load(self, x):
        return x

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        pass


def test_K6_a_new_cache_at_the_address_of_an_old_one_has_plain_keys(run):
    async def main():
        for _ in range(100):
            await Owner({}).load(1)
            cache = {}
            assert await cached(cache)(slow)(7) == 7
            assert list(cache) == [(7,)]

    run(main())


def test_K6_claims_of_the_caches_of_instances_are_released(run):
    async def main():
        counts = []
        for _ in range(12):
            owners = [Owner(aiocachetools.LRUCache(2)) for _ in range(500)]
            for owner in owners:
                await owner.load(1)
            del owners, owner
            gc.collect()
            counts.append(sum(type(thing) is weakref.ref for thing in gc.get_objects()))
        # Pruned whenever their number has doubled, which is sooner or later than in this test.
        assert counts[-1] - counts[0] < 6 * 500

    run(main())


@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.parametrize("closed", [False, True])
def test_N4_a_call_in_a_cycle_through_its_lock_is_collected(run, closed):
    async def main():
        owner = Owner({})
        owner.call = owner.load(2)
        if closed:
            owner.call.close()
        return weakref.ref(owner)

    reference = run(main())
    gc.collect()
    assert reference() is None


def test_N4_caches_made_while_the_collector_is_busy():
    """A collection may start in the middle of a constructor; nothing is printed about it."""
    script = """
        import gc, os
        import aiocachetools
        os.dup2(1, 2)
        gc.set_threshold(1, 1, 1)
        make = lambda: (aiocachetools.LRUCache(4), aiocachetools.TTLCache(4, 60), aiocachetools.Cache(4))
        caches = [make() for _ in range(100)]
    """
    assert in_child(script) == ""
