"""Rule R6: tags of functions of several keys."""

import asyncio

import pytest
from support import Timers, begun, outcome, settle

from aiocachetools import ABSENT, cached_many, invalidate_tag


class Rows:
    def __init__(self):
        self.asked, self.gate = [], None

    async def __call__(self, keys):
        self.asked.append(list(keys))
        number = len(self.asked)
        if self.gate is not None:
            await self.gate.wait()
        return {key: (key, number) for key in keys if key != "no"}


def made_many(rows, **options):
    async def f(keys):
        return await rows(keys)

    return cached_many(**{"maxsize": 100, **options})(f)


@pytest.mark.parametrize("tags", [lambda key: f"row:{key}", lambda key, *, value: f"row:{value[0]}"])
def test_R6_R7_each_key_has_tags_of_its_own(run, tags):
    async def main():
        rows = Rows()
        f = made_many(rows, tags=tags)
        await f([1, 2, 3])
        invalidate_tag("row:2")
        assert await f([1, 2, 3]) == {1: (1, 1), 2: (2, 2), 3: (3, 1)}
        assert rows.asked == [[1, 2, 3], [2]]

    run(main())


def test_R6_R7_an_invalidation_concerns_single_keys_of_a_batch_under_way(run):
    async def main():
        rows = Rows()
        rows.gate = asyncio.Event()
        f = made_many(rows, tags=lambda key: f"row:{key}")
        first = await begun(f([1, 2]))
        invalidate_tag("row:2")
        second = await begun(f([1, 2]))
        assert rows.asked == [[1, 2], [2]]
        rows.gate.set()
        assert await first == {1: (1, 1), 2: (2, 1)}
        assert await second == {1: (1, 1), 2: (2, 2)}
        assert await f([1, 2]) == {1: (1, 1), 2: (2, 2)}

    run(main())


def test_R6_R7_single_calls_that_were_not_launched_yet_are_loaded_anew(run):
    async def main():
        rows = Rows()
        f = made_many(rows, tags="all")

        async def after_the_first():
            invalidate_tag("all")
            return await f.one(1)

        first, second = await asyncio.gather(f.one(1), after_the_first())
        assert (first[0], second[0]) == (1, 1)
        assert f.cache_contains(1)
        invalidate_tag("all")
        assert not f.cache_contains(1)

    run(main())


def test_R6_R2_R7_stale_keys_of_an_invalidated_tag_are_loaded(run):
    async def main():
        clock, rows = Timers(), Rows()
        f = made_many(rows, ttl=10, timer=clock, stale_while_revalidate=100, tags=lambda key: f"row:{key}")
        await f([1, 2])
        clock.now = 20
        invalidate_tag("row:2")
        got = await f([1, 2])
        await settle()
        assert got[1] == (1, 1)
        assert got[2] != (2, 1)
        assert sorted(rows.asked) == [[1], [1, 2], [2]]

    run(main())


@pytest.mark.parametrize("one", [False, True])
def test_R6_R2_R7_an_error_of_the_tags_function_leaves_no_refresh_that_never_begins(run, one):
    async def main():
        clock, rows, bad = Timers(), Rows(), []

        def tags(key):
            if key in bad:
                raise LookupError(key)
            return f"row:{key}"

        f = made_many(rows, ttl=10, timer=clock, stale_while_revalidate=100, tags=tags)
        await f([1, 2])
        clock.now, bad[:] = 20, [2]
        calls = [f.one(1), f.one(2)] if one else [f([1, 2])]
        outcomes = [await outcome(call) for call in map(asyncio.ensure_future, calls)]
        assert isinstance(outcomes[-1], LookupError)
        await settle()
        assert rows.asked == [[1, 2], [1]]
        assert await f([1]) == {1: (1, 2)}

    run(main())


def test_R6_R7_a_key_that_is_absent_has_tags_too(run):
    async def main():
        rows, values = Rows(), []
        f = made_many(rows, missing="absent", tags=lambda key, *, value: values.append(value) or f"row:{key}")
        assert await f(["no"]) == {}
        assert values == [ABSENT]
        invalidate_tag("row:no")
        await f(["no"])
        assert len(rows.asked) == 2

    run(main())
