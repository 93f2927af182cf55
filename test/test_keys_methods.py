"""Rules K5 and K6: self and cls in keys, and functions that share a cache."""

import asyncio
import copy
import gc
import pickle
import weakref

import pytest
from cachetools.keys import hashkey, methodkey
from support import LIBRARIES, Source, settle

import aiocachetools
from aiocachetools import cached, cachedmethod

SHARED = {
    "dict": dict,
    "cachetools": lambda: LIBRARIES["cachetools"].LRUCache(100_000),
    "native": lambda: aiocachetools.LRUCache(100_000),
}


@pytest.fixture(params=list(SHARED))
def shared(request):
    """A cache that many instances use."""
    return SHARED[request.param]()


@pytest.fixture(params=["cachedmethod", "cached"])
def method(request, shared):
    """Decorates a method over the shared cache, by either decorator."""

    def decorate(**options):
        if request.param == "cached":
            return cached(shared, **options)
        return cachedmethod(lambda self: shared, **options)

    return decorate


class Unlike:
    """Something that must be told apart by identity: all are equal, none can be hashed."""

    def __init__(self, name=None):
        self.name = name

    def __eq__(self, other):
        raise AssertionError("an instance was compared")

    def __hash__(self):
        raise AssertionError("an instance was hashed")


def service_class(method, base=Unlike, **options):
    """A class with one cached method that answers with the instance's name."""

    class Service(base):
        @method(**options)
        async def load(self, x):
            await asyncio.sleep(0)
            return self.name, x

    return Service


def test_K5_instances_have_entries_of_their_own(arun, method, shared):
    service = service_class(method)
    a, b = service("a"), service("b")

    async def main():
        calls = [s.load(x) for s in (a, b) for x in (1, 2, 1)]
        assert await asyncio.gather(*calls) == [(n, x) for n in "ab" for x in (1, 2, 1)]
        assert await a.load(x=1) is await a.load(1) is await service.load(a, 1)
        assert len(shared) == 4

    arun(main())


def test_K5_self_can_be_ignored(run, method, shared):
    service = service_class(method, ignore=("self",))

    async def main():
        assert await service("a").load(1) == ("a", 1)
        assert await service("b").load(1) == ("a", 1)
        assert len(shared) == 1

    run(main())


def test_K5_methodkey_leaves_self_out(run, method, shared):
    service = service_class(method, key=methodkey)

    async def main():
        assert await service("a").load(1) == ("a", 1)
        assert await service("b").load(1) == ("a", 1)
        assert list(shared) == [hashkey(1)]

    run(main())


def test_K5_classes_have_entries_of_their_own(run, method):
    class Base:
        @classmethod
        @method()
        async def load(cls, x):
            return cls, x

    class Derived(Base):
        pass

    async def main():
        for _ in range(2):
            assert await Base.load(1) == (Base, 1)
            assert await Derived.load(1) == (Derived, 1)

    run(main())


@pytest.mark.parametrize("base", [dict, list, set])
def test_K5_instances_of_unhashable_types(run, method, base):
    class Service(base):
        @method()
        async def load(self, x):
            return len(self), x

    async def main():
        empty, other = Service(), Service()
        assert await empty.load(1) == (0, 1)
        other.update({1: 1}) if base is dict else (other.append(1) if base is list else other.add(1))
        assert await other.load(1) == (1, 1)
        assert await empty.load(1) == (0, 1)

    run(main())


def test_K5_the_key_does_not_keep_the_instance_alive(run, method, shared):
    service = service_class(method)

    async def main():
        instance = service("short-lived")
        await instance.load(1)
        await instance.load(1)
        reference = weakref.ref(instance)
        del instance
        assert reference() is None
        assert len(shared) == 1

    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


def test_K5_the_class_is_not_kept_alive_by_its_keys(run):
    cache = aiocachetools.LRUCache(10)

    async def main():
        class Service:
            @classmethod
            @cachedmethod(lambda cls: cache, ignore=())
            async def load(cls, x):
                return x

        await Service.load(1)
        return weakref.ref(Service)

    reference = run(main())
    gc.collect()
    assert reference() is None
    assert len(cache) == 1


def test_K5_10_000_short_lived_instances(run, method):
    """Each at an address that another one had just before."""
    service = service_class(method)
    addresses, alive = set(), weakref.WeakSet()

    class Tracked(service):
        __hash__ = object.__hash__
        __eq__ = object.__eq__

    async def main():
        wrong = 0
        for number in range(10_000):
            instance = Tracked(number)
            addresses.add(id(instance))
            alive.add(instance)
            wrong += await instance.load(1) != (number, 1)
            if number % 10 == 0:
                wrong += await instance.load(1) != (number, 1)
            del instance
        return wrong

    gc.disable()
    try:
        assert run(main()) == 0
        assert len(alive) == 0
    finally:
        gc.enable()
    assert len(addresses) < 10_000


class Slotted:
    """An instance to which no weak reference can be made; it notes when it goes."""

    __slots__ = ("name",)
    gone = []

    def __init__(self, name):
        self.name = name

    def __del__(self):
        Slotted.gone.append(self.name)

    __hash__ = None


def slotted_class(method, **options):
    class Service(Slotted):
        __slots__ = ()

        @method(**options)
        async def load(self, x):
            return self.name, x

    return Service


def test_K5_an_instance_without_weak_references_is_kept_until_eviction(run, method, shared):
    service = slotted_class(method)

    async def main():
        for number in range(200):
            assert await service(number).load(1) == (number, 1)
        await settle()
        assert Slotted.gone == []
        shared.clear()
        gc.collect()
        assert sorted(Slotted.gone) == list(range(200))

    Slotted.gone.clear()
    run(main())


def test_K5_eviction_lets_such_an_instance_go(run):
    service = slotted_class(lambda: cachedmethod(lambda self: cache))
    cache = aiocachetools.LRUCache(3)

    async def main():
        for number in range(10):
            await service(number).load(1)
        await settle()
        gc.collect()
        assert Slotted.gone == list(range(7))
        cache.clear()
        assert len(Slotted.gone) == 10

    Slotted.gone.clear()
    run(main())


def test_K5_an_instance_without_weak_references_hits(run, method):
    service = slotted_class(method)

    async def main():
        a, b = service("a"), service("b")
        assert await a.load(1) is await a.load(1)
        assert await b.load(1) == ("b", 1)

    run(main())


def test_K5_a_copied_instance_is_another_instance(run, method):
    service = service_class(method)

    async def main():
        a = service("a")
        await a.load(1)
        b = copy.copy(a)
        b.name = "b"
        assert await b.load(1) == ("b", 1)
        assert await a.load(1) == ("a", 1)

    run(main())


class Document:
    """Found by pickle under its name."""

    cache = {}

    def __init__(self):
        self.runs = []

    @cachedmethod(lambda self: Document.cache)
    async def words(self, page):
        self.runs.append(page)
        return page


COPIES = {"pickle": lambda cache: pickle.loads(pickle.dumps(cache)), "deepcopy": copy.deepcopy}


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("kind", SHARED)
def test_K5_keys_that_were_copied_match_nothing(run, copied, kind, monkeypatch):
    monkeypatch.setattr(Document, "cache", SHARED[kind]())

    async def main():
        document = Document()
        await document.words(1)
        await document.words(1)
        original, Document.cache = Document.cache, COPIES[copied](Document.cache)
        assert list(Document.cache.values()) == [1]
        await document.words(1)
        await document.words(1)
        assert document.runs == [1, 1]
        assert len(Document.cache) == 2
        assert len(original) == 1

    run(main())


def test_K5_an_overridden_method_calls_its_base(run, shared):
    """One cache, one instance, one set of arguments, two methods."""

    class Base:
        @cachedmethod(lambda self: shared)
        async def load(self, x):
            return [f"base {x}"]

    class Derived(Base):
        @cachedmethod(lambda self: shared)
        async def load(self, x):
            return [*await super().load(x), f"derived {x}"]

    async def main():
        instance = Derived()
        for _ in range(2):
            assert await instance.load(1) == ["base 1", "derived 1"]
        assert await Base().load(1) == ["base 1"]
        assert await super(Derived, instance).load(1) == ["base 1"]

    run(main())


# --- K6: functions that share a cache


def test_K6_two_functions_never_see_each_others_entries(arun, shared):
    first, second, third = Source(), Source(), Source()
    f, g, h = (cached(shared)(source.load) for source in (first, second, third))

    async def main():
        values = await asyncio.gather(f(1), g(1), h(1))
        assert len({id(value) for value in values}) == 3
        again = [await f(1), await g(key=1), await h(1)]
        assert all(a is b for a, b in zip(values, again, strict=True))
        assert len(shared) == 3
        assert g.cache_invalidate(1) is True
        assert await f(1) is values[0]
        assert await g(1) is not values[1]
        assert await h(1) is values[2]

    arun(main())
    assert (first.runs, second.runs, third.runs) == ([1], [1, 1], [1])


def test_K6_the_first_function_has_the_plain_keys(run, shared):
    f, g = cached(shared)(Source().load), cached(shared)(Source().load)

    async def main():
        assert f.cache_key(1) == hashkey(1)
        assert g.cache_key(1) != hashkey(1)
        await g(1)
        assert hashkey(1) not in shared
        await f(1)
        assert hashkey(1) in shared
        assert g.cache_key(1) in shared

    run(main())


def test_K6_keys_that_were_given_are_shared_on_purpose(run, shared):
    first, second = Source(), Source()
    f = cached(shared, key=hashkey)(first.load)
    g = cached(shared, key=hashkey)(second.load)

    async def main():
        assert await f(1) is await g(1)
        assert list(shared) == [hashkey(1)]

    run(main())
    assert (first.runs, second.runs) == ([1], [])


@pytest.mark.parametrize("order", ["plain_first", "key_first"])
def test_K6_a_given_key_on_one_side_shares_nothing(run, shared, order):
    if order == "plain_first":
        f, g = cached(shared)(Source().load), cached(shared, key=hashkey)(Source().load)
    else:
        g, f = cached(shared, key=hashkey)(Source().load), cached(shared)(Source().load)

    async def main():
        assert await f(1) is not await g(1)
        assert await g(2) is not await f(2)
        assert await f(1) is await f(1)
        assert await g(1) is await g(1)

    run(main())


def test_K6_methods_on_one_cache(run, shared):
    class Service:
        @cachedmethod(lambda self: shared)
        async def one(self, x):
            return "one", x

        @cachedmethod(lambda self: shared)
        async def two(self, x):
            return "two", x

        @cachedmethod(lambda self: shared, ignore=("self",))
        async def three(self, x):
            return "three", x

        @cachedmethod(lambda self: shared, ignore=("self",))
        async def four(self, x):
            return "four", x

    async def main():
        service = Service()
        for _ in range(2):
            for name in ("one", "two", "three", "four"):
                assert await getattr(service, name)(1) == (name, 1)
        assert len(shared) == 4

    run(main())


def test_K6_a_function_and_a_method_on_one_cache(run, shared):
    f = cached(shared)(Source().load)

    class Service:
        @cachedmethod(lambda self: shared, ignore=("self",))
        async def load(self, key):
            return "method", key

    async def main():
        assert await f(1) == ["value of", 1]
        assert await Service().load(1) == ("method", 1)
        assert await f(1) == ["value of", 1]

    run(main())


def test_K6_a_method_defined_twice_in_a_loop(run, shared):
    """The same code, decorated anew each time, is another function."""
    functions = []
    for number in range(3):

        @cachedmethod(lambda self: shared, ignore=("self",))
        async def load(self, x, number=number):
            return self, x

        functions.append(load)

    async def main():
        for name, function in zip("abc", functions, strict=True):
            assert await function(name, 1) == (name, 1)

    run(main())
