"""Rule N1: random programs do the same to a native cache as to cachetools' class of that name.

`python test/native/test_model.py 10000` runs that many programs for each class.
"""

import copy
import math
import pickle
import random
import sys

import cachetools
import pytest
from cachetools.keys import hashkey
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

import aiocachetools
from aiocachetools._core import _validate

KEYS = st.sampled_from([0, 1, 2, 3, 4, True, 1.0, "a", "b", None, (1,), (1, 2), hashkey(1), hashkey(2, x=3)])
# Multiples of 0.5, whose sums are exact in any order.
VALUES = st.sampled_from([0, 1, 1, 1, 2, 3, 0.5, 2.0, 7, -1])
SIZES = st.sampled_from([0, 1, 2, 3, 3, 5, 8, 2.5, math.inf])


class Clock:
    now = 0

    def __call__(self):
        return self.now


def weight(value):
    return value


def until(key, value, now):
    """A time-to-use that depends on the value; some are over at once."""
    return now + value


def middle(keys):
    """A choice that depends on the order of the keys."""
    return keys[len(keys) // 2]


def result(call, *args):
    """What a call returned or raised, with what tells equal keys of different types apart."""
    try:
        value = call(*args)
    except Exception as error:
        return type(error), error.args, error.__suppress_context__
    return shown(value)


def shown(value):
    if isinstance(value, list):
        return [shown(item) for item in value]
    return type(value) if type(value) is object else (type(value), value)


class Program(RuleBasedStateMachine):
    """Applies the same operations to both caches."""

    name = "Cache"

    @initialize(maxsize=SIZES, sized=st.booleans(), draw=st.data())
    def begin(self, maxsize, sized, draw):
        self.clock = Clock()
        self.seed = 0
        options = {"getsizeof": weight} if sized else {}
        if self.name == "RRCache":
            options["choice"] = draw.draw(st.sampled_from([random.choice, min_by_repr, middle]))
        if self.name == "TTLCache":
            options |= {"ttl": draw.draw(st.sampled_from([0, 1, 2.5, 4, math.inf])), "timer": self.clock}
        if self.name == "TLRUCache":
            options |= {"ttu": until, "timer": self.clock}
        self.native = getattr(aiocachetools, self.name)(maxsize, **options)
        self.model = getattr(cachetools, self.name)(maxsize, **options)

    def both(self, operation):
        """Runs the operation on both and compares; each finds the random numbers where the other did."""
        self.seed += 1
        random.seed(self.seed)
        expected = result(operation, self.model)
        random.seed(self.seed)
        assert result(operation, self.native) == expected

    @rule(key=KEYS, value=VALUES)
    def set(self, key, value):
        self.both(lambda cache: cache.__setitem__(key, value))

    @rule(key=KEYS)
    def read(self, key):
        self.both(lambda cache: cache[key])

    @rule(key=KEYS, default=st.sampled_from([None, 5]))
    def get(self, key, default):
        self.both(lambda cache: cache.get(key, default))

    @rule(key=KEYS)
    def contains(self, key):
        self.both(lambda cache: key in cache)

    @rule(key=KEYS)
    def delete(self, key):
        self.both(lambda cache: cache.__delitem__(key))

    @rule(key=KEYS, default=st.sampled_from([(), (None,), (5,)]))
    def pop(self, key, default):
        self.both(lambda cache: cache.pop(key, *default))

    @rule()
    def popitem(self):
        self.both(lambda cache: cache.popitem())

    @rule(key=KEYS, default=st.sampled_from([(), (1,), (2,)]))
    def setdefault(self, key, default):
        def operation(cache):
            if cache.getsizeof is not type(cache).getsizeof and not default:
                return None  # None has no weight
            return cache.setdefault(key, *default)

        if self.name != "TLRUCache" or default:
            self.both(operation)

    @rule(pairs=st.lists(st.tuples(KEYS, VALUES), max_size=4), mapping=st.booleans())
    def update(self, pairs, mapping):
        self.both(lambda cache: cache.update(dict(pairs) if mapping else pairs))

    @rule()
    def update_by_name(self):
        self.both(lambda cache: cache.update(a=1, b=2))

    @rule()
    def clear(self):
        self.both(lambda cache: cache.clear())

    @rule(span=st.sampled_from([0.5, 1, 2, 5]))
    def tick(self, span):
        self.clock.now += span

    @rule(ahead=st.sampled_from([None, 0, 1, 3]))
    def expire(self, ahead):
        if hasattr(self.model, "expire"):
            time = None if ahead is None else self.clock.now + ahead
            pairs = {id(cache): cache.expire(time) for cache in (self.model, self.native)}
            self.compare(pairs[id(self.native)], pairs[id(self.model)])

    def compare(self, native, model):
        """Compares lists of keys or pairs; a TLRUCache lists them as its heap has them."""
        if self.name == "TLRUCache":
            assert len(native) == len(model)
            assert all(found in model for found in native)
        else:
            assert shown(native) == shown(model)

    @rule()
    def copy(self):
        self.model, self.native = copy.copy(self.model), copy.copy(self.native)

    @rule()
    def pickle(self):
        if getattr(self.model, "choice", None) == random.choice:
            return  # the model's copy would choose by a generator of its own
        pair = (self.model, self.native, self.clock)
        self.model, self.native, self.clock = pickle.loads(pickle.dumps(pair))

    @invariant()
    def same(self):
        if not hasattr(self, "model"):
            return
        _validate(self.native)
        self.compare(list(self.native), list(self.model))
        self.both(len)
        self.both(repr)
        self.both(lambda cache: cache.currsize)
        self.both(lambda cache: cache.maxsize)


def min_by_repr(keys):
    return min(keys, key=repr)


NAMES = ["Cache", "FIFOCache", "LRUCache", "LFUCache", "RRCache", "TTLCache", "TLRUCache"]


def check(name, programs, phases=tuple(Phase)):
    machine = type(f"{name}Program", (Program,), {"name": name})
    options = {"max_examples": programs, "stateful_step_count": 40, "deadline": None, "database": None}
    run_state_machine_as_test(machine, settings=settings(**options, phases=phases))


@pytest.mark.parametrize("name", NAMES)
def test_a_native_cache_does_what_cachetools_does(name):
    check(name, 60, phases=[Phase.generate])


if __name__ == "__main__":
    for each in NAMES:
        check(each, int(sys.argv[1]))
        print(f"{each}: no difference in {sys.argv[1]} programs")
