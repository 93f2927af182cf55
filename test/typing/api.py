"""Rule A3: what mypy --strict and pyright see. Type checkers read this file; test_typing.py runs it."""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, assert_type

import cachetools
from cachetools.keys import hashkey

import aiocachetools
from aiocachetools import (
    CacheEvent,
    CacheInfo,
    LRUCache,
    RecursiveLoadError,
    RemovalCause,
    Stats,
    WarmUp,
    cached,
    cached_many,
    cachedmethod,
    invalidate_tag,
    invalidate_tags,
)
from aiocachetools.redis import RedisTier


class User:
    """What the functions return."""

    def __init__(self, name: str) -> None:
        self.name = name


@cached
async def bare(user_id: int, *, full: bool = False) -> User:
    return User(f"{user_id} {full}")


@cached()
async def called(user_id: int) -> User:
    return User(f"{user_id}")


@cached(maxsize=10_000, ttl=60)
async def sized(name: str, *rest: int, **options: float) -> list[str]:
    return [name, *map(str, rest), *options]


@cached(maxsize=1_000_000, policy="tinylfu", getsizeof=len)
async def weighed(name: str) -> bytes:
    return name.encode()


@cached(ttl=timedelta(minutes=1), timer=datetime.now, maxsize=None)
async def timed(name: str) -> str:
    return name


@cached(cachetools.TTLCache[Any, Any](1024, 60), ignore=("session",))
async def foreign(session: object, user_id: int) -> User | None:
    return User(f"{user_id}") if user_id else None


def lower(name: str) -> str:
    return name.lower()


@cached(aiocachetools.LRUCache(1024), key=lower)
async def keyed(name: str) -> str:
    return name


@cached({}, hashkey, threading.Lock(), None, True, on_abandon="finish")
async def positional(name: str) -> str:
    return name


@cached(None)
async def off(name: str) -> str:
    return name


@cached_many(maxsize=10_000, max_batch=100)
async def many(user_ids: list[int], *, full: bool = False) -> dict[int, User]:
    return {user_id: User(f"{user_id} {full}") for user_id in user_ids}


tier = RedisTier("redis://localhost")


@cached(tier=tier.using(name="tiered", ttl=60))
async def tiered(user_id: int) -> User:
    return User(f"{user_id}")


@cached_many(tier=tier.using(name="many"))
async def tiered_many(user_ids: list[int]) -> dict[int, User]:
    return {user_id: User(f"{user_id}") for user_id in user_ids}


async def in_every_process() -> None:
    """A change takes the arguments of a call; of a function of several keys, one key in the place of all."""
    assert_type(await tier.invalidate(tiered, 1), bool)
    assert_type(await tier.invalidate(tiered_many, 1), bool)
    await tier.put(tiered, User("1"), 1)
    await tier.put(tiered_many, User("1"), 1)

    await tier.invalidate(tiered, "1")  # type: ignore[call-overload]  # pyright: ignore
    await tier.invalidate(tiered_many, "1")  # type: ignore[call-overload]  # pyright: ignore
    assert_type(await tier.clear(tiered_many), int)


@cached(ttl=60, tags=("users", "all"))
async def tagged(user_id: int) -> User:
    return User(f"{user_id}")


def tags_of(user_id: int, *, value: User) -> list[str]:
    return [f"user:{user_id}", value.name]


@cached_many(tags=tags_of)
async def tagged_many(user_ids: list[int]) -> dict[int, User]:
    return {user_id: User(f"{user_id}") for user_id in user_ids}


async def tags_and_warm_up() -> None:
    """Tags are names; a warm-up takes calls, and tells how far it has come."""

    def tell(progress: WarmUp) -> None:
        assert_type(progress.done, int)
        assert_type(progress.total, int | None)

    assert_type(await tagged.cache_warm([1, (2,), {"user_id": 3}], concurrency=2, on_progress=tell), WarmUp)
    assert_type(await tagged_many.cache_warm(range(3), on_error=lambda keys, error: None), WarmUp)
    assert_type(await Service().several.cache_warm([1]), WarmUp)
    invalidate_tag("users")
    invalidate_tags(["users", "all"])

    invalidate_tag(["users"])  # type: ignore[arg-type]  # pyright: ignore
    await tagged.cache_warm(7)  # type: ignore[arg-type]  # pyright: ignore


class Service:
    """Methods of every kind."""

    def __init__(self) -> None:
        self.own: aiocachetools.TTLCache[Any, Any] = aiocachetools.TTLCache(10, 60)
        self.lock = threading.RLock()

    @cachedmethod(lambda self: self.own, ignore=("self",))
    async def load(self, user_id: int, limit: int = 10) -> User:
        return User(f"{user_id} {limit}")

    @cachedmethod(lambda self: self.own, lock=lambda self: self.lock)
    async def locked(self, user_id: int) -> User:
        return User(f"{user_id}")

    @cached
    async def shared(self, user_id: int) -> User:
        return User(f"{user_id}")

    @cached_many
    async def several(self, user_ids: list[int]) -> dict[int, str]:
        return {user_id: str(user_id) for user_id in user_ids}

    @staticmethod
    @cached(maxsize=10)
    async def multiply(a: int, b: int) -> int:
        return a * b


async def results() -> None:
    """A call has the type that the undecorated call would have."""
    assert_type(await bare(1), User)
    assert_type(await bare(user_id=1, full=True), User)
    assert_type(await called(1), User)
    assert_type(await sized("a", 1, 2, x=1.5), list[str])
    assert_type(await timed("a"), str)
    assert_type(await foreign(object(), 1), User | None)
    assert_type(await keyed("a"), str)
    assert_type(await positional("a"), str)
    assert_type(await off("a"), str)
    assert_type(await many([1, 2], full=True), dict[int, User])
    assert_type(await many(range(3)), dict[int, User])
    assert_type(await many.one(1), User)
    coroutine: Coroutine[Any, Any, User] = bare(1)
    assert_type(await coroutine, User)
    assert_type(await asyncio.create_task(bare(1)), User)
    assert_type(await asyncio.gather(bare(1), called(2)), tuple[User, User])
    assert_type(await asyncio.wait_for(bare(1), 1), User)


async def methods() -> None:
    """Methods bind self."""
    service = Service()
    assert_type(await service.load(1), User)
    assert_type(await service.load(user_id=1, limit=2), User)
    assert_type(await Service.load(service, 1), User)
    assert_type(await service.locked(1), User)
    assert_type(await service.shared(1), User)
    assert_type(await service.several([1]), dict[int, str])
    assert_type(await service.several.one(1), str)
    assert_type(await Service.multiply(2, 3), int)


async def attributes() -> None:
    """The attributes of functions and of bound methods."""
    service = Service()
    assert_type(bare.cache_info(), CacheInfo)
    assert_type(service.load.cache_info(), CacheInfo)
    assert_type(bare.cache_info().hits, int)
    assert_type(bare.cache_info().misses, int)
    assert_type(bare.cache_contains(1), bool)
    assert_type(service.load.cache_contains(1), bool)
    assert_type(bare.cache_invalidate(1, full=True), bool)
    assert_type(service.load.cache_invalidate(user_id=1), bool)
    bare.cache_clear()
    service.load.cache_clear()
    parameters = bare.cache_parameters()
    print(parameters["maxsize"], parameters["typed"])
    bare.cache_key(1)
    service.load.cache_key(1)
    lock: AbstractContextManager[Any] | None = positional.cache_lock
    assert lock is not None
    await bare.cache_close()
    await service.shared.cache_close(wait=True)


async def mistakes() -> None:
    """What is wrong is an error to the checkers; an ignore that is not needed would be one, too."""
    try:
        await bare("one")  # type: ignore[arg-type]
        await bare(1, True)  # type: ignore[call-arg]
        await bare()  # type: ignore[call-arg]
        await Service().load(1, 2, 3)  # type: ignore[call-arg]
        await Service.multiply("a", 3)  # type: ignore[arg-type]
        bare.cache_contains("one")  # type: ignore[arg-type]
        bare.cache_nothing()  # type: ignore[attr-defined]
    except (TypeError, AttributeError):
        pass


def handles(error: BaseException) -> bool:
    """Our error is a RecursionError."""
    recursion: type[RecursionError] = RecursiveLoadError
    return isinstance(error, recursion)


def native_caches() -> None:
    """Listeners and statistics of typed caches."""

    def listener(key: str, value: int, cause: RemovalCause) -> None:
        gone.append((key, value, cause))

    gone: list[tuple[str, int, RemovalCause]] = []
    cache: LRUCache[str, int] = LRUCache(2, removal_listener=listener)
    cache.update(a=1, b=2, c=3)
    cache.removal_listener = None
    assert_type(cache.removal_listener, None)
    assert_type(cache.stats, Stats)
    assert_type(cache.stats.evictions, int)
    assert_type(cache.stats.hit_ratio, float)
    assert gone == [("a", 1, RemovalCause.SIZE)]


def listeners() -> None:
    """A listener is told of typed events."""

    def listener(event: CacheEvent) -> None:
        assert_type(event.function, str)
        assert_type(event.error, BaseException | None)
        assert_type(event.seconds, float | None)
        names.append(event.name)
        print(event.name == "hits")  # type: ignore[comparison-overlap]

    names: list[str] = []

    @cached(maxsize=10, listener=listener)
    async def square(x: int) -> int:
        return x * x

    assert_type(asyncio.run(square(2)), int)
    assert names == ["miss", "store"]


def main() -> None:
    native_caches()
    listeners()
    for part in (results, methods, attributes):
        asyncio.run(part())


if __name__ == "__main__":
    main()
