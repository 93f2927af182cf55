"""The contract of `cached` and `cached_many`, in plain Python: what calls, loads and time come to.

It is written from the rules F1 to F5, R1 to R5 and R7 (docs/design.md, docs/freshness.md, docs/batching.md,
"What happens when" in the README) and knows nothing of asyncio: a call is an object that is done or waits, a
load one that somebody ends.  A function of one key is one whose loads have one key each.

Only what leaves for want of room is not here, and what the log and the listener are told of that.
"""

import dataclasses
import math
from collections import Counter
from typing import Any

from aiocachetools import LoadTimeout

CANCELLED = ("cancelled",)
LACKING = ("lacking",)


@dataclasses.dataclass(frozen=True)
class Options:
    """What the function was decorated with.

    `of_value` stands for a `ttl` function, `windows` for the seconds of stale_while_revalidate and of
    stale_if_error, `keeps` for a maxsize other than 0; with `prompt`, loads that are cancelled unwind at once.
    """

    many: bool = False
    ttl: float = 10
    of_value: bool = False
    jitter: float = 0
    cache_if: bool = False
    windows: tuple[float, float] = (0, 0)
    soft_timeout: float | None = None
    timeout: float | None = None
    errors: tuple[tuple[type[Exception], float], ...] = ()
    finish: bool = False
    prompt: bool = True
    keeps: bool = True
    max_batch: int | None = None
    absent: bool = False

    @property
    def while_revalidate(self):
        return self.windows[0]

    @property
    def if_error(self):
        return self.windows[1]


@dataclasses.dataclass(frozen=True)
class Value:
    """A result: how long it says that it is good, and whether `cache_if` lets it be stored."""

    number: int
    ttl: float | None = 10
    ok: bool = True


@dataclasses.dataclass
class Place:
    """What is kept of a key: the last good value, and a failure that is remembered."""

    value: Any = None
    fresh_until: float = -math.inf
    kept_until: float = -math.inf
    error: tuple = ()
    rests_until: float = -math.inf


class Load:
    """One run of the function."""

    def __init__(self, keys, *, kept):
        self.flights = [Flight(key, self) for key in keys]
        self.kept = kept
        self.cancelled = self.abandoned = self.timed_out = self.over = False
        self.unwinders = []

    @property
    def keys(self):
        return [flight.key for flight in self.flights]

    @property
    def landed(self):
        return self.over or self.timed_out

    @property
    def waited_for(self):
        return self.kept or any(flight.waiters for flight in self.flights)


class Flight:
    """One key's part in a load."""

    def __init__(self, key, load):
        self.key, self.load, self.waiters = key, load, []


class Call:
    """A call for some keys, and what it knows of each."""

    def __init__(self, keys, *, single):
        self.keys, self.single = list(dict.fromkeys(keys)), single
        self.known = {}
        self.waiting = {}
        self.unwinding = []
        self.cancelled = False

    def outcome(self):
        """What the call came to; `None` while it waits."""
        if self.waiting or self.unwinding:
            return None
        if self.cancelled:
            return CANCELLED
        known = {key: self.known[key] for key in self.keys}
        for outcome in known.values():
            if outcome[0] in ("error", "cancelled"):
                return outcome
        lacking = tuple(key for key, outcome in known.items() if outcome == LACKING)
        absent = tuple(key for key, outcome in known.items() if outcome == ("value", None))
        if lacking or (self.single and absent):
            return ("missing", lacking or absent)
        if self.single:
            return known[self.keys[0]]
        return ("value", {key: outcome[1] for key, outcome in known.items() if key not in absent})


class Reference:
    """A decorated function, its cache and its clock."""

    def __init__(self, options):
        self.options = options
        self.now = 0.0
        self.places = {}
        self.listed = {}
        self.loads = []
        self.timers = []
        self.events = []
        self.counts = Counter()

    # What there is

    def fresh(self):
        """The values that the cache has as a mapping."""
        return {key: place.value for key, place in self.places.items() if self.now < place.fresh_until}

    def kept(self):
        """How many places are taken."""
        return sum(self.now < max(place.kept_until, place.rests_until) for place in self.places.values())

    def place(self, key):
        """What is kept of a key by now."""
        place = self.places.get(key, Place())
        if self.now < place.kept_until:
            return place
        return Place(error=place.error, rests_until=place.rests_until)

    def covers(self, place):
        """Whether the value may be served in place of a load that failed or takes long (R3, R4)."""
        return self.now < place.fresh_until + self.options.if_error

    # Calls

    def call(self, keys, *, single=True, refresh=False):
        """A call, or a `cache_refresh`."""
        return self.calls([keys], single=single, refresh=refresh)[0]

    def calls(self, asks, *, single=True, refresh=False):
        """Calls of one round, whose keys are loaded together (R7)."""
        calls = [Call(keys, single=single) for keys in asks]
        missed, stale = [], []
        seats = []
        for call in calls:
            patience = False
            for key in call.keys:
                place = self.place(key)
                if not refresh and self.answer(call, key, place, stale):
                    continue
                patience = patience or (not refresh and self.covers(place))
                joins = key in self.listed or key in missed
                self.count("joins" if joins else "misses", key, "join" if joins else "miss")
                self.counts["hits"] += joins
                if not joins:
                    missed.append(key)
                seats.append((call, key))
            if patience and self.options.soft_timeout is not None:
                self.timers.append((self.now + self.options.soft_timeout, self.lose_patience, call))
        self.launch(missed, kept=False)
        self.launch(stale, kept=True)
        for call, key in seats:
            call.waiting[key] = self.listed[key]
            self.listed[key].waiters.append(call)
        return calls

    def answer(self, call, key, place, stale):
        """Answers from what is kept, if there is an answer (R1, R2, R5)."""
        rests = self.now < place.rests_until
        if self.now < place.fresh_until:
            self.count("hits", key, "hit")
            call.known[key] = ("value", place.value)
        elif self.now < place.fresh_until + self.options.while_revalidate or (
            rests and self.now < place.kept_until
        ):
            self.counts["hits"] += 1
            self.count("stale_served", key, "stale")
            call.known[key] = ("value", place.value)
            if not rests and key not in self.listed and key not in stale:
                self.count("refreshes", key, "refresh")
                stale.append(key)
        elif rests:
            self.count("hits", key, "hit")
            call.known[key] = place.error
        return key in call.known

    def cancel(self, call):
        """The caller's task is cancelled (F2)."""
        if call.outcome() is not None:
            return
        if call.cancelled:
            for load in list(call.unwinding):
                self.tell(load)
            return
        call.cancelled = True
        left = list(call.waiting.values())
        call.waiting.clear()
        for flight in left:
            flight.waiters.remove(call)
        for load in dict.fromkeys(flight.load for flight in left):
            if not load.waited_for and not self.options.finish:
                load.abandoned = True
                load.unwinders.append(call)
                call.unwinding.append(load)
                self.unlist(load)
                self.tell(load)

    # Loads

    def launch(self, keys, *, kept):
        """Starts loads of some keys, which others may join from now on (F1)."""
        size = self.options.max_batch or max(len(keys), 1)
        for start in range(0, len(keys), size):
            load = Load(keys[start : start + size], kept=kept)
            self.loads.append(load)
            self.listed.update({flight.key: flight for flight in load.flights})
            if self.options.timeout is not None:
                self.timers.append((self.now + self.options.timeout, self.time_out, load))

    def tell(self, load):
        """The load is cancelled: it unwinds at once, or when it is cancelled again or ended."""
        again, load.cancelled = load.cancelled, True
        if again or self.options.prompt:
            self.end(load, CANCELLED)

    def end(self, load, result):
        """The load is over: `result` is a dict of values, `CANCELLED` or an error."""
        load.over = True
        if load.timed_out:
            return
        self.landing(load, None if isinstance(result, dict) else result)
        if load.abandoned:
            self.let_unwinders_go(load)
            return
        for flight in load.flights:
            outcome = result
            if isinstance(result, dict):
                outcome = ("value", result[flight.key]) if flight.key in result else LACKING
                if outcome == LACKING and self.options.absent:
                    outcome = ("value", None)
            self.land(flight, outcome)

    def landing(self, load, error):
        """Counts and tells what a load came to."""
        self.counts["loads"] += 1
        self.counts["load_errors"] += error is not None
        if error is not None:
            self.events.extend(("load_error", key) for key in load.keys)

    def land(self, flight, outcome):
        """One key of a load that is over: it is stored unless something newer is known (F4)."""
        if self.listed.get(flight.key) is flight:
            del self.listed[flight.key]
            if outcome[0] == "value" and self.store(flight.key, outcome[1]):
                self.events.append(("store", flight.key))
            elif outcome[0] == "error":
                outcome = self.fail(flight, outcome)
        waiters, flight.waiters = flight.waiters, []
        for call in waiters:
            del call.waiting[flight.key]
            call.known[flight.key] = outcome

    def fail(self, flight, error):
        """What those get who wait for a load that failed (R3); remembers it (R5)."""
        place = self.place(flight.key)
        if self.now < place.fresh_until:
            return error
        for kind, seconds in self.options.errors:
            if issubclass(error[1], kind):
                if self.options.keeps:
                    place.error, place.rests_until = error, self.now + seconds
                    self.places[flight.key] = place
                break
        if not self.covers(place):
            return error
        for _ in flight.waiters:
            self.count("stale_served", flight.key, "stale")
        return ("value", place.value)

    def store(self, key, value):
        """Stores a value, unless it is not one to be stored (R1); whether it was."""
        options = self.options
        says = options.ttl
        if options.of_value:
            says = options.ttl if value is None else value.ttl
        ttl = math.inf if says is None else says
        if not options.keeps or ttl <= 0 or (options.cache_if and value is not None and not value.ok):
            return False
        fresh_until = self.now + ttl + options.jitter / 2
        kept_until = fresh_until + max(options.while_revalidate, options.if_error)
        self.places[key] = Place(value, fresh_until, kept_until)
        return True

    def unlist(self, load):
        for flight in load.flights:
            if self.listed.get(flight.key) is flight:
                del self.listed[flight.key]

    def let_unwinders_go(self, load):
        for call in load.unwinders:
            call.unwinding.remove(load)
        load.unwinders.clear()

    # Time

    def tick(self, seconds):
        """Time goes on, and with it who has waited too long (R4)."""
        until = self.now + seconds
        due = sorted((timer for timer in self.timers if timer[0] <= until), key=lambda timer: timer[0])
        self.timers = [timer for timer in self.timers if timer[0] > until]
        for when, expire, subject in due:
            self.now = max(self.now, when)
            expire(subject)
        self.now = until

    def time_out(self, load):
        """A load that takes too long has failed, and is cancelled."""
        if load.over:
            return
        error = ("error", LoadTimeout, ())
        self.landing(load, error)
        self.let_unwinders_go(load)
        load.timed_out = True
        for flight in load.flights:
            self.land(flight, error)
        self.tell(load)

    def lose_patience(self, call):
        """A caller has waited long enough: it is served what is stale, and the loads go on."""
        for key, flight in list(call.waiting.items()):
            place = self.place(key)
            if self.covers(place):
                if self.now >= place.fresh_until:
                    self.count("stale_served", key, "stale")
                flight.load.kept = True
                flight.waiters.remove(call)
                del call.waiting[key]
                call.known[key] = ("value", place.value)

    # By hand

    def invalidate(self, key):
        """`cache_invalidate`: whether there was a value; a load under way is not stored (F4)."""
        there = key in self.fresh()
        self.places.pop(key, None)
        self.listed.pop(key, None)
        self.events.append(("invalidate", key))
        return there

    def set(self, value, key):
        """`cache_set`: whether the value was stored; it wins over a load under way (F4)."""
        self.listed.pop(key, None)
        stored = self.store(key, value)
        if stored:
            self.events.append(("store", key))
        return stored

    def clear(self):
        """`cache_clear`: no entry, no load that will be stored, no counts."""
        self.places.clear()
        self.listed.clear()
        self.counts.clear()

    def count(self, name, key, event):
        self.counts[name] += 1
        self.events.append((event, key))
