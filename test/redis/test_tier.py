"""A cached function with a Redis tier, within one process."""

import asyncio
import time

import msgspec
import pytest
import redis.asyncio
from functions import counted, pattern_of
from support import called, in_child, settle

from aiocachetools import cached
from aiocachetools.redis import RedisTier
from aiocachetools.simulation import Trace, TraceRecorder, read_trace

# Seconds that a busy machine may take for what takes none.
PATIENCE = 30


def test_D1_a_value_is_loaded_once_for_several_caches(on_loop):
    async def test(tier):
        (f, runs_of_f), (g, runs_of_g) = counted(tier), counted(tier)
        assert await f(1) == await g(1) == {"x": 1, "run": 1}
        assert (runs_of_f, runs_of_g) == ([1], [])
        assert tier.stats(g)._asdict() == dict.fromkeys(tier.stats(g)._fields, 0) | {"hits": 1}
        assert await f(1) is await f(1)

    on_loop(test)


def test_D1_names_and_versions_are_apart(on_loop):
    async def test(tier):
        functions = [counted(tier), counted(tier, name="g"), counted(tier, version=2)]
        for f, _ in functions:
            await f(1)
        assert [runs for _, runs in functions] == [[1]] * 3

    on_loop(test)


def test_D3_invalidate_put_and_clear_reach_other_caches(on_loop):
    async def test(tier):
        (f, runs), (g, _) = counted(tier), counted(tier)
        await f(1)
        await g(1)
        assert await tier.invalidate(f, 1) is True
        assert await tier.invalidate(f, 1) is False
        assert not f.cache_contains(1)
        assert not g.cache_contains(1)
        await tier.put(f, {"x": 7}, 1)
        assert await f(1) == await g(1) == {"x": 7}
        await f(2)
        assert await tier.clear(f) == 2
        assert not f.cache_contains(1)
        assert not g.cache_contains(2)
        assert runs == [1, 2]

    on_loop(test)


def test_D3_tags(on_loop):
    async def test(tier):
        f, runs = counted(tier, tags=lambda x: [f"x{x}", "all"])
        await f(1)
        await f(2)
        await tier.invalidate_tags("x1")
        await f(1)
        await f(2)
        assert runs == [1, 2, 1]
        f.cache_clear()
        await f(1)
        assert runs == [1, 2, 1]
        await tier.invalidate_tags("all")
        await f(1)
        await f(2)
        assert runs == [1, 2, 1, 1, 2]

    on_loop(test)


def test_D3_an_evicted_tag_resurrects_nothing(on_loop, control, prefix):
    async def test(tier):
        f, runs = counted(tier, tags=["t"])
        await f(1)
        control.delete(f"{prefix}#t")
        f.cache_clear()
        await f(1)
        assert runs == [1, 1]

    on_loop(test)


@pytest.mark.parametrize("change", ["invalidate", "put", "clear", "tag", "flush"])
def test_D3_a_change_during_a_load_wins(on_loop, control, change):
    async def test(tier):
        begun, go_on = asyncio.Event(), asyncio.Event()
        runs = []

        @cached(tier=tier.using(name="f", tags=["t"]))
        async def f(x: int) -> str:
            runs.append(x)
            begun.set()
            await go_on.wait()
            return f"load {len(runs)}"

        first = asyncio.create_task(f(1))
        await begun.wait()
        match change:
            case "invalidate":
                await tier.invalidate(f, 1)
            case "put":
                await tier.put(f, "put", 1)
            case "clear":
                await tier.clear(f)
            case "tag":
                await tier.invalidate_tags("t")
            case "flush":
                control.flushall()
        go_on.set()
        assert await first == "load 1"
        if change == "clear":  # which finds values, and the leases of loads
            assert not f.cache_contains(1)
        assert await f(1) == ("put" if change == "put" else "load 2")

    on_loop(test)


def test_N5_memory_keeps_a_value_no_longer_than_the_server_does(on_loop, control):
    async def test(tier):
        f, _ = counted(tier)
        await f(1)
        key = next(control.scan_iter(pattern_of(f)))
        assert 3_590_000 < control.pttl(key) <= 3_600_000
        f.cache_clear()
        control.pexpire(key, 40_000)
        await f(1)
        assert f.cache.expire(time.monotonic() + 30) == []
        assert len(f.cache.expire(time.monotonic() + 41)) == 1

    on_loop(test)


def test_N5_l1_ttl_and_ttl(on_loop, control):
    async def test(tier):
        @cached(ttl=60, tier=tier.using(name="f", l1_ttl=10))
        async def f(x: int) -> int:
            return x

        await f(1)
        key = next(control.scan_iter(pattern_of(f)))
        assert 50_000 < control.pttl(key) <= 60_000
        assert f.cache.expire(time.monotonic() + 5) == []
        assert len(f.cache.expire(time.monotonic() + 11)) == 1

    on_loop(test)


def test_a_stale_value_serves_while_it_is_loaded_anew_and_when_that_fails(on_loop, control):
    async def test(tier):
        (f, runs), (g, _) = (counted(tier, stale=100) for _ in range(2))
        failing, _ = counted(tier, stale=100, error=ValueError("no"))
        await f(1)
        key = next(control.scan_iter(pattern_of(f)))
        assert control.pttl(key) > 3_600_000
        control.pexpire(key, 50_000)
        assert await failing(1) == {"x": 1, "run": 1}
        assert tier.stats(failing).stale == 1
        control.set(key + b"!", "somebody", px=5000)
        assert await g(1) == {"x": 1, "run": 1}
        assert tier.stats(g).stale == 1
        control.delete(key + b"!")
        f.cache_clear()
        assert await f(1) == {"x": 1, "run": 2}
        assert control.pttl(key) > 3_600_000
        assert runs == [1, 1]

    on_loop(test)


def test_F3_an_error_reaches_the_callers_as_it_is(on_loop):
    async def test(tier):
        f, runs = counted(tier, error=ConnectionError("the database's, not the cache's"))
        for _ in range(2):
            with pytest.raises(ConnectionError, match="database"):
                await f(1)
        assert runs == [1, 1]
        assert tier.stats(f).errors == 2

    on_loop(test)


def test_F2_a_cancelled_load_gives_its_lease_back(on_loop):
    async def test(tier):
        @cached(tier=tier.using(name="f"))
        async def hanging(x: int) -> dict[str, int]:
            await asyncio.Event().wait()

        f, _ = counted(tier)
        task = asyncio.create_task(hanging(1))
        while not tier.stats(hanging).loads:
            await asyncio.sleep(0)
        waiting = asyncio.create_task(f(1))
        while not tier.stats(f).waits:
            await asyncio.sleep(0)
        task.cancel()
        assert await waiting == {"x": 1, "run": 1}

    on_loop(test, lease=60)


def test_a_tier_does_not_touch_a_hit(on_loop):
    async def test(tier):
        f, _ = counted(tier)
        await f(1)
        before = tier.stats(f)
        assert await f(1) == {"x": 1, "run": 1}
        assert tier.stats(f) == before
        assert f.cache_info()[:2] == (1, 1)

    on_loop(test)


class DictTier:
    """A tier as users may write one."""

    def __init__(self):
        self.values = {}

    def attach(self, function):
        async def load(*args, **kwargs):
            key = function.name, function.key(*args, **kwargs)
            if key not in self.values:
                self.values[key] = await function.function(*args, **kwargs)
            function.limit(function.cache_key(*args, **kwargs), function.cache(*args), 30)
            return self.values[key]

        return load


def test_a_tier_of_one_s_own(run):
    async def test():
        tier, runs = DictTier(), []

        @cached(maxsize=10, tier=tier)
        async def f(x, y=1):
            runs.append((x, y))
            return x + y

        assert [await f(1), await f(1, 1), await f(x=1)] == [2, 2, 2]
        f.cache_clear()
        assert await f(1) == 2
        assert runs == [(1, 1)]
        assert len(f.cache.expire(time.monotonic() + 31)) == 1
        assert f.cache_parameters()["tier"] is tier
        assert f.__wrapped__ is f.cache_tier.function
        assert f.__globals__ is globals()

    run(test())


def test_A4_options_that_contradict_each_other(make_tier):
    tier = make_tier().using(name="f")

    async def f(): ...

    with pytest.raises(TypeError, match="a cache of aiocachetools"):
        cached({}, tier=tier)(f)
    with pytest.raises(TypeError, match="timer"):
        cached(ttl=1, timer=time.time, tier=tier)
    with pytest.raises(TypeError, match="tier must be"):
        cached(tier="redis://localhost")
    for options in ({"codec": "pickle"}, {"compression": "gzip"}, {"ttl": 0}, {"name": "a b"}, {"stale": -1}):
        with pytest.raises(ValueError, match=next(iter(options))):
            tier.using(**options)
    with pytest.raises(TypeError, match="tags"):
        tier.using(tags="one")
    for options in ({"deadline": 0}, {"prefix": "{}"}, {"max_bytes": -1}):
        with pytest.raises(ValueError, match=next(iter(options))):
            make_tier_of(**options)


def make_tier_of(**options):
    return RedisTier("redis://127.0.0.1:1", **options)


def test_A5_without_a_cache_there_is_no_tier(run, make_tier):
    async def test():
        @cached(None, tier=make_tier().using(name="f"))
        async def f():
            return object()

        assert await f() is not await f()

    run(test())


def test_a_function_without_a_tier_is_refused(run, make_tier):
    async def test():
        @cached
        async def f(): ...

        with pytest.raises(TypeError, match="not decorated with a RedisTier"):
            await make_tier().invalidate(f)

    run(test())


def test_D7_a_client_of_one_s_own(run, url, prefix):
    async def test():
        async with redis.asyncio.Redis.from_url(url) as client:
            tier = RedisTier(client, prefix=prefix, deadline=PATIENCE)
            f, runs = counted(tier)
            await asyncio.gather(*(f(i) for i in range(500)))
            f.cache_clear()
            await asyncio.gather(*(f(i) for i in range(500)))
            assert sorted(runs) == list(range(500))
            await tier.aclose()
            assert await client.ping()

    run(test())


def test_D7_a_client_that_decodes_is_refused(run, url):
    async def test():
        async with redis.asyncio.Redis.from_url(url, decode_responses=True) as client:
            with pytest.raises(TypeError, match="decode_responses"):
                RedisTier(client)

    run(test())


def test_D8_several_loops(run, make_tier):
    tier = make_tier()
    f, runs = counted(tier)

    async def test():
        value = await f(1)
        f.cache_clear()
        await settle()
        await tier.aclose()
        return value

    assert run(test()) == run(test()) == {"x": 1, "run": 1}
    assert runs == [1]


def test_msgspec_structs_come_back(on_loop):
    class User(msgspec.Struct):
        id: int

    async def test(tier):
        @cached(tier=tier.using(name="f"))
        async def f(x: int):
            return User(x)

        f.__wrapped__.__annotations__["return"] = User
        assert await called(f, 1) == User(1)
        f.cache_clear()
        assert await f(1) == User(1)
        assert tier.stats(f).hits == 1

    on_loop(test)


def test_the_tier_is_imported_when_it_is_asked_for():
    printed = in_child("""
        import sys
        import aiocachetools
        assert not {"aiocachetools.redis", "msgspec", "redis"} & set(sys.modules)
        from aiocachetools import RedisTier
        from aiocachetools.redis import RedisTier as same
        print(RedisTier is same, hasattr(aiocachetools, "NoSuchThing"))
    """)
    assert printed == "True False\n"


def test_N2_a_trace_has_the_calls_and_not_what_the_tier_is_asked(on_loop, tmp_path):
    path = tmp_path / "trace.gz"

    async def test(tier):
        with TraceRecorder(path) as recorder:

            @cached(maxsize=1, tier=tier.using(name="f"), listener=recorder)
            async def f(x: int) -> int:
                return x

            for x in [1, 2, 1, 1]:
                await f(x)

    on_loop(test)
    assert read_trace(path).accesses == Trace([1, 2, 1, 1]).accesses
