"""Rule N3: what users' code does to a cache from inside of the cache's own operations."""

import itertools
import random

import pytest
from support import Clock, in_child

import aiocachetools
from aiocachetools._core import _validate

CLASSES = ["Cache", "FIFOCache", "LRUCache", "LFUCache", "RRCache", "TTLCache", "TLRUCache", "TinyLFUCache"]


def make(name, maxsize, **options):
    """A cache of the class whose timer and time-to-use come from the options or do nothing special."""
    if name in ("TTLCache", "TLRUCache"):
        options.setdefault("timer", Clock())
    if name == "TTLCache":
        options.setdefault("ttl", 10)
    if name == "TLRUCache":
        options.setdefault("ttu", lambda key, value, now: now + 10)
    return getattr(aiocachetools, name)(maxsize, **options)


def check(cache):
    """The cache is sound: it finds what it lists, counts it, and gives it out."""
    _validate(cache)
    keys = list(cache)
    assert len(keys) == len(cache)
    assert all(key in cache for key in keys)
    for _ in keys:
        cache.popitem()
    assert len(cache) == 0
    assert cache.currsize == 0


class Key:
    """A key that equals others of its number and does something when it is compared or hashed."""

    def __init__(self, number, on_eq=None, on_hash=None):
        self.number, self.on_eq, self.on_hash = number, on_eq, on_hash

    def __hash__(self):
        if self.on_hash:
            self.on_hash()
        return 7

    def __eq__(self, other):
        for key in (self, other):
            if key.on_eq:
                key.on_eq()
        return self.number == other.number

    def __repr__(self):
        return f"Key({self.number})"


class Dying:
    """A value that does something when it goes."""

    def __init__(self, on_del):
        self.on_del = on_del

    def __del__(self):
        self.on_del()


class Trigger:
    """Does something to a cache when it is called, once, after it has been armed."""

    armed = None

    def arm(self, action, cache):
        self.armed = lambda: action(cache)
        return self

    def __call__(self):
        armed, self.armed = self.armed, None
        if armed:
            armed()


ACTIONS = {
    "clear": lambda cache: cache.clear(),
    "delete": lambda cache: cache.pop(Key(1), None),
    "fill": lambda cache: cache.update((Key(number), number) for number in range(20, 40)),
    "evict": lambda cache: [cache.popitem() for _ in range(len(cache))],
    "overwrite": lambda cache: cache.__setitem__(Key(1), "new"),
    "replace": lambda cache: (cache.clear(), cache.update((Key(n), n) for n in range(4))),
    "restart": lambda cache: cache.__init__(3, **RESTART.get(type(cache).__name__, {})),
}
RESTART = {"TTLCache": {"ttl": 5}, "TLRUCache": {"ttu": lambda key, value, now: now + 5}}

OPERATIONS = {
    "read": lambda cache, key: cache[key],
    "get": lambda cache, key: cache.get(key),
    "contains": lambda cache, key: key in cache,
    "set": lambda cache, key: cache.__setitem__(key, "value"),
    "delete": lambda cache, key: cache.__delitem__(key),
    "pop": lambda cache, key: cache.pop(key, None),
    "setdefault": lambda cache, key: cache.setdefault(key, "value"),
    "update": lambda cache, key: cache.update([(key, "value")]),
}


def fill(cache):
    cache.update((Key(number), number) for number in range(4))


def attempt(operation, cache, key):
    """The operation; a key that is not there (any more) is no failure."""
    try:
        operation(cache, key)
    except KeyError as error:
        assert error.args[0] is key


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("name", CLASSES)
def test_equality_and_hash_may_change_the_cache(name, action):
    for operation, hook, number in itertools.product(OPERATIONS.values(), ("on_eq", "on_hash"), (1, 9)):
        cache = make(name, 5)
        fill(cache)
        attempt(operation, cache, Key(number, **{hook: Trigger().arm(ACTIONS[action], cache)}))
        check(cache)


@pytest.mark.parametrize("name", CLASSES)
def test_an_error_of_equality_or_hash_reaches_the_caller(name):
    def fail():
        raise ZeroDivisionError

    for operation, hook in itertools.product(OPERATIONS.values(), ("on_eq", "on_hash")):
        cache = make(name, 5)
        fill(cache)
        with pytest.raises(ZeroDivisionError):
            operation(cache, Key(2, **{hook: fail}))
        assert [key.number for key in cache] == [0, 1, 2, 3]
        check(cache)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("name", CLASSES)
def test_getsizeof_may_change_the_cache(name, action):
    def getsizeof(value):
        trigger()
        return 1

    for number in (1, 9):
        trigger = Trigger()
        cache = make(name, 5, getsizeof=getsizeof)
        fill(cache)
        trigger.arm(ACTIONS[action], cache)
        cache[Key(number)] = "value"
        check(cache)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("name", ["TTLCache", "TLRUCache"])
def test_a_timer_may_change_the_cache(name, action):
    def timer():
        trigger()
        return 0

    for operation, number in itertools.product(OPERATIONS.values(), (1, 9)):
        trigger = Trigger()
        cache = make(name, 5, timer=timer)
        fill(cache)
        trigger.arm(ACTIONS[action], cache)
        attempt(operation, cache, Key(number))
        trigger()
        check(cache)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_time_to_use_may_change_the_cache(action):
    def until(key, value, now):
        trigger()
        return now + 10

    for number in (1, 9):
        trigger = Trigger()
        cache = make("TLRUCache", 5, ttu=until)
        fill(cache)
        trigger.arm(ACTIONS[action], cache)
        cache[Key(number)] = "value"
        check(cache)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_choice_may_change_the_cache(action):
    def choice(keys):
        trigger()
        return keys[0]

    for evict in (lambda cache: cache.__setitem__(Key(9), "value"), lambda cache: cache.popitem()):
        trigger = Trigger()
        cache = make("RRCache", 4, choice=choice)
        fill(cache)
        trigger.arm(ACTIONS[action], cache)
        try:
            evict(cache)
        except KeyError as error:  # the chosen one is gone
            assert error.args[0].number == 0
        check(cache)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("name", CLASSES)
def test_destructors_may_change_the_cache(name, action):
    removals = [
        lambda cache: cache.__setitem__(Key(1), "other"),
        lambda cache: cache.__delitem__(Key(1)),
        lambda cache: cache.pop(Key(1)) and None,
        lambda cache: cache.clear(),
        lambda cache: cache.update((Key(number), number) for number in range(50, 60)),
        lambda cache: cache.popitem() and None,
        lambda cache: cache.__init__(3, **RESTART.get(name, {})),
    ]
    for remove in removals:
        cache = make(name, 5)
        trigger = Trigger().arm(ACTIONS[action], cache)
        cache.update((Key(number), Dying(trigger)) for number in range(4))
        remove(cache)
        assert trigger.armed is None
        check(cache)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("name", ["TTLCache", "TLRUCache"])
def test_expiry_may_run_destructors_that_change_the_cache(name, action):
    expiries = [len, lambda cache: cache.expire(), lambda cache: cache.__setitem__(Key(9), 9), repr]
    for expire in expiries:
        clock = Clock()
        cache = make(name, 5, timer=clock)
        trigger = Trigger().arm(ACTIONS[action], cache)
        cache.update((Key(number), Dying(trigger)) for number in range(4))
        clock.now = 20
        expire(cache)
        check(cache)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("name", CLASSES)
def test_a_representation_may_change_the_cache(name, action):
    class Shown(Key):
        def __repr__(self):
            trigger()
            return "shown"

    cache = make(name, 5)
    trigger = Trigger().arm(ACTIONS[action], cache)
    cache.update((Shown(number), number) for number in range(4))
    assert repr(cache).count("shown") == 4
    check(cache)


@pytest.mark.parametrize("name", CLASSES)
def test_random_programs_within_random_programs(name):
    """Every hook of every object does random things to the cache, a few levels deep."""
    chance = random.Random(name)
    depth = 0

    def meddle(*_):
        nonlocal depth
        if depth < 3 and chance.random() < 0.05:
            depth += 1
            try:
                step()
            finally:
                depth -= 1

    def key():
        return Key(chance.randrange(12), on_eq=meddle, on_hash=meddle)

    def value():
        return Dying(meddle)

    def choice(keys):
        meddle()
        return keys[0] if keys else None

    def timer():
        meddle()
        return clock()

    def until(key, value, now):
        meddle()
        return now + chance.randrange(5)

    def step():
        operation = chance.choice(steps)
        try:
            operation()
        except (KeyError, RuntimeError, ValueError):
            pass

    clock = Clock()
    options = {"getsizeof": lambda value: meddle() or chance.randrange(3)}
    options |= {"choice": choice} if name == "RRCache" else {}
    options |= {"timer": timer, "ttl": 3} if name == "TTLCache" else {}
    options |= {"timer": timer, "ttu": until} if name == "TLRUCache" else {}
    cache = make(name, 8, **options)
    steps = [
        lambda: cache.__setitem__(key(), value()),
        lambda: cache.__setitem__(key(), value()),
        lambda: cache[key()],
        lambda: cache.get(key()),
        lambda: cache.pop(key()),
        lambda: cache.__delitem__(key()),
        lambda: cache.setdefault(key(), value()),
        lambda: cache.update([(key(), value()), (key(), value())]),
        lambda: cache.popitem(),
        lambda: cache.clear() if chance.random() < 0.1 else None,
        lambda: list(cache),
        lambda: list(cache.items()),
        lambda: len(cache),
        lambda: repr(cache),
        lambda: setattr(clock, "now", clock.now + 1),
    ]
    for _ in range(4000):
        step()
        _validate(cache)


def test_iteration_notices_a_change():
    for change in (lambda cache: cache.popitem(), lambda cache: cache.update({9: 9}), lambda cache: cache.clear()):
        cache = aiocachetools.LRUCache(5)
        cache.update({1: 1, 2: 2, 3: 3})
        keys = iter(cache)
        assert next(keys) == 1
        change(cache)
        with pytest.raises(RuntimeError, match="changed"):
            next(keys)
    cache = aiocachetools.LRUCache(3)
    cache.update({1: 1, 2: 2, 3: 3})
    assert [cache[key] for key in cache] == [1, 2, 3]  # reading is no change
    for key in cache:
        cache[key] = 0  # nor is another value
    assert list(cache.values()) == [0, 0, 0]


def test_iteration_over_a_full_cache_that_evicts_is_an_error():
    cache = aiocachetools.LRUCache(2)
    cache.update({1: 1, 2: 2})
    keys = iter(cache)
    next(keys)
    cache[3] = 3
    with pytest.raises(RuntimeError, match="changed"):
        next(keys)


def test_timed_caches_may_change_during_iteration():
    clock = Clock()
    cache = make("TTLCache", 10, timer=clock)
    cache.update({1: 1, 2: 2})
    clock.now = 5
    cache.update({3: 3, 4: 4})
    seen = []
    for key in cache:
        seen.append(key)
        if key == 1:
            del cache[1]
            clock.now = 12  # 2 expires
            assert len(cache) == 2
        if key == 3:
            del cache[4]
    assert seen == [1, 3]


def test_a_chain_of_caches_goes_without_recursion():
    in_child(
        """
        from aiocachetools import LRUCache

        inner = None
        for _ in range(200_000):
            cache = LRUCache(1)
            cache["inner"] = inner
            inner = cache
        del cache
        inner.clear()
        inner = None
        for _ in range(200_000):
            cache = LRUCache(1)
            cache["inner"] = [inner]
            inner = cache
        del cache, inner
        print("done")
        """
    )
