"""Rule R7: calls for one key at a time are loaded together, as calls for several are."""

import asyncio

import pytest
from support import Batches, values

from aiocachetools import MissingKeyError


def test_R7_calls_for_one_key_are_loaded_together(run):
    b = Batches()

    async def main():
        results = await asyncio.gather(*(b.f.one(key) for key in [1, 2, 3, 2, 1]))
        assert results == [("value of", key) for key in [1, 2, 3, 2, 1]]
        assert b.asked == [[1, 2, 3]]
        assert await b.f.one(1) == ("value of", 1)
        assert await b.f([1, 2]) == values(1, 2)
        assert b.asked == [[1, 2, 3]]
        assert b.f.cache_info()[:2] == (5, 3)

    run(main())


def test_R7_calls_for_one_key_keep_to_max_batch(run):
    b = Batches(max_batch=2)

    async def main():
        await asyncio.gather(*(b.f.one(key) for key in range(5)))
        assert b.asked == [[0, 1], [2, 3], [4]]

    run(main())


def test_R7_calls_for_one_key_with_other_arguments_are_loaded_apart(run):
    b = Batches()

    async def main():
        await asyncio.gather(b.f.one(1, "en"), b.f.one(2, "de"), b.f.one(3, "en"))
        assert b.asked == [[1, 3], [2]]

    run(main())


def test_R7_a_call_for_one_missing_key_is_an_error(run):
    b = Batches(lacking=[2], missing="absent")

    async def main():
        for _ in range(2):
            with pytest.raises(MissingKeyError) as caught:
                await b.f.one(2)
            assert caught.value.keys == (2,)
        assert b.asked == [[2]]

    run(main())


def test_R7_a_list_call_joins_calls_for_one_key(run):
    b = Batches()

    async def main():
        one = asyncio.create_task(b.f.one(1))
        many = asyncio.create_task(b.f([1, 2]))
        assert await one == ("value of", 1)
        assert await many == values(1, 2)
        assert sorted(b.asked) == [[1], [2]]

    run(main())
