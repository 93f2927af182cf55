"""Rule D5: what is in Redis, and what of that is a value."""

from typing import Any

import pytest
from functions import Plain, counted, pattern_of

from aiocachetools import cached
from aiocachetools.redis import SignedPickle


def test_D5_another_schema_is_a_miss(on_loop):
    async def test(tier):
        @cached(tier=tier.using(name="f"))
        async def old() -> int:
            return 1

        @cached(tier=tier.using(name="f"))
        async def new() -> str:
            return "one"

        assert await old() == 1
        assert await new() == "one"
        old.cache_clear()
        assert await old() == 1

    on_loop(test)


@pytest.mark.parametrize(
    "data", [b"", b"foreign", b"\xac\x01" + bytes(40), b"\xac\x01\x00\x01" + b"\xff" * 60]
)
def test_D5_foreign_bytes_are_a_miss(on_loop, control, data):
    async def test(tier):
        f, runs = counted(tier)
        await f(1)
        key = next(control.scan_iter(pattern_of(f)))
        control.set(key, data, px=60_000)
        f.cache_clear()
        assert await f(1) == {"x": 1, "run": 2}
        f.cache_clear()
        await f(1)
        assert runs == [1, 1]

    on_loop(test)


def test_D5_that_there_is_no_value_is_a_miss_where_nobody_can_have_said_so(on_loop, control):
    async def test(tier):
        f, _ = counted(tier)
        await f(1)
        key = next(control.scan_iter(pattern_of(f)))
        stored = control.get(key)
        control.set(key, stored[:3] + b"\0" + stored[4:], px=60_000)
        f.cache_clear()
        assert await f(1) == {"x": 1, "run": 2}

    on_loop(test)


def test_D5_a_string_that_is_too_long_is_a_miss_on_the_same_connection(on_loop, control):
    async def test(tier):
        f, _ = counted(tier)
        await f(1)
        epoch = tier._links.get().near.epoch
        key = next(control.scan_iter(pattern_of(f)))
        control.set(key, bytes(1 << 20), px=60_000)
        f.cache_clear()
        assert await f(1) == {"x": 1, "run": 2}
        f.cache_clear()
        assert await f(1) == {"x": 1, "run": 2}
        assert tier._links.get().near.epoch == epoch

    on_loop(test, max_bytes=1024)


def test_D5_a_key_of_another_type_is_loaded_without(on_loop, control):
    async def test(tier):
        f, _ = counted(tier)
        await f(1)
        key = next(control.scan_iter(pattern_of(f)))
        control.delete(key)
        control.rpush(key, "x")
        f.cache_clear()
        assert await f(1) == {"x": 1, "run": 2}
        assert tier.stats(f).unshared == 1

    on_loop(test)


def test_D5_pickle_of_another_secret_or_key_is_a_miss(on_loop, control):
    async def test(tier):
        def function(secret):
            @cached(tier=tier.using(name="f", codec=SignedPickle(secret)))
            async def f(x: int) -> Any:
                return Plain()

            return f

        f, g = function(b"a" * 16), function(b"b" * 16)
        ours = await f(1)
        assert isinstance(ours, Plain)
        await g(1)
        assert tier.stats(g).loads == 1
        await f(2)
        one, two = sorted(control.scan_iter(pattern_of(f)))
        first, second = control.get(one), control.get(two)
        control.mset({one: second, two: first})
        f.cache_clear()
        await f(1)
        await f(2)
        assert tier.stats(f)[:3] == (0, 4, 4)

    on_loop(test)


def test_D5_what_would_change_its_type_is_an_error_at_the_call(on_loop):
    async def test(tier):
        @cached(tier=tier.using(name="f"))
        async def f():
            return (1, 2)

        with pytest.raises(TypeError, match=r"f\(\).*tuple, and comes back as list.*codec"):
            await f()
        assert not f.cache_contains()

    on_loop(test)


def test_D5_too_large_is_each_process_s_own(on_loop):
    async def test(tier):
        big = {str(i): i for i in range(1000)}
        (f, runs), (g, runs_of_g) = counted(tier, value=big), counted(tier, value=big)
        assert await f(1) == await f(1) == big
        assert await g(1) == await g(1) == big
        assert (runs, runs_of_g) == ([1], [1])
        await tier.invalidate(f, 1)
        assert not g.cache_contains(1)
        assert tier.stats(g).misses == 1

    on_loop(test, max_bytes=1000)


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_D5_compressed_values(on_loop, control, compression):
    async def test(tier):
        big = {str(i): 0 for i in range(9000)}
        (f, _), (g, runs) = counted(tier, value=big, compression=compression), counted(tier)
        await f(1)
        key = next(control.scan_iter(pattern_of(f)))
        assert control.strlen(key) < 45_000
        assert await g(1) == big
        assert runs == []

    on_loop(test)
