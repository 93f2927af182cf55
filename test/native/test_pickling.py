"""Rule N1: subclasses that keep state of their own are copied and pickled as cachetools' are."""

import copy
import pickle
import threading

import cachetools
import pytest

import aiocachetools
from aiocachetools import LFUCache, LRUCache, RRCache, TLRUCache, TTLCache


class Plain(LRUCache):
    def __init__(self, maxsize, name):
        super().__init__(maxsize)
        self.name = name


class Locked(LRUCache):
    """Leaves its lock out of the pickle, by its attributes alone."""

    def __init__(self, maxsize):
        super().__init__(maxsize)
        self.lock = threading.Lock()

    def __getstate__(self):
        state = self.__dict__.copy()
        del state["lock"]
        return state

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.lock = threading.Lock()


class Cooperative(LRUCache):
    """Asks its base for the state."""

    label = None

    def __getstate__(self):
        return {**(super().__getstate__() or {}), "more": 1}

    def __setstate__(self, state):
        assert state.pop("more") == 1
        super().__setstate__(state)


class Slotted(LRUCache):
    __slots__ = ("slot",)


class Sized(TTLCache):
    def getsizeof(self, value):
        return len(value)


class Hooked(LRUCache):
    def popitem(self):
        pair = super().popitem()
        self.__dict__.setdefault("evicted", []).append(pair)
        return pair


def largest(keys):
    return max(keys)


def soon(key, value, now):
    return now + 60


def pickled(cache, protocol=pickle.HIGHEST_PROTOCOL):
    return pickle.loads(pickle.dumps(cache, protocol))


WAYS = [copy.deepcopy, *(lambda cache, n=n: pickled(cache, n) for n in range(pickle.HIGHEST_PROTOCOL + 1))]


@pytest.mark.parametrize("way", [copy.copy, *WAYS])
def test_attributes_are_kept(way):
    cache = Plain(2, "name")
    cache.update({1: 1, 2: 2, 3: 3})
    twin = way(cache)
    assert type(twin) is Plain
    assert (twin.name, dict(twin), twin.maxsize) == ("name", {2: 2, 3: 3}, 2)


@pytest.mark.parametrize("way", WAYS)
def test_a_state_of_ones_own(way):
    cache = Locked(2)
    cache.update({1: 1, 2: 2})
    twin = way(cache)
    assert dict(twin) == {1: 1, 2: 2}
    assert twin.lock.acquire(blocking=False)
    cache = Cooperative(2)
    cache["key"] = "value"
    cache.label = "label"
    twin = way(cache)
    assert (dict(twin), twin.label, vars(twin)) == ({"key": "value"}, "label", {"label": "label"})


@pytest.mark.parametrize("way", WAYS)
def test_slots(way):
    cache = Slotted(2)
    cache.slot = [1]
    cache.other = 2
    twin = way(cache)
    assert (twin.slot, twin.other) == ([1], 2)


@pytest.mark.parametrize("way", [copy.copy, *WAYS])
def test_settings_are_kept(way):
    cache = Sized(10, 60)
    cache["a"] = "12345"
    twin = way(cache)
    assert (twin.ttl, twin.currsize) == (60, 5)
    twin["b"] = "123456"
    assert dict(twin) == {"b": "123456"}
    assert way(RRCache(5, choice=largest)).choice is largest
    assert way(TLRUCache(5, soon)).ttu is soon


class Clock:
    now = 0

    def __call__(self):
        return self.now


@pytest.mark.parametrize("way", [copy.deepcopy, pickled])
def test_N1_deadlines_that_are_equal_are_lined_up_by_use(way):
    """As cachetools does it, where the entries were written at different times."""

    def program(module):
        clock = Clock()
        cache = module.TTLCache(3, ttl=4, timer=clock)
        cache["early"] = 1
        clock.now = 1
        cache.update(used=2, unused=3)
        cache["used"]
        twin = way(cache)
        return list(twin), [key for key, _ in twin.expire(5)]

    assert program(aiocachetools) == program(cachetools)
    assert program(aiocachetools) == (["early", "unused", "used"],) * 2


@pytest.mark.parametrize("way", [copy.copy, *WAYS])
def test_hooks_work_in_copies(way):
    cache = Hooked(2)
    cache.update({1: 1, 2: 2})
    twin = way(cache)
    twin[3] = 3
    assert twin.evicted == [(1, 1)]
    assert not hasattr(cache, "evicted")


@pytest.mark.parametrize("way", WAYS)
def test_keys_that_hash_by_identity_are_found_in_a_copy(way):
    class_key, key = LRUCache, Identity()
    cache = LRUCache(5)
    cache.update({class_key: 1, key: 2, (key, 1): 3})
    twin = way(cache)
    same = next(each for each in twin if isinstance(each, Identity))
    assert same is not key
    assert (twin[class_key], twin[same], twin[same, 1]) == (1, 2, 3)


class Identity:
    pass


@pytest.mark.parametrize(
    "state",
    [
        (),
        ({},),
        ({}, None, None),
        ({}, None),
        ({"entries": [], "order": [0]}, None),
        ({"entries": [1], "order": [0]}, None),
    ],
)
def test_what_is_not_a_state_is_an_error(state):
    setter = LRUCache(1).__reduce__()[5]
    cache = LRUCache(1)
    with pytest.raises((TypeError, ValueError)):
        setter(cache, state)
    for order in ([], [0, 0], [1], [0, 1], [-1]):
        with pytest.raises((TypeError, ValueError, OverflowError)):
            setter(cache, ({"entries": [(1, 1)], "order": order, "maxsize": 3}, None))
    assert dict(cache) == {}


def test_uses_are_restored_however_many_there_were():
    """A hot entry's count is taken over, not replayed use by use."""
    cache = LFUCache(3)
    cache.update({1: "hot", 2: "warm", 3: "cold"})
    state, _ = pickle.loads(pickle.dumps(cache)).__reduce__()[2]
    assert len(state["counts"]) == 3
    entries = dict(state["entries"])
    order = [list(entries).index(key) for key in (3, 2, 1)]
    restored = LFUCache(3)
    cache.__reduce__()[5](restored, (state | {"order": order, "counts": [1, 2, 10**15]}, None))
    assert [restored.popitem()[0] for _ in range(3)] == [3, 2, 1]
