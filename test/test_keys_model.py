"""Rules K1 and K2 against a model: random signatures and calls, bound by Python itself."""

import asyncio
import inspect

import pytest
from cachetools.keys import hashkey
from hypothesis import given, settings
from hypothesis import strategies as st
from support import QuietLoop, function_of

import aiocachetools
from aiocachetools import cached

NAMES = "abcdefgh"
UNHASHABLE = ["a default that is a list"]
VALUES = st.one_of(st.integers(2, 5), st.sampled_from(["x", "y", None, 2.5]))
CACHES = [dict, lambda: aiocachetools.LRUCache(10_000)]
MODEL = settings(max_examples=250, deadline=None, database=None)


class Shape:
    """A random signature: its source, its globals and the names that a call may use."""

    def __init__(self, parameters, defaults, names):
        self.parameters, self.defaults, self.names = parameters, defaults, names

    def __repr__(self):
        return f"({self.parameters}) with {self.defaults}"

    def function(self):
        return function_of(self.parameters, dict(self.defaults))

    def binder(self):
        """A plain function of these parameters that returns what they are bound to."""
        namespace = dict(self.defaults)
        exec(f"def bind({self.parameters}): return locals()", namespace)
        return namespace["bind"]


@st.composite
def shapes(draw, *, keyword_only=True, unhashable=True):
    names, defaults, parts = iter(NAMES), {}, []
    default = st.one_of(VALUES, st.just(UNHASHABLE)) if unhashable else VALUES

    def parameter(optional):
        name = next(names)
        if not optional:
            return name
        defaults[f"_{name}"] = draw(default)
        return f"{name}=_{name}"

    positional, required = draw(st.integers(0, 4)), draw(st.integers(0, 2))
    parts += [parameter(index >= required) for index in range(positional)]
    if positional and draw(st.booleans()):
        parts.insert(draw(st.integers(1, positional)), "/")
    if draw(st.booleans()):
        parts.append("*args")
    elif keyword_only:
        parts.append("*")
    if keyword_only:
        parts += [parameter(draw(st.booleans())) for _ in range(draw(st.integers(1, 2)))]
    if draw(st.booleans()):
        parts.append("**kwargs")
    used = [part.partition("=")[0] for part in parts if part[0] not in "/*"]
    return Shape(", ".join(parts), defaults, used)


@st.composite
def calls(draw, shape):
    """Arguments that may or may not fit the signature."""
    names = st.sampled_from([*shape.names, "other", "another"])
    args = draw(st.lists(VALUES, max_size=5))
    kwargs = draw(st.dictionaries(names, VALUES, max_size=4))
    return tuple(args), kwargs


@st.composite
def programs(draw, **options):
    """A signature, some of its parameters to ignore, and some calls that fit it."""
    shape = draw(shapes(**options))
    everything = list(inspect.signature(shape.binder()).parameters)
    ignore = draw(st.lists(st.sampled_from(everything), unique=True, max_size=2)) if everything else []
    return shape, tuple(ignore), draw(st.lists(calls(shape), min_size=2, max_size=12))


def bound(binder, args, kwargs, ignore):
    """What the call binds, as (parameter, value) pairs less the ignored; None if it does not fit."""
    try:
        values = binder(*args, **kwargs)
    except TypeError:
        return None
    parameters = inspect.signature(binder).parameters
    return [(parameters[name], value) for name, value in values.items() if name not in ignore]


def canonical(binding):
    """What two calls must have in common to share an entry."""
    seen = []
    for parameter, value in binding:
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            value = frozenset(value.items())
        elif value is UNHASHABLE:
            value = "the unhashable default"
        seen.append((parameter.name, value))
    return frozenset(seen)


async def check_sharing(f, binder, ignore, program):
    """Await every call; results must be identical exactly where bindings are equal."""
    results = {}
    for args, kwargs in program:
        binding = bound(binder, args, kwargs, ignore)
        if binding is None:
            for function in (f, f.cache_key, f.cache_contains):
                with pytest.raises(TypeError):
                    function(*args, **kwargs)
            continue
        entry = canonical(binding)
        assert f.cache_contains(*args, **kwargs) is (entry in results)
        value = await f(*args, **kwargs)
        assert results.setdefault(entry, value) is value
        assert f.cache[f.cache_key(*args, **kwargs)] is value
    assert len(set(map(id, results.values()))) == len(results) == len(f.cache)
    assert f.cache_info().misses == len(results)


@given(program=programs(), make=st.sampled_from(CACHES))
@MODEL
def test_K1_K2_calls_share_an_entry_exactly_when_their_bindings_are_equal(program, make):
    shape, ignore, made = program
    f = cached(make(), ignore=ignore)(shape.function())
    QuietLoop(asyncio.new_event_loop)(check_sharing(f, shape.binder(), ignore, made))


def same(value, default):
    return value is default or (type(value) is type(default) and value == default)


def expected_key(binding):
    """The key of K1, of a signature without keyword-only parameters."""
    values, rest, keywords = [], (), {}
    for parameter, value in binding:
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            rest = value
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
            keywords = value
        else:
            values.append((value, parameter.default))
    while values and not rest and same(*values[-1]):
        values.pop()
    return hashkey(*(value for value, _ in values), *rest, **keywords)


@given(program=programs(keyword_only=False, unhashable=False))
@MODEL
def test_K1_keys_are_hashkeys_of_the_binding(program):
    shape, ignore, made = program
    f = cached({}, ignore=ignore)(shape.function())
    for args, kwargs in made:
        binding = bound(shape.binder(), args, kwargs, ignore)
        if binding is not None:
            assert f.cache_key(*args, **kwargs) == expected_key(binding)
