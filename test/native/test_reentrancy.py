"""Rule N3: what users' code does to a cache from inside of the cache's own operations."""

import contextlib
import itertools
import random
import threading

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


class Meddler:
    """A cache each of whose hooks does random things to it, a few levels deep."""

    def __init__(self, name):
        self.chance = random.Random(name)
        self.depth = 0
        self.clock = Clock(0)
        options = {
            "getsizeof": lambda value: self.meddle() or self.chance.randrange(3),
            "removal_listener": lambda key, value, cause: self.meddle(),
        }
        if name == "RRCache":
            options["choice"] = lambda keys: self.meddle() or keys[0]
        if name in ("TTLCache", "TLRUCache"):
            options["timer"] = lambda: self.meddle() or self.clock()
        if name == "TTLCache":
            options["ttl"] = 3
        if name == "TLRUCache":
            options["ttu"] = lambda key, value, now: self.meddle() or now + self.chance.randrange(5)
        self.cache = make(name, 8, **options)

    def meddle(self):
        if self.depth < 3 and self.chance.random() < 0.05:
            self.depth += 1
            self.step()
            self.depth -= 1

    def key(self):
        return Key(self.chance.randrange(12), on_eq=self.meddle, on_hash=self.meddle)

    def value(self):
        return Dying(self.meddle)

    def step(self):
        operations = [
            *(lambda cache, each=each: each(cache, self.key()) for each in OPERATIONS.values()),
            lambda cache: cache.__setitem__(self.key(), self.value()),
            lambda cache: cache.__setitem__(self.key(), self.value()),
            lambda cache: cache.setdefault(self.key(), self.value()),
            lambda cache: cache.update([(self.key(), self.value()), (self.key(), self.value())]),
            lambda cache: cache.popitem(),
            lambda cache: cache.clear() if self.chance.random() < 0.1 else None,
            lambda cache: list(cache.items()),
            lambda cache: [len(cache), repr(cache)],
            lambda cache: setattr(self.clock, "now", self.clock.now + 1),
        ]
        # What is looked for may go, what is iterated over may change.
        with contextlib.suppress(KeyError, RuntimeError):
            self.chance.choice(operations)(self.cache)


@pytest.mark.parametrize("name", CLASSES)
def test_random_programs_within_random_programs(name):
    meddler = Meddler(name)
    for _ in range(4000):
        meddler.step()
        _validate(meddler.cache)


@pytest.mark.parametrize("name", CLASSES)
def test_threads(name):
    """Threads take turns inside of every hook."""

    def work(seed):
        chance = random.Random(seed)
        try:
            for _ in range(400):
                key = Key(chance.randrange(12), on_eq=pause, on_hash=pause)
                operation = chance.choice([*OPERATIONS.values(), lambda cache, key: cache.popitem()])
                with contextlib.suppress(KeyError):
                    operation(cache, key)
        except BaseException as error:
            failures.append(error)
        finally:
            with turn:
                at_work.remove(seed)
                turn.notify_all()

    def pause():
        """Wait until another thread has come to a hook as well, if there is one left."""
        with turn:
            turns.append(None)
            mine = len(turns)
            turn.notify_all()
            turn.wait_for(lambda: len(turns) > mine or len(at_work) < 2)

    failures, turns = [], []
    turn, at_work = threading.Condition(), set(range(4))
    cache = make(name, 8, getsizeof=lambda value: pause() or 1)
    threads = [threading.Thread(target=work, args=(seed,)) for seed in at_work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    check(cache)


def test_iteration_notices_a_change():
    for change in (
        lambda cache: cache.popitem(),
        lambda cache: cache.update({9: 9}),
        lambda cache: cache.clear(),
    ):
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


class Reinitializes:
    """Equal to nothing, and anew with every comparison: as many entries, elsewhere."""

    def __init__(self, cache):
        self.cache = cache

    def __hash__(self):
        return 7

    def __eq__(self, other):
        cache, self.cache = self.cache, None
        if cache is not None:
            cache.__init__(3)
            cache[8] = "another store's"
        return False


def test_N3_a_cache_that_is_made_anew_during_a_lookup_is_searched_again():
    cache = aiocachetools.LRUCache(3)
    key = Reinitializes(cache)
    cache[key] = "old"
    assert cache.get(Reinitializes(None)) is None
    assert list(cache) == [8]
