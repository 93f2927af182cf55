"""Rule D6: the keys of functions and their calls, which are the same in every process."""

import dataclasses
from typing import Any

import pytest
from functions import Plain, counted

import aiocachetools
from aiocachetools import cached, cachedmethod


def test_D6_an_argument_that_no_other_process_knows_is_named(on_loop):
    async def test(tier):
        f, _ = counted(tier)
        with pytest.raises(TypeError, match=r"f\(\): 'x' is a .*Plain.*ignore=\('x',\).*key="):
            await f(Plain())

        class Users:
            @cached(tier=tier.using(name="users"))
            async def get(self, user_id: int) -> int:
                return user_id

            @cached(tier=tier.using(name="users2"), ignore=("self",))
            async def find(self, user_id: int) -> int:
                return user_id

        with pytest.raises(TypeError, match=r"'self' is an instance, known by its identity.*ignore=.*key="):
            await Users().get(1)
        assert await Users().find(1) == await Users().find(1) == 1
        assert tier.stats(Users.find).loads == 1
        assert await tier.invalidate(Users().find, 1)
        assert not Users().find.cache_contains(1)

    on_loop(test)


def test_D6_a_local_function_needs_a_name(make_tier):
    with pytest.raises(TypeError, match=r"made inside a function.*name="):

        @cached(tier=make_tier())
        async def f(): ...


def test_D6_key_functions_and_ignored_parameters(on_loop):
    async def test(tier):
        runs = []

        @cached(key=lambda user, **_: user.id, tier=tier.using(name="by-id"))
        async def load(user: Any, *, depth: int = 1) -> int:
            runs.append(user.id)
            return user.id

        @dataclasses.dataclass
        class User:
            id: int

        assert [await load(User(1)), await load(User(1), depth=2), await load(User(2))] == [1, 1, 2]
        assert runs == [1, 2]
        load.cache_clear()
        await load(User(1))
        assert runs == [1, 2]

        @cached(key=lambda user: user, tier=tier.using(name="by-user"))
        async def by_user(user: Any) -> int:
            return 1

        with pytest.raises(TypeError, match="key function"):
            await by_user(Plain())

    on_loop(test)


def test_D6_functions_on_one_cache(on_loop):
    async def test(tier):
        cache = aiocachetools.LRUCache(100)
        loads = []

        def make(name):
            @cached(cache, tier=tier.using(name=name))
            async def f(x: int) -> str:
                loads.append((name, x))
                return name

            return f

        a, b, also_b = make("a"), make("b"), make("b")
        assert [await a(1), await b(1), await also_b(1)] == ["a", "b", "b"]
        assert loads == [("a", 1), ("b", 1)]
        await tier.invalidate(b, 1)
        assert [f.cache_contains(1) for f in (a, b, also_b)] == [True, False, False]

    on_loop(test)


def test_D6_methods_with_caches_of_their_own(on_loop):
    async def test(tier):
        class Users:
            loads = 0

            def __init__(self):
                self.cache = aiocachetools.LRUCache(100)

            @cachedmethod(lambda self: self.cache, ignore=("self",), tier=tier.using(name="users"))
            async def get(self, user_id: int) -> int:
                Users.loads += 1
                return user_id

            @classmethod
            @cached(ignore=("cls",), tier=tier.using(name="users-class"))
            async def of_class(cls, user_id: int) -> int:
                Users.loads += 1
                return user_id

            @staticmethod
            @cached(tier=tier.using(name="users-static"))
            async def static(user_id: int) -> int:
                Users.loads += 1
                return user_id

        a, b = Users(), Users()
        assert [await a.get(1), await b.get(1), await a.get(1)] == [1, 1, 1]
        assert Users.loads == 1
        assert a.get.cache_contains(1)
        assert b.get.cache_contains(1)
        assert await tier.invalidate(a.get, 1)
        assert not a.get.cache_contains(1)
        assert not b.get.cache_contains(1)
        assert [await Users.of_class(1), await a.of_class(1), await a.static(1), await Users.static(1)] == [
            1
        ] * 4
        assert Users.loads == 3
        assert await tier.invalidate(Users.of_class, 1)
        assert await tier.invalidate(Users.static, 1)

    on_loop(test)
