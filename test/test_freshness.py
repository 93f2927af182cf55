"""Rule R1: how long results are good; and the options of it that cannot be."""

import asyncio
import random
from datetime import timedelta

import cachetools
import pytest
from support import fresh_for_ten

from aiocachetools import LRUCache, TLRUCache, TTLCache, cached, cachedmethod

# R1: ttl, jitter, cache_if


@pytest.mark.parametrize("policy", ["lru", "lfu", "fifo", "rr", "tinylfu"])
@pytest.mark.parametrize(
    "ttl", [10, timedelta(seconds=10), lambda value: 10, lambda value: timedelta(seconds=10)]
)
def test_R1_an_entry_lives_for_its_ttl(run, clock, upstream, policy, ttl):
    async def main():
        f = fresh_for_ten(upstream, clock, ttl=ttl, policy=policy)
        assert [await f(1), await f(1)] == [1, 1]
        clock.now = 9.99
        assert f.cache_contains(1)
        clock.now = 10
        assert not f.cache_contains(1)
        assert await f(1) == 2

    run(main())


def test_R1_the_ttl_may_depend_on_the_value(run, clock):
    async def main():
        @cached(ttl=lambda value: {"short": 1, "never": None, "not": 0, "less": -5}[value], timer=clock)
        async def f(value):
            return value

        for value in ("short", "never", "not", "less"):
            await f(value)
        assert [f.cache_contains(value) for value in ("short", "never", "not", "less")] == [
            True,
            True,
            False,
            False,
        ]
        clock.now = 1
        assert [f.cache_contains(value) for value in ("short", "never")] == [False, True]
        assert f.cache_parameters()["ttl"].__name__ == "<lambda>"

    run(main())


def test_R1_what_is_not_worth_keeping_is_told_and_set_as_not_stored(run, clock):
    async def main():
        events = []

        @cached(
            ttl=lambda value: value, timer=clock, cache_if=lambda value: value != 5, listener=events.append
        )
        async def f(value):
            return value

        assert [await f(0), await f(5), await f(10)] == [0, 5, 10]
        assert [f.cache_set(value, "by hand") for value in (0, 5, 10)] == [False, False, True]
        assert [event.name for event in events] == ["miss", "miss", "miss", "store", "store"]

    run(main())


def test_R1_what_a_ttl_function_returns_is_checked(run):
    async def main():
        @cached(ttl=lambda value: "60")
        async def f(value):
            return value

        with pytest.raises(TypeError, match=r"ttl function must return a number of seconds.*not '60'"):
            await f(1)
        assert not f.cache_contains(1)

    run(main())


def test_R1_jitter_spreads_expiry(run, clock, upstream):
    async def main():
        f = fresh_for_ten(upstream, clock, jitter=5)
        random.seed(7)
        for key in range(100):
            await f(key)
        lives = []
        for now in range(10, 16):
            clock.now = now
            lives.append(sum(f.cache_contains(key) for key in range(100)))
        assert lives[0] == 100
        assert lives[-1] == 0
        assert lives == sorted(lives, reverse=True)
        assert len(set(lives)) > 4

    run(main())


@pytest.mark.parametrize(
    "make",
    [lambda clock: TTLCache(9, 10, clock), lambda clock: TLRUCache(9, lambda k, v, now: now + 10, clock)],
)
def test_R1_jitter_adds_to_what_a_cache_says(run, clock, upstream, make):
    async def main():
        f = cached(make(clock), jitter=1000)(upstream.__call__)
        random.seed(7)
        await f(1)
        clock.now = 10.001
        assert f.cache_contains(1)

    run(main())


@pytest.mark.parametrize("cache", [None, dict, lambda: cachetools.LRUCache(9), lambda: LRUCache(9)])
def test_R1_cache_if_decides_what_is_stored(run, cache):
    async def main():
        calls = []

        async def f(x):
            calls.append(x)
            return x

        decorate = cached(cache_if=bool) if cache is None else cached(cache(), cache_if=bool)
        f = decorate(f)
        assert [await f(0), await f(0), await f(1), await f(1)] == [0, 0, 1, 1]
        assert calls == [0, 0, 1]

    run(main())


def test_R1_an_error_of_cache_if_reaches_the_caller(run):
    async def main():
        @cached(cache_if=lambda value: 1 / value)
        async def f(x):
            return x

        with pytest.raises(ZeroDivisionError):
            await f(0)
        assert await f(1) == 1

    run(main())


# Options that do not go together


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"stale_if_error": 5}, TypeError, "stale_if_error needs entries that expire: give ttl as well"),
        ({"jitter": 5}, TypeError, "jitter needs entries that expire"),
        (
            {"cache": {}, "stale_while_revalidate": 5},
            TypeError,
            "stale_while_revalidate needs one of aiocachetools' own caches.* not dict",
        ),
        (
            {"cache": cachetools.TTLCache(1, 1), "cache_errors": {OSError: 1}},
            TypeError,
            "cache_errors needs one of",
        ),
        (
            {"cache": LRUCache(1), "stale_if_error": 5},
            TypeError,
            "stale_if_error needs entries that expire: give a TTLCache",
        ),
        ({"cache": {}, "ttl": lambda value: 5}, TypeError, "ttl cannot be combined with a cache"),
        (
            {"ttl": 5, "stale_if_error": -1},
            ValueError,
            "stale_if_error must be a number of seconds from 0, not -1",
        ),
        ({"ttl": 5, "jitter": "1"}, TypeError, "jitter must be a number of seconds or a timedelta, not '1'"),
        ({"timeout": 0}, ValueError, "timeout must be a number of seconds above 0"),
        ({"cache_if": 5}, TypeError, "cache_if must be a function of the value, not 5"),
        (
            {"cache_errors": OSError},
            TypeError,
            r"cache_errors must map exception types to seconds, such as cache_errors=\{NotFound: 30\}",
        ),
        (
            {"cache_errors": {asyncio.CancelledError: 5}},
            TypeError,
            "cache_errors must name subclasses of Exception",
        ),
        ({"cache_errors": {OSError: "5"}}, TypeError, r"cache_errors\[OSError\] must be a number"),
    ],
)
def test_A4_options_that_cannot_be_are_refused(options, error, text):
    with pytest.raises(error, match=text):

        @cached(**options)
        async def f(key):
            return key


def test_A4_a_lock_does_not_go_with_entry_state():
    import threading

    with pytest.raises(TypeError, match="stale_if_error cannot be combined with a lock"):
        cached(ttl=5, stale_if_error=5, lock=threading.Lock())


def test_A4_a_resolved_cache_is_checked_when_it_is_there(run):
    class Service:
        cache = {}

        @cachedmethod(lambda self: self.cache, stale_if_error=10)
        async def get(self, key):
            return key

    async def main():
        with pytest.raises(TypeError, match=r"get\(\): stale_if_error cannot be combined with .* dict"):
            await Service().get(1)

    run(main())
