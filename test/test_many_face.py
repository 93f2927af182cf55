"""Rule R7: a function of several keys as a method, and as a decorated function in general."""

import asyncio
import copy
import gc
import inspect
import pickle
import weakref

import pytest
from cachetools.keys import hashkey
from support import Batches, outcome, settle, values

import aiocachetools
from aiocachetools import cached_many


class Repository:
    """A function of several keys as a method of every kind."""

    def __init__(self):
        self.asked = []

    @cached_many(maxsize=100)
    async def users(self, ids):
        self.asked.append(ids)
        return {i: (id(self), i) for i in ids}

    @cached_many(maxsize=100, ignore=("self",))
    async def groups(self, ids):
        return {i: id(self) for i in ids}

    @classmethod
    @cached_many(maxsize=100)
    async def inner(cls, ids):
        return dict.fromkeys(ids, cls.__name__)

    @cached_many(maxsize=100)
    @classmethod
    async def outer(cls, ids):
        return dict.fromkeys(ids, cls.__name__)

    @staticmethod
    @cached_many(maxsize=100)
    async def inner_static(ids):
        return dict.fromkeys(ids, "static")

    @cached_many(maxsize=100)
    @staticmethod
    async def outer_static(ids):
        return dict.fromkeys(ids, "static")


class Child(Repository):
    """Another class with the same methods."""


def test_R7_K5_instances_have_entries_of_their_own(run):
    async def main():
        a, b = Repository(), Repository()
        assert await a.users([1, 2]) == {1: (id(a), 1), 2: (id(a), 2)}
        assert await b.users([1]) == {1: (id(b), 1)}
        assert await a.users.one(2) == (id(a), 2)
        assert a.asked == [[1, 2]]
        assert a.users.cache_contains(1)
        assert a.users.cache_invalidate_many([1, 2, 3]) == 2
        assert not Repository.users.cache_contains(a, 1)
        assert Repository.users.cache_invalidate_many(b, [1]) == 1
        gone = weakref.ref(a)
        del a
        gc.collect()
        assert gone() is None

    run(main())


def test_R7_K5_instances_share_entries_when_self_is_ignored(run):
    async def main():
        a, b = Repository(), Repository()
        assert await a.groups([1]) == await b.groups([1])
        assert a.groups.cache_key(1) == hashkey(1)

    run(main())


@pytest.mark.parametrize("name", ["inner", "outer"])
def test_R7_class_methods_in_both_orders(run, name):
    async def main():
        assert await getattr(Repository, name)([1]) == {1: "Repository"}
        assert await getattr(Child(), name)([1]) == {1: "Child"}
        assert await getattr(Repository(), name)([1, 2]) == {1: "Repository", 2: "Repository"}

    run(main())


@pytest.mark.parametrize("name", ["inner_static", "outer_static"])
def test_R7_static_methods_in_both_orders(run, name):
    async def main():
        assert await getattr(Repository, name)([1]) == {1: "static"}
        assert await getattr(Repository(), name)([1]) == {1: "static"}

    run(main())


# As any decorated function.


def test_R7_A1_the_function_keeps_its_face():
    @cached_many
    async def users(ids: list[int]) -> dict[int, str]:
        """Users by id."""
        return {}

    assert inspect.iscoroutinefunction(users)
    assert (users.__name__, users.__doc__) == ("users", "Users by id.")
    assert str(inspect.signature(users)) == "(ids: list[int]) -> dict[int, str]"
    assert copy.copy(users) is users
    assert isinstance(users, aiocachetools.CachedManyFunction)
    assert pickle.loads(pickle.dumps(Repository.users)) is Repository.users
    parameters = users.cache_parameters()
    assert (parameters["max_batch"], parameters["missing"]) == (None, "error")
    assert not hasattr(aiocachetools.cached(plain), "one")


async def plain():
    """A function that takes no keys."""


def test_R7_A2_a_miss_that_is_dropped_warns_and_a_hit_does_not(run):
    b = Batches()

    async def main():
        with pytest.warns(RuntimeWarning, match="was never awaited"):
            b.f([1])
            gc.collect()
        await b.f([1])
        b.f([1])
        gc.collect()
        assert b.asked == [[1]]
        call = b.f([1])
        await call
        with pytest.raises(RuntimeError, match="already awaited"):
            await call

    run(main())


def test_R7_A2_a_hit_is_decided_at_the_call(run):
    b = Batches()

    async def main():
        await b.f([1])
        call = b.f([1, 2])
        b.f.cache_clear()
        assert await call == values(1, 2)
        assert b.asked == [[1], [2]]

    run(main())


def test_R7_A5_no_cache_is_the_function_itself(run):
    calls = []

    @cached_many(None, default=0)
    async def f(ids):
        calls.append(ids)
        return {i: i for i in ids if i < 3}

    async def main():
        keys = [1, 1]
        assert await f(keys) == {1: 1}
        assert calls[0] is keys
        assert await f.one(2) == 2
        assert await f.one(5) == 0
        assert f.cache_info().misses == 3

    run(main())


def test_R7_closed_functions_take_no_calls(run):
    b = Batches(held=True)

    async def main():
        task = asyncio.create_task(b.f([1, 2]))
        await settle()
        await b.f.cache_close()
        assert isinstance(await outcome(task), asyncio.CancelledError)
        assert b.cancelled == [[1, 2]]
        with pytest.raises(RuntimeError, match="closed"):
            b.f([1])
        with pytest.raises(RuntimeError, match="closed"):
            b.f.one(1)

    run(main())
