"""Rules K1 and K2: which calls share an entry, and under which key."""

import asyncio
import ctypes
import pickle

import pytest
from cachetools.keys import hashkey
from support import Source, function_of, settle

from aiocachetools import cached

# --- K1: equal bindings, cachetools' keys

SPELLINGS = [
    ((1,), {}),
    ((), {"x": 1}),
    ((1, 2), {}),
    ((1,), {"y": 2}),
    ((), {"y": 2, "x": 1}),
    ((1,), {"z": 3}),
    ((), {"z": 3, "y": 2, "x": 1}),
]


def test_K1_equal_bindings_share_an_entry(arun, deco):
    runs = []

    @deco()
    async def f(x, y=2, *, z=3):
        runs.append((x, y, z))
        return object()

    async def main():
        results = [await f(*args, **kwargs) for args, kwargs in SPELLINGS]
        assert all(result is results[0] for result in results)
        assert len({f.cache_key(*args, **kwargs) for args, kwargs in SPELLINGS}) == 1
        assert await f(1, 3) is not results[0]
        assert await f(1, z=2) is not results[0]
        assert await f(x=1, z=2) is await f(1, 2, z=2)

    arun(main())
    assert runs == [(1, 2, 3), (1, 3, 3), (1, 2, 2)]


def test_K1_equal_bindings_join_one_flight(arun, deco):
    runs = []

    @deco()
    async def f(x, y=2, *, z=3):
        runs.append(x)
        await settle(3)
        return object()

    async def main():
        results = await asyncio.gather(*(f(*args, **kwargs) for args, kwargs in SPELLINGS))
        assert all(result is results[0] for result in results)

    arun(main())
    assert runs == [1]


def test_K1_the_order_of_keywords_does_not_matter(run, deco):
    @deco()
    async def f(x, **options):
        return object()

    async def main():
        first = await f(1, a=2, b=3, c=4)
        assert await f(c=4, b=3, a=2, x=1) is first
        assert await f(1, b=3, a=2) is not first
        assert await f(1, a=2, b=3, c=5) is not first
        assert await f(1, a=3, b=2, c=4) is not first

    run(main())


def test_K1_a_keyword_named_as_a_positional_only_parameter_is_another_thing(run, deco):
    @deco()
    async def f(x, /, **options):
        return object()

    async def main():
        results = [await f(1), await f(1, x=2), await f(1, x=1), await f(2, x=1)]
        assert len({id(result) for result in results}) == 4
        assert await f(1, x=2) is results[1]

    run(main())


def test_K1_extra_positional_arguments_are_not_taken_for_defaults(run, deco):
    @deco()
    async def f(x, y=2, *rest):
        return object()

    async def main():
        results = [await f(1), await f(1, 2, 3), await f(1, 3), await f(1, 2, 2), await f(1, 2, 3, 2)]
        assert len({id(result) for result in results}) == 5
        assert await f(1, 2) is results[0]
        assert await f(1, 2, 3) is results[1]

    run(main())


def test_K1_positional_and_keyword_values_are_never_confused(run, deco):
    @deco()
    async def f(*args, **kwargs):
        return object()

    async def main():
        calls = [
            ((), {}),
            (("a", 1), {}),
            ((), {"a": 1}),
            ((("a", 1),), {}),
            ((1,), {"a": 1}),
            (("a",), {"b": 1}),
            (("a", "b"), {}),
            ((), {"a": "b"}),
        ]
        results = [await f(*args, **kwargs) for args, kwargs in calls]
        assert len({id(result) for result in results}) == len(calls)
        again = [await f(*args, **kwargs) for args, kwargs in calls]
        assert all(a is b for a, b in zip(results, again, strict=True))

    run(main())


KEYS = [
    ("x, y", (1, 2), {}, hashkey(1, 2)),
    ("x, y", (1,), {"y": 2}, hashkey(1, 2)),
    ("x, y=2", (1,), {}, hashkey(1)),
    ("x, y=2", (1, 2), {}, hashkey(1)),
    ("x, y=2", (1, 3), {}, hashkey(1, 3)),
    ("x, y=2, z=3", (1,), {"z": 4}, hashkey(1, 2, 4)),
    ("x=1, y=2", (), {}, hashkey()),
    ("x=1, y=2", (5,), {}, hashkey(5)),
    ("x, *rest", (1, 2, 3), {}, hashkey(1, 2, 3)),
    ("x, y=2, *rest", (1, 2, 3), {}, hashkey(1, 2, 3)),
    ("x, y=2, *rest", (1, 2), {}, hashkey(1)),
    ("*rest", (), {}, hashkey()),
    ("x, **kw", (1,), {"b": 2, "a": 3}, hashkey(1, a=3, b=2)),
    ("x, *, z", (1,), {"z": 4}, hashkey(1, z=4)),
    ("x, *, z=3", (1,), {"z": 4}, hashkey(1, z=4)),
    ("x, /, y", (1,), {"y": 2}, hashkey(1, 2)),
    ("", (), {}, hashkey()),
]


@pytest.mark.parametrize(("parameters", "args", "kwargs", "key"), KEYS)
def test_K1_keys_are_those_that_cachetools_users_compute(run, parameters, args, kwargs, key):
    f = cached({})(function_of(parameters))

    async def main():
        assert f.cache_key(*args, **kwargs) == key
        assert hash(f.cache_key(*args, **kwargs)) == hash(key)
        f.cache[key] = "primed"
        assert await f(*args, **kwargs) == "primed"
        del f.cache[key]
        value = await f(*args, **kwargs)
        assert f.cache == {key: value}

    run(main())


def test_K1_native_caches_have_the_same_keys(run, lib):
    cache, source = lib.LRUCache(100), Source()
    f = cached(cache)(source.load)

    async def main():
        await f(1)
        assert cache[hashkey(1)] == ["value of", 1]
        assert (1,) in cache
        cache[hashkey(2)] = "primed"
        assert await f(2) == "primed"
        del cache[(1,)]
        await f(key=1)

    run(main())
    assert source.runs == [1, 1]


def is_dropped(default, value):
    """Whether a given value leaves the key that the call without it has."""

    @cached({})
    async def f(x, y=default):
        return x

    return f.cache_key(1, value) == f.cache_key(1) == hashkey(1)


def test_K1_only_what_is_the_default_is_dropped():
    class Number(int):
        pass

    marker = object()
    for default, value in [(2, 2), (2.5, 2.5), ("a", "a"), (b"a", b"a"), (None, None), (True, True)]:
        assert is_dropped(default, value)
        assert is_dropped(default, type(value)(value) if value is not None else None)
    assert is_dropped(10**20, int("1" + "0" * 20))
    assert is_dropped("word", "".join(["wo", "rd"]))
    assert is_dropped(marker, marker)
    assert is_dropped(Number(5), Number(5)) is False
    for default, value in [(1, True), (1, 1.0), (0.0, 0), (False, 0), (Number(1), 1), (1, Number(1))]:
        assert not is_dropped(default, value)


def test_K1_values_that_are_equal_are_one_key_as_in_cachetools(run, deco):
    @deco()
    async def f(x):
        return object()

    async def main():
        one = await f(1)
        assert await f(1.0) is one
        assert await f(True) is one
        assert await f("1") is not one

    run(main())


def test_K1_an_unhashable_default_that_was_not_given_does_no_harm(run, deco):
    runs = []
    default = []

    @deco()
    async def f(x, options=default, limit=3, *, more={}):  # noqa: B006
        runs.append(x)
        return object()

    async def main():
        first = await f(1)
        assert await f(x=1) is first
        assert await f(1, default) is first
        assert await f(1, limit=3) is first
        limited = await f(1, limit=4)
        assert limited is not first
        assert await f(1, limit=4) is limited
        with pytest.raises(TypeError, match="options"):
            await f(1, [])
        with pytest.raises(TypeError, match="more"):
            await f(1, more={})

    run(main())
    assert runs == [1, 1]


def test_K1_many_parameters(run, deco):
    @deco()
    async def f(a, b, c, d, e, g=6, h=7, i=8, *, j=9, k=10, m=11):
        return object()

    async def main():
        first = await f(1, 2, 3, 4, 5)
        assert await f(1, 2, 3, e=5, d=4, m=11, k=10) is first
        assert await f(1, 2, 3, 4, 5, 6, 7, 8, j=9) is first
        assert await f(1, 2, 3, 4, 5, 6, 7, 9) is not first
        assert await f(1, 2, 3, 4, 5, m=12) is not first
        assert await f(m=12, a=1, b=2, c=3, d=4, e=5) is await f(1, 2, 3, 4, 5, m=12)

    run(main())


# --- K2: parameters left out


def test_K2_ignored_however_it_is_passed(arun, deco):
    seen = []

    @deco(ignore=("db",))
    async def f(db, x, y=2):
        seen.append(db)
        return object()

    async def main():
        first = await f("one", 1)
        for args, kwargs in [
            (("two", 1), {}),
            ((), {"db": [], "x": 1}),
            (("db", 1, 2), {}),
            ((1,), {"x": 1}),
        ]:
            assert await f(*args, **kwargs) is first
        assert await f("one", 3) is not first
        assert f.cache_key("one", 1) == f.cache_key({}, x=1) == hashkey(1)

    arun(main())
    assert seen == ["one", "one"]


IGNORABLE = [
    (("a",), (1,), {}),
    (("b",), (), {"b": 1}),
    (("rest",), (0, 0, 1, 2), {}),
    (("key",), (), {"key": 1}),
    (("others",), (), {"new": 1}),
    (("a", "rest", "others"), (1, 0, 3), {"new": 4}),
]


@pytest.mark.parametrize(("ignore", "args", "kwargs"), IGNORABLE)
def test_K2_parameters_of_every_kind(run, either, ignore, args, kwargs):
    @either(ignore=ignore)
    async def f(a=0, b=0, *rest, key=0, **others):
        return object()

    @either()
    async def g(a=0, b=0, *rest, key=0, **others):
        return object()

    async def main():
        assert await f() is await f(*args, **kwargs)
        assert await g() is not await g(*args, **kwargs)

    run(main())


def test_K2_unhashable_arguments_may_be_ignored(run, deco):
    source = Source()

    @deco(ignore=("session", "rest", "kw"))
    async def f(session, x, *rest, **kw):
        return await source.load(x)

    async def main():
        first = await f([], 1)
        assert await f({}, 1, [], {}, bad=[]) is first
        assert await f(x=1, session=set()) is first

    run(main())
    assert source.runs == [1]


def test_K2_the_load_gets_the_first_callers_argument(run, deco):
    @deco(ignore=("session",))
    async def f(x, session=None):
        await settle(2)
        return session

    async def main():
        assert await asyncio.gather(f(1, "first"), f(1, "second"), f(1)) == ["first"] * 3

    run(main())


def test_K2_everything_may_be_ignored(run, deco):
    source = Source()
    f = deco(ignore=("key",))(source.load)

    async def main():
        assert await f(1) is await f([])
        assert f.cache_key(1) == hashkey()

    run(main())
    assert source.runs == [1]


def test_K2_a_same_named_keyword_is_not_the_ignored_parameter(run, deco):
    @deco(ignore=("db",))
    async def f(db, /, **kw):
        return object()

    async def main():
        assert await f(1, db=2) is await f(9, db=2)
        assert await f(1, db=2) is not await f(1, db=3)

    run(main())


@pytest.mark.parametrize(
    "key",
    [
        5,
        1.5,
        -0.0,
        (1, 2),
        (1.5, "x"),
        ((1, 2), (3,)),
        ("a", ("b", ("c",))),
        2**80,
        b"x",
        None,
        True,
        frozenset({1}),
    ],
    ids=repr,
)
def test_K1_equal_constants_are_one_entry(arun, deco, key):
    """Equal, and not identical: what is compared without Python, and what Python is asked of."""
    runs = []

    @deco()
    async def f(x):
        runs.append(x)
        return x

    async def main():
        for again in (key, copy_of(key), copy_of(key)):
            assert await f(again) == key
        assert await f((key, 0)) == (key, 0)
        assert await f((copy_of(key), 0)) == (key, 0)

    arun(main())
    assert runs == [key, (key, 0)]


def test_K1_not_a_number_is_equal_to_itself_alone(arun, deco):
    nan = float("nan")
    runs = []

    @deco()
    async def f(x):
        runs.append(x)

    async def main():
        for x in (nan, nan, float("nan"), (nan,), (nan,)):
            await f(x)

    arun(main())
    assert len(runs) == 3


def int_of_one_digit(value):
    """A small positive int as an extension may make it: from 3.14 on the interpreter's own are marked."""
    make = ctypes.pythonapi._PyLong_FromDigits
    make.restype = ctypes.py_object
    make.argtypes = [ctypes.c_int, ctypes.c_ssize_t, ctypes.POINTER(ctypes.c_uint32)]
    made = make(0, 1, ctypes.byref(ctypes.c_uint32(value)))
    assert made is not value
    return made


def test_K1_tuples_may_be_nested(arun, deco):
    def nested():
        inner = (1,)
        for _ in range(100):
            inner = (inner,)
        return inner

    @deco()
    async def f(x):
        return x

    assert arun(f(nested())) == arun(f(nested()))
    assert f.cache_info().hits == 1


def copy_of(key):
    """An equal object, another one where there can be another."""
    if isinstance(key, tuple):
        return tuple(map(copy_of, key))
    if isinstance(key, float):
        return key * 1.0
    if key == 5 and hasattr(ctypes.pythonapi, "_PyLong_FromDigits"):  # 3.12 or newer
        return int_of_one_digit(key)
    return pickle.loads(pickle.dumps(key))


def test_K1_keywords_have_the_key_of_hashkey(arun, deco):
    @deco()
    async def f(x, *args, second=2, first=1, **rest):
        return x

    for args, kwargs in [
        ((1,), {"first": 1, "second": 2}),
        ((1, 2, 3), {"second": 5, "first": 1}),
        ((1,), {"zeta": 1, "second": 2, "alpha": 3, "first": 4}),
    ]:
        assert f.cache_key(*args, **kwargs) == hashkey(*args, **kwargs)
        assert hash(f.cache_key(*args, **kwargs)) == hash(hashkey(*args, **kwargs))
        assert arun(f(*args, **dict(reversed(kwargs.items())))) == 1
        assert hashkey(*args, **kwargs) in f.cache
