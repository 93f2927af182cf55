"""Rule N2: a removal listener is told of every entry that leaves, once, with the cause.

Rule N3: it is told when the change is complete, and may do anything to the cache.
"""

import copy
import gc
import pickle
import sys
import threading

import pytest
from support import Clock
from test_reentrancy import ACTIONS, CLASSES, RESTART, Dying, Key, Trigger, check, make

import aiocachetools
from aiocachetools import Cache, LRUCache, RemovalCause, RRCache, TLRUCache, TTLCache, cached
from aiocachetools._core import _validate

TIMED = ["TTLCache", "TLRUCache"]


class Log(list):
    """A listener that notes what it is told."""

    def __call__(self, key, value, cause):
        assert isinstance(cause, RemovalCause)
        self.append((key, value, cause.value))


@pytest.fixture
def told():
    return Log()


@pytest.fixture
def unraisable(monkeypatch):
    raised = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: raised.append((args.exc_value, args.object)))
    return raised


def filled(name, told, maxsize=3, count=3, **options):
    cache = make(name, maxsize, removal_listener=told, **options)
    cache.update((key, -key) for key in range(1, count + 1))
    return cache


def test_N2_causes_are_strings_too():
    assert [str(cause) for cause in RemovalCause] == ["explicit", "replaced", "expired", "size"]
    assert RemovalCause.SIZE == "size"
    assert RemovalCause("expired") is RemovalCause.EXPIRED


@pytest.mark.parametrize("name", CLASSES)
def test_N2_what_the_user_removes_is_explicit(name, told):
    cache = filled(name, told, maxsize=5, count=5)
    del cache[2]
    assert cache.pop(4) == -4
    assert told == [(2, -2, "explicit"), (4, -4, "explicit")]
    told.clear()
    pair = cache.popitem()
    assert told == [(*pair, "explicit")]
    told.clear()
    left = list(cache.items())
    cache.clear()
    assert told == [(*pair, "explicit") for pair in left]


@pytest.mark.parametrize("name", CLASSES)
def test_N2_what_is_overwritten_is_replaced(name, told):
    cache = filled(name, told)
    cache[2] = "new"
    cache.update({3: "new"})
    cache[2] = "newest"
    assert told == [(2, -2, "replaced"), (3, -3, "replaced"), (2, "new", "replaced")]


@pytest.mark.parametrize("name", CLASSES)
def test_N2_what_makes_room_left_for_size(name, told):
    cache = filled(name, told)
    cache[4] = -4
    ((key, value, cause),) = told
    assert value == -key
    assert cause == "size"
    assert sorted([key, *cache]) == [1, 2, 3, 4]


@pytest.mark.parametrize("name", CLASSES)
def test_N2_all_that_makes_room_for_one_is_told(name, told):
    cache = make(name, 6, getsizeof=abs, removal_listener=told)
    cache.update({1: -1, 2: -2, 3: -3})
    cache[6] = -6
    assert sorted(told) == [(1, -1, "size"), (2, -2, "size"), (3, -3, "size")]
    told.clear()
    with pytest.raises(ValueError, match="too large"):
        cache[7] = -7
    assert told == []


@pytest.mark.parametrize("name", TIMED)
@pytest.mark.parametrize(
    "expire",
    [len, repr, list, lambda cache: cache.expire(), lambda cache: cache.update({9: -9}), Cache.clear],
    ids=["len", "repr", "iter", "expire", "set", "clear"],
)
def test_N2_what_is_over_expired(name, told, expire):
    clock = Clock()
    cache = filled(name, told, timer=clock)
    clock.now = 10
    expire(cache)
    if not told:  # an iterator passes over what has expired
        cache.expire()
    assert sorted(told) == [(1, -1, "expired"), (2, -2, "expired"), (3, -3, "expired")]


@pytest.mark.parametrize("name", TIMED)
def test_N2_what_is_deleted_or_overwritten_too_late_expired(name, told):
    clock = Clock()
    cache = filled(name, told, timer=clock)
    clock.now = 10
    with pytest.raises(KeyError):
        del cache[2]
    assert told == [(2, -2, "expired")]
    cache[1] = "new"
    assert sorted(told[1:]) == [(1, -1, "expired"), (3, -3, "expired")]


def test_N2_a_value_that_is_over_at_once_replaces(told):
    cache = TLRUCache(3, lambda key, value, now: now + value, Clock(), removal_listener=told)
    cache[1] = 5
    cache[1] = 0
    assert 1 not in cache
    assert told == [(1, 5, "replaced")]


@pytest.mark.parametrize("name", CLASSES)
def test_N2_a_cache_made_anew_tells_the_old_listener(name, told):
    cache = filled(name, told)
    later = Log()
    cache.__init__(5, removal_listener=later, **RESTART.get(name, {}))
    assert told == [(1, -1, "explicit"), (2, -2, "explicit"), (3, -3, "explicit")]
    cache[1] = 1
    cache.clear()
    assert later == [(1, 1, "explicit")]
    assert len(told) == 3


@pytest.mark.parametrize("name", CLASSES)
def test_N2_what_a_cache_holds_when_it_goes_is_not_told(name, told):
    cache = filled(name, told)
    del cache
    cache = filled(name, told)
    cache[1] = cache
    assert told == [(1, -1, "replaced")]
    del cache
    gc.collect()
    assert told == [(1, -1, "replaced")]


def test_N2_a_listener_that_holds_its_cache_is_collected():
    class Listener:
        def __call__(self, key, value, cause):
            pytest.fail("nobody is told")

    listener = Listener()
    listener.gone = Dying(lambda: gone.append(True))
    listener.cache = LRUCache(3, removal_listener=listener)
    listener.cache[1] = 1
    gone = []
    del listener
    gc.collect()
    assert gone == [True]


def test_N2_a_listener_may_come_and_go(told):
    cache = LRUCache(3)
    assert cache.removal_listener is None
    cache[1] = 1
    cache[1] = 2
    cache.removal_listener = told
    assert cache.removal_listener is told
    cache[1] = 3
    cache.removal_listener = None
    cache[1] = 4
    assert told == [(1, 2, "replaced")]


@pytest.mark.parametrize("name", CLASSES)
def test_N2_what_is_no_listener_is_an_error(name):
    with pytest.raises(
        TypeError, match=rf"{name}: removal_listener must be a function of key, value and cause"
    ):
        make(name, 3, removal_listener="print")
    cache = make(name, 3)
    with pytest.raises(TypeError, match="removal_listener"):
        cache.removal_listener = 5
    assert cache.removal_listener is None


@pytest.mark.parametrize("name", ["LRUCache", "RRCache", "TinyLFUCache"])
def test_N2_copies_tell_the_same_listener_and_pickles_none(name, told):
    cache = filled(name, told)
    for other in (copy.copy(cache), copy.deepcopy(cache)):
        assert other.removal_listener is told
        del other[1]
        assert told.pop() == (1, -1, "explicit")
    cache.removal_listener = lambda key, value, cause: None
    assert pickle.loads(pickle.dumps(cache)).removal_listener is None
    assert told == []


def test_N2_overridden_methods_tell_once(told):
    class Hooked(LRUCache):
        def __delitem__(self, key):
            super().__delitem__(key)

        def pop(self, key, *default):
            return super().pop(key, *default)

        def popitem(self):
            key = next(iter(self))
            return key, self.pop(key)

    cache = Hooked(2, removal_listener=told)
    cache.update({1: 1, 2: 2, 3: 3})
    assert told == [(1, 1, "size")]
    cache.popitem()
    cache.pop(3)
    cache[4] = 4
    cache.clear()
    assert told[1:] == [(2, 2, "explicit"), (3, 3, "explicit"), (4, 4, "explicit")]


@pytest.mark.parametrize("name", TIMED)
def test_N2_an_overridden_expire_tells_once(name, told):
    class Hooked(getattr(aiocachetools, name)):
        def expire(self, time=None):
            return super().expire(time)

    clock = Clock()
    argument = 10 if name == "TTLCache" else lambda key, value, now: now + 10
    cache = Hooked(3, argument, clock, removal_listener=told)
    cache.update({1: 1, 2: 2})
    clock.now = 10
    assert len(cache) == 0
    assert told == [(1, 1, "expired"), (2, 2, "expired")]


def test_N2_decorated_functions_tell(told, run):
    @cached(TTLCache(2, 60, removal_listener=told))
    async def double(x):
        return 2 * x

    async def main():
        assert [await double(x) for x in (1, 2, 3)] == [2, 4, 6]

    run(main())
    assert told == [(double.cache_key(1), 2, "size")]
    assert double.cache_invalidate(2)
    double.cache_clear()
    assert told[1:] == [(double.cache_key(2), 4, "explicit"), (double.cache_key(3), 6, "explicit")]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("name", CLASSES)
def test_N2_an_error_of_a_listener_loses_nothing(name, error, unraisable):
    def fail(key, value, cause):
        raise error(key)

    cache = filled(name, fail)
    cache[1] = "new"
    assert cache.pop(1) == "new"
    cache.update({7: 7, 8: 8})
    assert len(cache) == 3
    assert cache[8] == 8
    cache.clear()
    assert len(cache) == 0
    assert [type(raised) for raised, _ in unraisable] == [error] * 6
    assert all(listener is fail for _, listener in unraisable)
    _validate(cache)


# Re-entrancy

REMOVALS = {
    "overwrite": lambda cache: cache.__setitem__(Key(1), "other"),
    "delete": lambda cache: cache.__delitem__(Key(1)),
    "pop": lambda cache: cache.pop(Key(1)),
    "clear": lambda cache: cache.clear(),
    "evict": lambda cache: cache.update((Key(number), number) for number in range(50, 60)),
    "popitem": lambda cache: cache.popitem(),
    "restart": lambda cache: cache.__init__(3, **RESTART.get(type(cache).__name__, {})),
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("removal", REMOVALS)
@pytest.mark.parametrize("name", CLASSES)
def test_N3_a_listener_may_change_the_cache(name, removal, action):
    trigger = Trigger()
    cache = make(name, 5, removal_listener=lambda key, value, cause: trigger())
    cache.update((Key(number), number) for number in range(4))
    trigger.arm(ACTIONS[action], cache)
    REMOVALS[removal](cache)
    assert trigger.armed is None
    check(cache)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    "expire", [len, repr, lambda cache: cache.expire(), lambda cache: cache.update({Key(9): 9})]
)
@pytest.mark.parametrize("name", TIMED)
def test_N3_a_listener_of_what_expires_may_change_the_cache(name, expire, action):
    clock, trigger = Clock(), Trigger()
    cache = make(name, 5, timer=clock, removal_listener=lambda key, value, cause: trigger())
    cache.update((Key(number), number) for number in range(4))
    trigger.arm(ACTIONS[action], cache)
    clock.now = 20
    expire(cache)
    assert trigger.armed is None
    check(cache)


@pytest.mark.parametrize("name", CLASSES)
def test_N3_a_listener_sees_the_change_done(name):
    def listener(key, value, cause):
        seen.append((cause.value, cache.get(key), len(cache)))

    seen = []
    cache = make(name, 2, removal_listener=listener)
    cache[1] = "old"
    cache[1] = "new"
    del cache[1]
    cache.update({2: 2, 3: 3})
    assert seen == [("replaced", "new", 1), ("explicit", None, 0)]
    cache[4] = 4
    assert seen[2:] == [("size", None, 2)]


@pytest.mark.parametrize("kind", [LRUCache, RRCache])
def test_N3_what_a_listener_of_an_eviction_removes_is_explicit(kind):
    """Though the eviction, by a `popitem` that Python may override, is still under way."""

    def listener(key, value, cause):
        told.append((key, cause.value))
        if len(told) == 1:
            cache.popitem()

    told = []
    cache = kind(2, removal_listener=listener)
    cache.update({1: 1, 2: 2})
    cache[3] = 3
    assert [cause for _, cause in told] == ["size", "explicit"]
    assert len(cache) == 1


def test_N3_a_listener_that_stores_what_was_evicted_ends(monkeypatch):
    """Where the stack ends.  The hook is called there too, so some versions of Python cannot call it."""

    def listener(key, value, cause):
        told.append(key)
        cache[key] = value

    told, raised = [], []
    monkeypatch.setattr(sys, "unraisablehook", raised.append)
    cache = LRUCache(2, removal_listener=listener)
    cache.update({1: 1, 2: 2, 3: 3})
    assert len(told) > 50
    assert all(error.exc_type is RecursionError for error in raised)
    assert len(cache) == 2
    _validate(cache)


@pytest.mark.parametrize("name", CLASSES)
def test_N3_listeners_and_threads(name):
    """Threads take turns inside of the listener, in the midst of evictions too."""

    def listener(key, value, cause):
        switch.wait(0)
        causes.append(cause)

    def work(start):
        try:
            for number in range(start, start + 200):
                cache[number] = number
                cache.pop(number - 1, None)
        except BaseException as error:
            failures.append(error)

    switch = threading.Event()
    causes, failures = [], []
    cache = make(name, 3, removal_listener=listener)
    threads = [threading.Thread(target=work, args=(1000 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(causes) + len(cache) == 800
    stats = cache.stats
    assert (stats.evictions, stats.removals) == (causes.count("size"), causes.count("explicit"))
    check(cache)
