"""Rule N1: a subclass's methods are called where cachetools calls them, in its order."""

import itertools

import cachetools
import pytest
from support import Clock

import aiocachetools

CLASSES = ["Cache", "FIFOCache", "LRUCache", "LFUCache", "RRCache", "TTLCache", "TLRUCache"]
HOOKS = [
    "__getitem__",
    "__setitem__",
    "__delitem__",
    "__contains__",
    "__missing__",
    "__iter__",
    "popitem",
    "expire",
]


def overriding(base, names):
    """A subclass that notes every call of these methods before it does as its base does."""

    def hook(name):
        method = getattr(base, name)

        def noted(self, *args):
            self.calls.append((name, *args))
            return method(self, *args)

        return noted

    namespace = {name: hook(name) for name in names if hasattr(base, name)}
    return type(base.__name__, (base,), namespace)


def make(library, name, hooks, **options):
    clock = Clock()
    if name == "TTLCache":
        options |= {"ttl": 10, "timer": clock}
    if name == "TLRUCache":
        options |= {"ttu": lambda key, value, now: now + 10, "timer": clock}
    if name == "RRCache":
        options["choice"] = min
    kind = overriding(getattr(library, name), hooks)
    cache = kind.__new__(kind)
    cache.calls = []
    cache.__init__(maxsize=2, **options)
    cache.clock = clock
    return cache


def program(cache):
    """What every operation gives, and the calls that it made."""

    def step(operation):
        cache.calls.clear()
        try:
            given = operation()
        except (KeyError, ValueError) as error:
            given = (type(error), error.args)
        return given, list(cache.calls), sorted(cache.keys(), key=repr)

    yield step(lambda: cache.__setitem__(1, 1))
    yield step(lambda: cache.update({2: 2, 3: 3}))
    yield step(lambda: cache.get(2))
    yield step(lambda: cache.get(9))
    yield step(lambda: cache[3])
    yield step(lambda: cache[9])
    yield step(lambda: cache.setdefault(3, 4))
    yield step(lambda: cache.setdefault(4, 4))
    yield step(lambda: cache.pop(4))
    yield step(lambda: cache.pop(9, None))
    yield step(lambda: cache.pop(9))
    yield step(lambda: cache.__setitem__(5, 5))
    yield step(lambda: cache.__setitem__(6, 6))
    yield step(lambda: cache.popitem())
    cache.clock.now += 11
    yield step(lambda: len(cache))
    yield step(lambda: cache.__setitem__(7, 7))
    yield step(lambda: cache.__delitem__(7))
    yield step(lambda: cache.popitem())
    yield step(lambda: dict(cache))
    yield step(lambda: cache == {})
    yield step(lambda: repr(cache))
    yield step(lambda: cache.currsize)
    yield step(lambda: cache.clear())


SUBSETS = [*itertools.combinations(HOOKS, 1), *itertools.combinations(HOOKS, 2), tuple(HOOKS)]


@pytest.mark.parametrize("sized", [False, True])
@pytest.mark.parametrize("name", CLASSES)
def test_overridden_methods_are_called_in_the_order_of_cachetools(name, sized):
    options = {"getsizeof": lambda value: 1} if sized else {}
    for hooks in SUBSETS:
        expected = list(program(make(cachetools, name, hooks, **options)))
        assert list(program(make(aiocachetools, name, hooks, **options))) == expected, hooks


@pytest.mark.parametrize("name", CLASSES)
def test_eviction_goes_through_an_overridden_popitem(name):
    cache = make(aiocachetools, name, ["popitem"])
    evicted = []
    kind = type(cache)
    kind.popitem, original = lambda self: evicted.append(original(self)) or evicted[-1], kind.popitem
    cache.update((key, key) for key in range(5))
    assert len(evicted) == 3
    assert len(cache) == 2


@pytest.mark.parametrize("name", CLASSES)
def test_popitem_that_raises_leaves_the_cache_as_it_was(name):
    cache = make(aiocachetools, name, ["popitem"])
    cache.update({1: 1, 2: 2})

    def refuse(self):
        raise ZeroDivisionError

    type(cache).popitem = refuse
    with pytest.raises(ZeroDivisionError):
        cache[3] = 3
    assert dict(cache) == {1: 1, 2: 2}
    cache[1] = 4
    assert dict(cache) == {1: 4, 2: 2}


@pytest.mark.parametrize("name", CLASSES)
def test_missing_may_store_or_not(name):
    class Stores(getattr(aiocachetools, name)):
        def __missing__(self, key):
            self[key] = key
            return key

    class Computes(getattr(aiocachetools, name)):
        def __missing__(self, key):
            return key

    options = {"TTLCache": (10,), "TLRUCache": (lambda key, value, now: now + 10,)}.get(name, ())
    cache = Stores(2, *options)
    assert [cache[key] for key in (1, 2, 3)] == [1, 2, 3]
    assert len(cache) == 2
    assert cache.get(9) is None
    cache = Computes(2, *options)
    assert cache[1] == 1
    assert not cache


def test_getsizeof_may_be_given_overridden_or_left():
    class Sized(aiocachetools.LRUCache):
        @staticmethod
        def getsizeof(value):
            return len(value)

    class Method(aiocachetools.LRUCache):
        unit = 2

        def getsizeof(self, value):
            return len(value) * self.unit

    assert aiocachetools.LRUCache.getsizeof("abc") == 1
    for cache, size in [
        (aiocachetools.LRUCache(10), 1),
        (aiocachetools.LRUCache(10, getsizeof=len), 3),
        (Sized(10), 3),
        (Method(10), 6),
    ]:
        cache["key"] = "abc"
        assert cache.currsize == size
        assert cache.getsizeof("abc") == size


def test_a_subclass_may_have_a_constructor_of_its_own():
    class Named(aiocachetools.TTLCache):
        def __new__(cls, name, *, size):
            return super().__new__(cls)

        def __init__(self, name, *, size):
            super().__init__(size, ttl=60)
            self.name = name

    cache = Named("n", size=3)
    assert (cache.name, cache.maxsize, cache.ttl) == ("n", 3, 60)


def test_a_cache_whose_constructor_was_not_called_holds_nothing():
    class Forgetful(aiocachetools.LRUCache):
        def __init__(self):
            pass

    cache = Forgetful()
    assert (len(cache), cache.maxsize, cache.currsize, list(cache)) == (0, 0, 0, [])
    with pytest.raises(ValueError, match="value too large"):
        cache[1] = 1
    cache.clear()
    assert cache.pop(1, None) is None
