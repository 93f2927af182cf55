"""Rule N2: an entry of any class may have a time to live and a weight of its own."""

import asyncio
import copy
import pickle
from datetime import datetime, timedelta

import pytest
from support import Clock, Source, settle
from test_reentrancy import CLASSES, make

from aiocachetools import Cache, LRUCache, RemovalCause, TLRUCache, TTLCache, cached


@pytest.fixture
def clock():
    return Clock()


def timed(name, clock, maxsize=10, **options):
    return make(name, maxsize, timer=clock, **options)


@pytest.mark.parametrize("name", CLASSES)
def test_N2_an_entry_lives_as_long_as_it_was_given(name, clock):
    cache = timed(name, clock)
    cache.set("a", 1, ttl=5)
    cache.set("b", 2, ttl=timedelta(seconds=7))
    cache["c"] = 3
    clock.now = 4.9
    assert dict(cache) == {"a": 1, "b": 2, "c": 3}
    clock.now = 5
    assert "a" not in cache
    assert cache.get("a") is None
    assert cache.pop("a", None) is None
    assert len(cache) == 2
    clock.now = 7
    assert list(cache) == ["c"]
    assert (len(cache), cache.currsize) == (1, 1)


@pytest.mark.parametrize("name", CLASSES)
def test_N5_expired_entries_make_room_before_any_is_evicted(name, clock):
    gone = []
    cache = timed(name, clock, 2, removal_listener=lambda *entry: gone.append(entry))
    cache.set("a", 1, ttl=5)
    cache["b"] = 2
    clock.now = 5
    cache["c"] = 3
    assert gone == [("a", 1, RemovalCause.EXPIRED)]
    assert dict(cache) == {"b": 2, "c": 3}


@pytest.mark.parametrize("name", CLASSES)
def test_N2_the_next_store_begins_anew(name, clock):
    cache = timed(name, clock)
    cache.set("a", 1, ttl=5, weight=4)
    cache["a"] = 2
    assert cache.currsize == 1
    clock.now = 6
    assert cache["a"] == 2


@pytest.mark.parametrize("name", ["TTLCache", "TLRUCache"])
def test_N2_a_time_of_its_own_is_in_place_of_the_cache_s(name, clock):
    if name == "TTLCache":
        cache = TTLCache(10, 100, timer=clock)
    else:
        cache = TLRUCache(10, lambda key, value, now: now + 100, timer=clock)
    cache.set("long", 1, ttl=1000)
    cache["usual"] = 2
    cache.set("short", 3, ttl=1)
    clock.now = 1
    assert cache.expire() == [("short", 3)]
    clock.now = 999
    assert cache.expire() == [("usual", 2)]
    assert list(cache) == ["long"]


@pytest.mark.parametrize("name", CLASSES)
def test_N2_weights_add_up(name, clock):
    gone = []
    cache = timed(name, clock, removal_listener=lambda *entry: gone.append(entry))
    cache.set("a", 1, weight=6)
    cache.set("b", 2, weight=4)
    assert (cache.currsize, gone) == (10, [])
    cache.set("b", 3, weight=2.5)
    assert cache.currsize == 8.5
    assert gone == [("b", 2, RemovalCause.REPLACED)]
    cache.set("c", 4, weight=8)
    assert ("c", 4) in cache.items()
    assert cache.currsize <= 10


@pytest.mark.parametrize("name", CLASSES)
def test_N2_a_weight_that_does_not_fit_changes_nothing(name, clock):
    cache = timed(name, clock)
    cache.set("a", 1, weight=6)
    with pytest.raises(ValueError, match="value too large"):
        cache.set("a", 2, weight=11)
    assert (dict(cache), cache.currsize) == ({"a": 1}, 6)


def test_N2_a_weight_is_in_place_of_getsizeof():
    cache = LRUCache(10, getsizeof=len)
    cache.set("a", "four", weight=1)
    cache["b"] = "four"
    assert cache.currsize == 5


@pytest.mark.parametrize("name", CLASSES)
def test_N2_a_time_of_nothing_is_expired_at_once(name, clock):
    cache = timed(name, clock)
    cache["a"] = 1
    cache.set("a", 2, ttl=0)
    assert "a" not in cache
    assert len(cache) == 0


@pytest.mark.parametrize(
    "remade", [copy.copy, copy.deepcopy, lambda cache: pickle.loads(pickle.dumps(cache))]
)
def test_N2_copies_and_pickles_keep_them(remade):
    cache = LRUCache(10)
    cache.set("a", 1, ttl=0.0, weight=2)
    cache.set("b", 2, ttl=1e6, weight=3)
    cache.set("c", 3, weight=4)
    other = remade(cache)
    assert (dict(other), other.currsize) == ({"b": 2, "c": 3}, 7)
    other.set("d", 4, weight=4)
    assert (dict(other), other.currsize) == ({"c": 3, "d": 4}, 8)


def test_N2_the_timer_may_tell_datetimes():
    now = datetime(2026, 1, 1)
    cache = LRUCache(10, timer=lambda: now)
    cache.set("a", 1, ttl=timedelta(minutes=1))
    now += timedelta(seconds=59)
    assert "a" in cache
    now += timedelta(seconds=1)
    assert "a" not in cache


def test_N2_set_with_nothing_of_its_own_is_an_assignment():
    class Doubling(LRUCache):
        def __setitem__(self, key, value):
            super().__setitem__(key, 2 * value)

    cache = Doubling(10)
    cache.set("a", 1)
    assert cache["a"] == 2


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"ttl": "60"}, TypeError, r"LRUCache\.set\(\): ttl must be a number of seconds .*, not '60'"),
        ({"ttl": -1}, ValueError, r"LRUCache\.set\(\): ttl must be .*, not -1"),
        ({"ttl": float("nan")}, ValueError, "ttl must be"),
        ({"weight": -1}, ValueError, r"LRUCache\.set\(\): weight must be .*, not -1"),
        ({"weight": float("inf")}, ValueError, "weight must be"),
        ({"weight": "1"}, TypeError, "weight must be"),
    ],
)
def test_N2_what_is_no_time_and_no_weight_is_an_error(options, error, text):
    cache = LRUCache(10)
    with pytest.raises(error, match=text):
        cache.set("a", 1, **options)
    assert len(cache) == 0


def test_F4_set_wins_over_a_load_in_flight(run):
    async def main():
        cache, source = Cache(10), Source(held=True)
        load = cached(cache, key=lambda key: key)(source.load)
        call = asyncio.ensure_future(load(1))
        await settle()
        cache.set(1, "set", ttl=60)
        source.gate.set()
        assert await call == ["value of", 1]
        assert cache[1] == "set"

    run(main())
