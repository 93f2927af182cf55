"""Functions of several keys with a Redis tier: one request for all keys, one run for what is missing, a lease for each."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from support import Broken, Odd

from aiocachetools import LRUCache, MissingKeyError, cached_many
from aiocachetools.redis import LoadFailedElsewhereError


@pytest.fixture
def on_loop(run, make_tier):
    def runner(test, **options):
        async def main():
            tiers = [make_tier(**options) for _ in range(2)]
            try:
                await test(*tiers)
            finally:
                for tier in tiers:
                    await tier.aclose()

        run(main())

    return runner


class Source:
    """A function of several keys, how often it ran and for what, and when it may go on."""

    def __init__(self, tier, *, name="f", lacks=(), error=None, **options):
        self.runs = []
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.error = error
        given = {key: options.pop(key) for key in ("tags", "codec", "stale") if key in options}

        @cached_many(tier=tier.using(name=name, **given), **options)
        async def f(ids: list[int]) -> dict[int, str]:
            self.runs.append(list(ids))
            self.begun.set()
            await self.go_on.wait()
            if self.error:
                raise self.error
            return {key: f"value {key}" for key in ids if key not in lacks}

        self.f = f


def values(*keys):
    return {key: f"value {key}" for key in keys}


def key_of(f, x):
    return f.cache_tier.loader.__self__.form.key((x,), (x,), {})


def test_R7_values_are_shared_and_only_what_is_missing_is_loaded(on_loop):
    async def test(tier, other):
        a, b = Source(tier), Source(other)
        assert await a.f([1, 2]) == values(1, 2)
        assert await b.f([1, 2, 3, 4]) == values(1, 2, 3, 4)
        assert (a.runs, b.runs) == ([[1, 2]], [[3, 4]])
        assert other.stats(b.f)[:3] == (2, 2, 2)
        assert await a.f.one(4) == "value 4"
        assert a.runs == [[1, 2]]
        assert a.f.cache_contains(4)

    on_loop(test)


def test_R7_all_keys_are_read_in_one_request(on_loop):
    async def test(tier, other):
        a, b = Source(tier), Source(other)
        await a.f(range(10))
        await b.f([99])
        client = other._links.get().client
        requests = []

        def tapped(commands, execute=client.execute_many):
            requests.append(commands)
            return execute(commands)

        client.execute_many = tapped
        await b.f(range(10))
        assert [len(commands) for commands in requests] == [20]

    on_loop(test)


def test_D2_processes_that_ask_for_the_same_keys_load_each_once(on_loop):
    async def test(tier, other):
        a, b = Source(tier), Source(other)
        a.go_on.clear()
        first = asyncio.create_task(a.f([1, 2, 3]))
        await a.begun.wait()
        second = asyncio.create_task(b.f([2, 3, 4]))
        await b.begun.wait()
        assert b.runs == [[4]]
        a.go_on.set()
        assert await first == values(1, 2, 3)
        assert await second == values(2, 3, 4)
        assert (a.runs, b.runs) == ([[1, 2, 3]], [[4]])

    on_loop(test)


def test_D2_what_another_process_gives_back_is_loaded_by_another_run(on_loop):
    async def test(tier, other):
        a, b = Source(tier), Source(other)
        a.go_on.clear()
        first = asyncio.create_task(a.f([1, 2]))
        await a.begun.wait()
        second = asyncio.create_task(b.f([1, 2, 3]))
        await b.begun.wait()
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
        assert await second == values(1, 2, 3)
        assert b.runs[0] == [3]
        assert sorted(key for run in b.runs[1:] for key in run) == [1, 2]

    on_loop(test, lease=3600)


def test_D2_two_that_hold_what_the_other_needs_do_not_wait_for_each_other(on_loop):
    async def test(tier, other):
        a, b = Source(tier), Source(other)
        for round_ in range(20):
            keys = [3 * round_ + i for i in range(3)]
            found = await asyncio.gather(a.f(keys), b.f(reversed(keys)))
            assert found == [values(*keys), values(*reversed(keys))]
        assert len([key for run in a.runs + b.runs for key in run]) == 60

    on_loop(test, lease=3600)


def test_F2_a_cancelled_call_gives_all_leases_back(on_loop, control):
    async def test(tier, other):
        a = Source(tier)
        a.go_on.clear()
        call = asyncio.create_task(a.f([1, 2, 3]))
        await a.begun.wait()
        assert all(control.exists(key_of(a.f, x) + b"!") for x in (1, 2, 3))
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call
        assert not any(control.exists(key_of(a.f, x) + b"!") for x in (1, 2, 3))
        assert not tier._links.get().near.visits

    on_loop(test, lease=3600)


def test_F3_an_error_is_for_the_keys_that_it_is_about(on_loop):
    async def test(tier, other):
        a, b = Source(tier), Source(other, error=ValueError("no"))
        await a.f([1])
        one = asyncio.create_task(b.f.one(1))
        two = asyncio.create_task(b.f.one(2))
        assert await one == "value 1"
        with pytest.raises(ValueError, match="no"):
            await two
        with pytest.raises(ValueError, match="no"):
            await b.f([1, 2])
        assert b.f.cache_contains(1)
        b.error = None
        assert await b.f([1, 2]) == values(1, 2)

    on_loop(test)


def failing_at_a_key(tier, error):
    @cached_many(tier=tier.using(name="f"))
    async def f(ids: list[int]) -> dict[int, str]:
        return Broken(error, values(*ids))

    return f


def failing(tier, error):
    @cached_many(tier=tier.using(name="f"))
    async def f(ids: list[int]) -> dict[int, str]:
        raise error

    return f


@pytest.mark.parametrize("error", [ValueError("no"), StopIteration("no"), Odd("no")])
@pytest.mark.parametrize("make", [failing_at_a_key, failing])
def test_F3_nobody_is_kept_waiting_whatever_is_raised(on_loop, make, error):
    async def test(tier, other):
        f = make(tier, error)
        outcomes = await asyncio.gather(f.one(1), f.one(2), f.one(3), return_exceptions=True)
        if make is failing_at_a_key and isinstance(error, Exception):
            assert outcomes[::2] == ["value 1", "value 3"]
        for raised in outcomes[1:2] if isinstance(outcomes[0], str) else outcomes:
            assert isinstance(raised, RuntimeError) if isinstance(error, StopIteration) else raised is error

    on_loop(test)


def test_F3_the_traceback_does_not_grow_with_the_keys(on_loop):
    async def test(tier, other):
        def depth(error):
            found, traceback = 0, error.__traceback__
            while traceback is not None:
                found, traceback = found + 1, traceback.tb_next
            return found

        depths = []
        for count in (1, 40):
            with pytest.raises(ValueError) as caught:
                await Source(tier, name=f"f{count}", error=ValueError("no")).f(range(count))
            depths.append(depth(caught.value))
        assert abs(depths[0] - depths[1]) <= 1

    on_loop(test)


def test_D2_after_two_failures_those_who_have_waited_are_told(on_loop):
    async def test(tier, other):
        a, b = Source(tier, error=ValueError("no")), Source(other)
        a.go_on.clear()
        first = asyncio.create_task(a.f([1, 2]))
        await a.begun.wait()
        second = asyncio.create_task(b.f([1, 2]))
        while other.stats(b.f).waits < 2:
            await asyncio.sleep(0)
        client = tier._links.get()
        for x in (1, 2):
            key = key_of(a.f, x)
            await client.client.execute("SET", key + b"!", "!2:ValueError", "PX", 3_600_000)
            await client.client.execute("PUBLISH", client.channel, bytes(8) + key)
        with pytest.raises(LoadFailedElsewhereError):
            await second
        a.go_on.set()
        with pytest.raises(ValueError, match="no"):
            await first

    on_loop(test)


@pytest.mark.parametrize("options", [{"missing": "absent"}, {"default": "nothing"}])
def test_R7_that_a_key_has_no_value_is_shared(on_loop, options):
    async def test(tier, other):
        a, b = Source(tier, lacks=[2], **options), Source(other, lacks=[2], **options)
        expected = values(1) | ({2: "nothing"} if "default" in options else {})
        assert await a.f([1, 2]) == expected
        assert await b.f([1, 2]) == await b.f([1, 2]) == expected
        assert b.runs == []
        await tier.invalidate(a.f, 2)
        await a.f([1, 2])
        assert a.runs == [[1, 2], [2]]

    on_loop(test)


def test_R7_a_missing_key_that_is_an_error_is_not_shared(on_loop, control):
    async def test(tier, other):
        a, b = Source(tier, lacks=[2]), Source(other)
        with pytest.raises(MissingKeyError):
            await a.f([1, 2])
        assert not control.exists(key_of(a.f, 2), key_of(a.f, 2) + b"!")
        assert await b.f([1, 2]) == values(1, 2)
        assert b.runs == [[2]]

    on_loop(test)


def test_D3_one_key_is_invalidated_during_the_load(on_loop):
    async def test(tier, other):
        a, b = Source(tier), Source(other)
        a.go_on.clear()
        first = asyncio.create_task(a.f([1, 2]))
        await a.begun.wait()
        await other.invalidate(b.f, 1)
        a.go_on.set()
        assert await first == values(1, 2)
        assert await b.f([1, 2]) == values(1, 2)
        assert b.runs == [[1]]
        assert await a.f([1, 2]) == values(1, 2)
        assert a.runs == [[1, 2]]

    on_loop(test)


def test_D3_tags_are_those_of_one_key(on_loop):
    async def test(tier, other):
        tags = {"tags": lambda key: [f"user:{key}", "users"]}
        a, b = Source(tier, **tags), Source(other, **tags)
        await a.f([1, 2])
        await b.f([1, 2])
        await tier.invalidate_tags("user:1")
        while b.f.cache_contains(1):
            await asyncio.sleep(0)
        await b.f([1, 2])
        assert b.runs == [[1]]
        await tier.invalidate_tags("users")
        assert await a.f([1, 2]) == values(1, 2)
        assert a.runs == [[1, 2], [1, 2]]

    on_loop(test)


def test_D3_put_and_clear(on_loop):
    async def test(tier, other):
        a, b = Source(tier), Source(other)
        await tier.put(a.f, "another", 1)
        assert await b.f([1, 2]) == {1: "another", 2: "value 2"}
        assert await tier.clear(a.f) == 2
        while b.f.cache_contains(1):
            await asyncio.sleep(0)
        assert await b.f([1, 2]) == values(1, 2)

    on_loop(test)


def test_D4_without_a_server_the_function_runs_once_for_all(on_loop):
    async def test(tier, other):
        a = Source(tier)
        await a.f([0])
        tier._links.get().breaker.trip(ConnectionError())
        assert await a.f(range(5)) == values(*range(5))
        assert a.runs == [[0], [1, 2, 3, 4]]
        assert tier.stats(a.f).unshared == 4

    on_loop(test)


def test_D5_the_annotation_is_that_of_one_value(on_loop):
    async def test(tier, other):
        @cached_many(tier=tier.using(name="pairs"))
        async def pairs(ids: list[int]) -> dict[int, tuple[int, int]]:
            return {key: (key, key) for key in ids}

        @cached_many(tier=other.using(name="pairs"))
        async def also_pairs(ids: list[int]) -> dict[int, tuple[int, int]]:
            raise AssertionError

        await pairs([1])
        assert await also_pairs([1]) == {1: (1, 1)}

        @cached_many(tier=tier.using(name="untyped"))
        async def untyped(ids):
            return {key: (key, key) for key in ids}

        with pytest.raises(TypeError, match="tuple, and comes back as list"):
            await untyped([1])

    on_loop(test)


def test_R7_a_result_that_is_no_mapping_is_an_error(on_loop, control):
    async def test(tier, other):
        @cached_many(tier=tier.using(name="f"))
        async def f(ids: list[int]) -> Any:
            return ["a"]

        with pytest.raises(TypeError, match="must return a mapping"):
            await f([1])

    on_loop(test)


def test_R7_methods_keywords_and_batches(on_loop):
    async def test(tier, other):
        runs = []

        class Users:
            @cached_many(LRUCache(100), ignore=("self",), max_batch=2, tier=tier.using(name="users"))
            async def get(self, ids: list[int], *, full: bool = False) -> dict[int, str]:
                runs.append((list(ids), full))
                return {key: f"{key} {full}" for key in ids}

        assert await Users().get([1, 2, 3]) == {1: "1 False", 2: "2 False", 3: "3 False"}
        assert await Users().get(ids=[1], full=True) == {1: "1 True"}
        assert await Users().get.one(3) == "3 False"
        assert runs == [([1, 2], False), ([3], False), ([1], True)]
        assert await tier.invalidate(Users().get, 3)
        assert not Users().get.cache_contains(3)

    on_loop(test)


def test_D6_a_key_that_no_other_process_knows_is_named(on_loop):
    async def test(tier, other):
        a = Source(tier)
        with pytest.raises(TypeError, match=r"'ids' is a builtins\.object"):
            await a.f([object()])
        assert not tier._links.get().near.visits

    on_loop(test)


def test_A4_a_tier_of_one_s_own_needs_attach_many():
    class Single:
        def attach(self, function):
            return function.function

    with pytest.raises(TypeError, match="ManyTier"):
        cached_many(tier=Single())
