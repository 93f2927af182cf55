"""Keys that processes share: injective, stable, and equal exactly where they are in memory."""

import dataclasses
import enum
import inspect
import subprocess
import sys
from collections import namedtuple
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from cachetools.keys import hashkey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiocachetools.redis._encoding import NotEncodableError, encode, encode_all
from aiocachetools.redis._keys import FunctionKeys, identity_of, lease_of, tag_key


class Color(enum.Enum):
    RED = 1
    GREEN = 2


class Word(enum.StrEnum):
    RED = "red"


class Permission(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass(frozen=True)
class Point:
    x: object
    y: object = 0
    note: object = dataclasses.field(default=None, compare=False)


class Frozen(msgspec.Struct, frozen=True):
    x: int


Pair = namedtuple("Pair", "a b")

numbers = st.one_of(
    st.integers(),
    st.booleans(),
    st.floats(allow_nan=False),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.complex_numbers(allow_nan=False, allow_infinity=False),
)
scalars = st.one_of(
    st.none(),
    numbers,
    st.text(),
    st.binary(),
    st.dates(),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from([*Color, *Word, *Permission, Permission.READ | Permission.WRITE, int, str, Color, ...]),
)
# Without the strategies for distinct elements: drawing again, they spell out what they draw from.
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(tuple),
        st.lists(inner, max_size=4).map(frozenset),
        st.builds(Point, inner, inner, inner),
        st.builds(Pair, inner, inner),
        st.builds(
            lambda args, kwargs: hashkey(*args, **kwargs),
            st.lists(inner, max_size=2),
            st.lists(st.tuples(st.text(max_size=3), inner), max_size=2).map(dict),
        ),
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # which is the machine's
@given(values, values)
def test_D6_two_values_have_one_encoding_exactly_where_they_are_one_key(a, b):
    assert (encode(a) == encode(b)) == (a == b)


@given(numbers, numbers)
def test_D6_numbers_are_one_key_when_they_are_equal(a, b):
    assert (encode(a) == encode(b)) == (a == b)


@given(st.lists(scalars, max_size=5), st.lists(scalars, max_size=5))
def test_D6_a_sequence_of_encodings_can_be_read_in_one_way_only(a, b):
    assert (encode_all(a) == encode_all(b)) == (a == b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, 1.0),
        (1, True),
        (1, Decimal("1.00")),
        (0.5, Fraction(1, 2)),
        (Decimal("0.1"), Fraction(1, 10)),
        (0.0, -0.0),
        (Decimal("1e3000"), Decimal("10e2999")),
        ("red", Word.RED),
        ((1, 2), Pair(1, 2)),
        (
            datetime(2026, 1, 1, 12, tzinfo=UTC),
            datetime(2026, 1, 1, 13, tzinfo=ZoneInfo("Europe/Berlin")),
        ),
        (time(12, tzinfo=UTC), time(13, tzinfo=timezone(timedelta(hours=1)))),
        (Point(1, note="a"), Point(1, note="b")),
        (frozenset([1, 2, 3]), frozenset([3, 2, 1.0])),
    ],
)
def test_D6_equal_values_are_one_key(a, b):
    assert a == b
    assert encode(a) == encode(b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, "1"),
        ("a", b"a"),
        (("a", "b"), ("ab",)),
        (("a", ("b",)), ("a", "b")),
        (("1", 1), (1, "1")),
        ((), None),
        (("x", 1), hashkey(x=1)),
        (0.1, Decimal("0.1")),
        (date(2026, 1, 1), datetime(2026, 1, 1)),
        (datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)),
        (time(12), time(12, tzinfo=UTC)),
        (Color.RED, 1),
        (Color.RED, "RED"),
        (Point(1), (1, 0)),
        (Frozen(1), (1,)),
        (timedelta(1), 86_400_000_000),
        (UUID(int=0), "0" * 32),
        (frozenset([1]), (1,)),
        (Permission.READ, Permission.READ | Permission.WRITE),
        ("\ud800", "\ud801"),
    ],
)
def test_D6_different_values_are_different_keys(a, b):
    assert encode(a) != encode(b)


def test_D6_nan_has_an_encoding():
    assert encode(float("nan")) == encode(Decimal("nan")) != encode(float("inf"))


class Plain:
    pass


class Loud(str):
    def __eq__(self, other):
        return isinstance(other, Loud)

    __hash__ = str.__hash__


@pytest.mark.parametrize("value", [Plain(), Loud("a"), [1], object(), len, (1, (Plain(),))])
def test_D6_what_has_no_meaning_elsewhere_is_refused(value):
    with pytest.raises(NotEncodableError):
        encode(value)


def test_D6_a_class_made_in_a_function_is_refused():
    class Local(enum.Enum):
        A = 1

    with pytest.raises(NotEncodableError, match="Local"):
        encode(Local.A)


async def sample(a, b=1, *, c=2): ...
async def same_sample(a, b=1, *, c=2): ...
async def other_default(a, b=2, *, c=2): ...


def parameters(function):
    return inspect.signature(function).parameters.values()


def keys_of(name="f", version=1, function=sample, prefix="p"):
    return FunctionKeys(prefix, name, version, parameters(function))


def test_D6_name_version_and_defaults_are_in_the_key():
    distinct = [
        keys_of(),
        keys_of(name="g"),
        keys_of(version=2),
        keys_of(version="1"),
        keys_of(function=other_default),
        keys_of(prefix="q"),
    ]
    assert len({keys.of((1,)) for keys in distinct}) == len(distinct)
    assert keys_of().of((1,)) == keys_of(function=same_sample).of((1,))


def test_D6_value_and_lease_share_a_slot():
    value = keys_of(name="a.b").of((1, 2))
    lease = lease_of(value)
    hash_tag = value[value.index(b"{") : value.index(b"}") + 1]
    assert value.startswith(b"p:a.b:{")
    assert lease.count(hash_tag) == 1
    assert value != lease


def test_D6_tags_cannot_be_taken_for_values():
    assert tag_key("p", "f:{1}") != keys_of().of((1,))
    assert tag_key("p", "a") != tag_key("p", "b")


STABLE = """
import inspect, sys
sys.path[:0] = [{here!r}]
from test_encoding import Color, Frozen, Permission, Point, keys_of, hashkey
print(keys_of().of((frozenset("abcdefgh"), Point(1, frozenset([1, "x", None])), Color.RED, Frozen(3),
      Permission.READ | Permission.WRITE, hashkey(1, z="y", a="b"))).decode())
"""


def test_D6_keys_are_the_same_under_any_hash_seed():
    script = STABLE.format(here=__file__.rpartition("/")[0])
    found = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }  # fmt: skip
    assert len(found) == 1
    assert found.pop().startswith("p:f:{")


def test_D6_a_function_made_in_a_function_needs_a_name():
    async def local(): ...

    with pytest.raises(TypeError, match="name="):
        identity_of(local)
    assert identity_of(sample) == "test_encoding.sample"
