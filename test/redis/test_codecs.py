"""Values on the wire: the same type again or an error, and nothing that runs."""

import dataclasses
import enum
import os
import pickle
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocachetools.redis import SignedPickle
from aiocachetools.redis._codecs import DecodeError, EncodeError, make_codec
from aiocachetools.redis._lossless import difference

KEY = b"p:f:{1}"


class User(msgspec.Struct):
    id: int
    name: str
    friends: list["User"] = []


@dataclasses.dataclass
class Order:
    id: UUID
    total: Decimal
    placed: datetime
    lines: tuple[tuple[str, int], ...] = ()


class Shape(enum.Enum):
    ROUND = "round"


class Model(pydantic.BaseModel):
    id: int
    placed: datetime


class Plain:
    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return isinstance(other, Plain) and self.x == other.x


def codec_for(annotation, codec="msgpack"):
    async def function(): ...

    function.__annotations__["return"] = annotation
    return make_codec(codec, function, "function")


ROUND_TRIPS = [
    (int, 3),
    (float, 3.5),
    (float, float("nan")),
    (str | None, None),
    (User, User(1, "a", [User(2, "b")])),
    (list[User], [User(1, "a")]),
    (Order, Order(UUID(int=1), Decimal("1.50"), datetime(2026, 1, 1, tzinfo=UTC), (("a", 1),))),
    (dict[str, Order], {"x": Order(UUID(int=2), Decimal(1), datetime(2026, 1, 1))}),
    (set[int], {1, 2}),
    (frozenset[str], frozenset("ab")),
    (tuple[int, ...], (1, 2)),
    (Shape, Shape.ROUND),
    (bytes, b"\x00\xff"),
    (date, date(2026, 1, 1)),
    (timedelta, timedelta(seconds=1.5)),
    (Any, {"a": [1, 2.5, None, True, "x", b"y"]}),
    (Annotated[int, msgspec.Meta(ge=0)], 3),
    (dict[str, Any], {"nested": {"a": [1]}}),
]


@pytest.mark.parametrize(("annotation", "value"), ROUND_TRIPS, ids=lambda item: repr(item)[:40])
def test_D5_what_the_annotation_says_comes_back(annotation, value):
    codec = codec_for(annotation)
    restored = codec.decode(codec.encode(value, KEY), KEY)
    assert difference(value, restored) is None


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Any, (1, 2)),
        (Any, {1, 2}),
        (Any, datetime(2026, 1, 1)),
        (Any, {"a": [{"b": (1,)}]}),
        (Any, User(1, "a")),
        (Any, UUID(int=1)),
        (list[int], (1, 2)),
        (list[Any], [(1,)]),
        (float, 1),
        (int, 1.0),
        (int, True),
        (str, Shape.ROUND),
        (datetime, datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))),
        (dict[str, Any], {"when": date(2026, 1, 1)}),
        (str, None),
        (Any, object()),
        (Any, 1j),
        (Any, 2**80),
        (User, {"id": 1, "name": "a"}),
        (list[User], [Order(UUID(int=1), Decimal(1), datetime(2026, 1, 1))]),
    ],
    ids=lambda item: repr(item)[:40],
)
def test_D5_no_type_is_changed_in_silence(annotation, value):
    with pytest.raises(EncodeError):
        codec_for(annotation).encode(value, KEY)


def test_D5_the_complaint_says_where():
    with pytest.raises(EncodeError, match=r"the value\['a'\]\[1\] is tuple, and comes back as list"):
        codec_for(Any).encode({"a": [1, (2,)]}, KEY)


def test_D5_what_msgspec_does_not_know_is_refused_at_first_use():
    with pytest.raises(TypeError, match="codec='pydantic'"):
        codec_for(list[Plain])
    with pytest.raises(TypeError, match=r"Model.*codec='pydantic'"):
        codec_for(Model)


def test_D5_json():
    codec = codec_for(Order, "json")
    value = Order(UUID(int=1), Decimal("1.50"), datetime(2026, 1, 1, tzinfo=UTC), (("a", 1),))
    data = codec.encode(value, KEY)
    assert data.startswith(b'{"id":')
    assert codec.decode(data, KEY) == value


def test_D5_pydantic():
    codec = codec_for(list[Model], "pydantic")
    value = [Model(id=1, placed=datetime(2026, 1, 1))]
    assert codec.decode(codec.encode(value, KEY), KEY) == value
    with pytest.raises(DecodeError):
        codec.decode(b'[{"id": "no"}]', KEY)
    with pytest.raises(EncodeError):
        codec.encode((Model(id=1, placed=datetime(2026, 1, 1)),), KEY)


def test_D5_another_type_is_another_schema():
    same = [codec_for(User).schema, codec_for(User).schema]
    others = [codec_for(a).schema for a in (list[User], int, str, float, Any, list[int], int | None)]
    assert len({*same, *others}) == 1 + len(others)
    assert codec_for(int).schema != codec_for(int, "json").schema
    wider = msgspec.defstruct("User", [("id", int)], module=User.__module__)
    narrower = msgspec.defstruct("User", [("id", str)], module=User.__module__)
    assert codec_for(wider).schema != codec_for(narrower).schema


class Bomb:
    def __reduce__(self):
        return os.abort, ()


@pytest.mark.parametrize("codec", ["msgpack", "json", "pydantic", SignedPickle(b"s" * 16)], ids=str)
@given(data=st.binary(max_size=200))
def test_D5_foreign_bytes_are_told(codec, data):
    for annotation in (dict[str, list[int]], list[tuple[int, str]]):
        made = codec_for(annotation, codec)
        try:
            value = made.decode(data, KEY)
        except DecodeError:
            continue
        assert isinstance(value, dict | list)


@pytest.mark.parametrize("codec", ["msgpack", "json", "pydantic"])
def test_D5_a_pickle_is_never_run_by_another_codec(codec):
    with pytest.raises(DecodeError):
        codec_for(dict[str, int], codec).decode(pickle.dumps(Bomb()), KEY)


@pytest.mark.parametrize(
    "data",
    [
        b"\xdd\xff\xff\xff\xff",  # an array of four billion
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x91" * 100_000,  # arrays in arrays
        b"\x81\xa1a" * 100_000,
    ],
)
def test_D5_bytes_that_claim_a_lot_are_told(data):
    with pytest.raises(DecodeError):
        codec_for(Any).decode(data, KEY)


def test_D5_pickle_is_read_only_with_a_signature_for_its_key():
    codec = codec_for(Plain, SignedPickle(b"a" * 16))
    data = codec.encode(Plain(1), KEY)
    assert codec.decode(data, KEY) == Plain(1)
    unsigned = pickle.dumps(Bomb())
    tampered = data[:-1] + bytes([data[-1] ^ 1])
    other = codec_for(Plain, SignedPickle(b"b" * 16)).encode(Plain(1), KEY)
    for hostile in (unsigned, bytes(32) + unsigned, data[:32] + unsigned, tampered, other, b"", data[:31]):
        with pytest.raises(DecodeError, match="signature"):
            codec.decode(hostile, KEY)
    with pytest.raises(DecodeError, match="signature"):
        codec.decode(data, b"p:f:{2}")


def test_D5_a_retired_secret_is_still_read():
    old = codec_for(Plain, SignedPickle(b"a" * 16)).encode(Plain(1), KEY)
    rotated = SignedPickle(b"b" * 16, b"a" * 16)
    assert codec_for(Plain, rotated).decode(old, KEY) == Plain(1)
    new = codec_for(Plain, rotated).encode(Plain(1), KEY)
    with pytest.raises(DecodeError):
        codec_for(Plain, SignedPickle(b"a" * 16)).decode(new, KEY)


def test_D5_a_secret_is_required_and_not_shown():
    for secret in (b"", b"short", "a" * 16):
        with pytest.raises(ValueError, match="16"):
            SignedPickle(secret)
    assert "aaaa" not in repr(SignedPickle(b"a" * 16))


def test_D5_an_unknown_annotation_is_named():
    async def function() -> "Missing": ...  # noqa: F821

    with pytest.raises(TypeError, match="Missing"):
        make_codec("msgpack", function, "function")
