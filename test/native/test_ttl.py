import copy
import math
import pickle
import time
from datetime import datetime, timedelta
from fractions import Fraction

import pytest
from conformance import CacheConformance
from support import Clock

from aiocachetools import TTLCache


class TestTTLCache(CacheConformance):
    kind = TTLCache

    def make(self, maxsize, ttl=math.inf, timer=None, **options):
        return TTLCache(maxsize, ttl, timer or Clock(), **options)


class TestTTLCacheByTheClock(CacheConformance):
    kind = TTLCache

    def make(self, maxsize, ttl=600, **options):
        return TTLCache(maxsize, ttl, **options)

    def test_the_timer_is_comparable_with_the_monotonic_clock(self):
        cache = self.make(1)
        before = time.monotonic()
        now = cache.timer()
        assert before <= now <= time.monotonic()

    def test_entries_expire(self):
        cache = self.make(3, ttl=0.03)
        cache[1] = 1
        start = time.monotonic()
        while 1 in cache:
            assert time.monotonic() - start < 1
        assert time.monotonic() - start > 0.025
        assert cache.get(1) is None
        assert len(cache) == 0

    def test_what_expires_at_once(self):
        for ttl in (0, -1):
            cache = self.make(3, ttl=ttl)
            cache[1] = 1
            assert 1 not in cache
            assert len(cache) == 0

    def test_frozen_time(self):
        cache = self.make(3, ttl=0.005)
        with cache.timer as now:
            cache[1] = 1
            while time.monotonic() - now < 0.02:
                assert cache[1] == 1
            assert cache.timer() == now
        assert 1 not in cache


class TestExpiry:
    def make(self, maxsize=10, ttl=10):
        self.clock = Clock(0)
        return TTLCache(maxsize, ttl, timer=self.clock)

    def test_an_entry_lives_for_its_time(self):
        cache = self.make()
        cache[1] = 1
        self.clock.now = 9.999
        assert cache[1] == 1
        self.clock.now = 10
        assert 1 not in cache
        assert cache.get(1) is None
        assert cache.pop(1, "gone") == "gone"
        for operation in (cache.__getitem__, cache.pop, cache.__delitem__):
            with pytest.raises(KeyError):
                operation(1)

    def test_writing_renews_and_reading_does_not(self):
        cache = self.make()
        cache.update({1: 1, 2: 2})
        self.clock.now = 5
        cache[1] = "new"
        cache[2]
        self.clock.now = 12
        assert dict(cache) == {1: "new"}

    def test_setdefault_replaces_what_has_expired(self):
        cache = self.make()
        cache[1] = "old"
        self.clock.now = 10
        assert cache.setdefault(1, "new") == "new"
        assert cache[1] == "new"

    def test_expired_entries_make_room(self):
        cache = self.make(maxsize=2)
        cache["old"] = 1
        self.clock.now = 5
        cache["young"] = 2
        cache["old"]  # used last, and yet
        self.clock.now = 10
        cache["new"] = 3
        assert dict(cache) == {"young": 2, "new": 3}

    def test_expire(self):
        cache = self.make()
        for key in (1, 2, 3):
            cache[key] = str(key)
            self.clock.now += 1
        assert cache.expire() == []
        assert cache.expire(11) == [(1, "1"), (2, "2")]
        assert cache.expire(11) == []
        assert list(cache) == [3]
        self.clock.now = 12
        assert cache.expire() == [(3, "3")]

    def test_size_and_length_leave_out_what_has_expired(self):
        cache = self.make()
        cache.update({1: 1, 2: 2})
        self.clock.now = 10
        assert (len(cache), cache.currsize, list(cache)) == (0, 0, [])
        assert repr(cache) == "TTLCache({}, maxsize=10, currsize=0)"

    def test_popitem_leaves_out_what_has_expired(self):
        cache = self.make()
        cache[1] = 1
        self.clock.now = 5
        cache[2] = 2
        self.clock.now = 10
        assert cache.popitem() == (2, 2)
        with pytest.raises(KeyError, match="TTLCache is empty"):
            cache.popitem()

    def test_iteration_is_in_the_order_of_expiry(self):
        cache = self.make()
        cache.update({1: 1, 2: 2, 3: 3})
        cache[1] = "new"
        assert list(cache) == [2, 3, 1]

    def test_the_timer_of_the_cache(self):
        class Timer(Clock):
            unit = "s"

            def tick(self):
                self.now += 1

        timer = Timer(3)
        cache = TTLCache(2, 5, timer=timer)
        assert (cache.timer(), cache.ttl, cache.timer.unit) == (3, 5, "s")
        cache.timer.tick()
        with cache.timer as now:
            timer.now = 100
            with cache.timer as inner:
                assert (now, inner, cache.timer()) == (4, 4, 4)
        assert cache.timer() == 100
        with pytest.raises(AttributeError):
            cache.timer.absent

    def test_time_stands_still_within_an_operation(self):
        def timer():
            readings.append(len(readings))
            return readings[-1]

        readings = []
        cache = TTLCache(3, 1.5, timer=timer, getsizeof=lambda value: cache.timer() * 0 + 1)
        cache[1] = 1
        assert readings == [0]

    def test_a_timer_that_fails_leaves_the_cache_as_it_was(self):
        def timer():
            if failing:
                raise ZeroDivisionError
            return 0

        failing = False
        cache = TTLCache(2, 5, timer=timer)
        cache[1] = 1
        failing = True
        for operation in (
            lambda: cache[1],
            lambda: cache.__setitem__(1, 2),
            lambda: cache.__setitem__(2, 2),
            lambda: cache.__delitem__(1),
            lambda: cache.pop(1),
            lambda: cache.setdefault(1, 2),
            lambda: cache.popitem(),
            lambda: len(cache),
            lambda: repr(cache),
            lambda: cache.expire(),
        ):
            with pytest.raises(ZeroDivisionError):
                operation()
        failing = False
        assert dict(cache) == {1: 1}


class TestTimes:
    """Times of other types than float."""

    def test_datetimes(self):
        clock = Clock(datetime(2024, 1, 1))
        cache = TTLCache(5, timedelta(days=1), timer=clock)
        assert cache.ttl == timedelta(days=1)
        cache[1] = 1
        clock.now += timedelta(hours=23, minutes=59)
        assert cache[1] == 1
        assert cache.expire(clock.now) == []
        clock.now += timedelta(minutes=1)
        assert 1 not in cache
        assert cache.expire() == [(1, 1)]
        with cache.timer as now:
            assert now is clock.now

    @pytest.mark.parametrize(
        "way", [copy.copy, copy.deepcopy, lambda cache: pickle.loads(pickle.dumps(cache))]
    )
    def test_copies_of_datetimes(self, way):
        clock = Clock(datetime(2024, 1, 1))
        cache = TTLCache(5, timedelta(days=1), timer=clock)
        cache[1] = 1
        clock.now += timedelta(hours=12)
        cache[2] = 2
        twin = way(cache)
        assert twin.expire(datetime(2024, 1, 2)) == [(1, 1)]
        assert twin.expire(datetime(2024, 1, 2, 12)) == [(2, 2)]
        assert len(cache) == 2

    def test_datetimes_that_overflow(self):
        cache = TTLCache(1, timedelta(days=1), timer=lambda: datetime.max)
        with pytest.raises(OverflowError):
            cache[1] = 1
        assert (len(cache), cache.currsize) == (0, 0)

    def test_nanoseconds_are_exact(self):
        clock = Clock(1_700_000_000_000_000_001)
        cache = TTLCache(5, 10, timer=clock)
        cache[1] = 1
        clock.now += 9
        assert 1 in cache
        clock.now += 1
        assert 1 not in cache

    def test_fractions(self):
        clock = Clock(Fraction(1, 3))
        cache = TTLCache(5, Fraction(1, 3), timer=clock)
        cache[1] = 1
        clock.now = Fraction(65, 100)
        assert 1 in cache
        clock.now = Fraction(67, 100)
        assert 1 not in cache

    def test_forever(self):
        cache = TTLCache(2, math.inf)
        cache[1] = 1
        assert cache.expire(1e300) == []
        assert cache[1] == 1

    def test_what_is_no_time(self):
        with pytest.raises(ValueError, match="must be a number"):
            TTLCache(2, math.nan)
        with pytest.raises(ValueError, match="must be a number"):
            TTLCache(2, 1, timer=lambda: math.nan)[1] = 1
        with pytest.raises(TypeError):
            TTLCache(2, "1")[1] = 1
        with pytest.raises(TypeError):
            TTLCache(2, 1, timer=lambda: "now")[1] = 1
        with pytest.raises(TypeError):
            TTLCache(2, timedelta(1))[1] = 1
