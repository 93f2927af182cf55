"""The tier on one event loop: a connection, what memory holds of it, and whether it works."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from loguru import logger

from aiocachetools._core import Port

from ._background import background, lasting
from ._breaker import Breaker
from ._client import Client
from ._errors import ReplyError, TierUnavailableError
from ._keys import is_lease, key_of, lease_of
from ._near import NearCache
from ._options import LinkOptions
from ._scripts import BUMP, INVALIDATE, PUT, Script

__all__ = ("FAILURE", "OUTAGE", "Link")

T = TypeVar("T")

# The origin of changes that the process which made them has to hear of as well: it may have been
# cancelled before they were made.
_EVERYBODY = bytes(8)
_CLEARED_AT_ONCE = 500

# What a client raises when the server does not answer, or not in time.
OUTAGE = (ConnectionError, TimeoutError, OSError)
# What it raises altogether.
FAILURE = (*OUTAGE, ReplyError)


class Link:
    """One connection, for one loop.

    Args:
        make_client: Called with the link's origin; a client, which is not yet started.
        options: The tier's.
    """

    def __init__(self, make_client: Callable[[bytes], Client], options: LinkOptions) -> None:
        self.origin = os.urandom(8)
        self.options = options
        self.channel = f"{options.prefix}!".encode()
        self.near = NearCache(options.max_unverified)
        self.client = make_client(self.origin)
        self.client.on_push = self.near.hear
        self.client.on_connect = self._connected
        self.client.on_disconnect = self._disconnected
        self.breaker = Breaker(lambda: self.client.execute(b"PING"), self._turned)
        self.port = Port(asyncio.get_running_loop(), self.near.visits)
        self._ready: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[Any]] = set()
        self.is_ready = False

    def _connected(self) -> None:
        self.near.connected()
        self._route()

    def _disconnected(self) -> None:
        self._route()
        self.near.disconnected(self.options.strict)

    def _turned(self) -> None:
        self._route()
        if self.breaker.is_open:
            self.near.wake()

    def _route(self) -> None:
        """Let the native loaders ask the server where nothing is in the way."""
        free = self.is_ready and self.client.connected and not self.breaker.is_open
        self.port.connection = self.client.connection if free else None

    def spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Have something done, whoever waits for it."""
        task = background(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def ready(self) -> None:
        """Wait until the server's messages are heard, but no longer than the deadline."""
        if self._ready is None:
            self._ready = background(self._start())
        with contextlib.suppress(TierUnavailableError):  # the breaker is open for good
            await lasting(self._ready)

    async def _start(self) -> None:
        try:
            async with asyncio.timeout(self.options.deadline):
                await self.client.start()
        except FAILURE as error:
            self.breaker.trip(error)
        self.is_ready = True
        self._route()

    def read(self, key: bytes, tags: Sequence[bytes]) -> Awaitable[list[Any]]:
        """A value, its milliseconds to live and the versions of its tags, in one round trip."""
        commands: tuple[tuple[bytes, bytes], ...] = ((b"GET", key), (b"PTTL", key))
        if tags:
            commands += tuple([(b"GET", tag) for tag in tags])
        return self.client.execute_many(commands)

    def failed(self, error: Exception) -> None:
        """A request of a load's has failed, which goes on without the server."""
        if isinstance(error, ReplyError):
            logger.warning("redis tier: {}", error)
        else:
            self.breaker.trip(error)

    def bounded(self, seconds: float) -> float:
        """A time in memory; short, or none, where nobody would tell us of changes."""
        if self.client.connected:
            return seconds
        return 0.0 if self.options.strict else min(seconds, self.options.max_unverified)

    async def invalidate(self, key: bytes) -> bool:
        """Remove a value everywhere; whether there was one."""
        return bool(await self._change(INVALIDATE, (key, lease_of(key))))

    async def put(self, key: bytes, envelope: bytes, ttl_ms: int) -> None:
        """Store a value for everybody."""
        await self._change(PUT, (key, lease_of(key)), envelope, ttl_ms)

    async def bump(self, tag: bytes, version: int, ttl_ms: int) -> None:
        """Give a tag another version."""
        await self._change(BUMP, (tag,), version, ttl_ms)

    async def clear(self, beginning: bytes, pattern: bytes) -> int:
        """Remove all keys of a pattern, and the leases on them; how many values there were."""
        await self.ready()
        keys: set[bytes] = set()
        removed = 0
        self.near.hear([beginning])
        scan = self.client.scan(pattern)
        while (found := await self.guarded(anext(scan, None))) is not None:
            keys.add(key_of(found) if is_lease(found) else found)
            if len(keys) >= _CLEARED_AT_ONCE:
                removed += await self._remove(keys)
                keys.clear()
        removed += await self._remove(keys)
        # Memory may have what the server has no longer.
        await self.guarded(self.client.execute(b"PUBLISH", self.channel, _EVERYBODY + beginning))
        self.near.hear([beginning])
        return removed

    async def _remove(self, keys: Iterable[bytes]) -> int:
        return sum(await asyncio.gather(*map(self.invalidate, keys)))

    async def _change(self, script: Script, keys: Sequence[bytes], *arguments: bytes | int) -> Any:
        """Change the first of some keys for everybody, to the end even if the caller is cancelled.

        The server may not tell us what we have changed ourselves.
        """
        self.near.hear(keys[:1])
        await self.ready()
        return await lasting(self.spawn(self._change_now(script, keys, arguments)))

    async def _change_now(
        self, script: Script, keys: Sequence[bytes], arguments: Sequence[bytes | int]
    ) -> Any:
        try:
            return await self.guarded(script.run(self.client, keys, *arguments, self.channel, _EVERYBODY))
        finally:
            self.near.hear(keys[:1])

    async def guarded(self, answer: Awaitable[Any]) -> Any:
        """An answer that a user waits for.

        Raises:
            TierUnavailableError: When there is none.
        """
        try:
            return await answer
        except OUTAGE as error:
            self.breaker.trip(error)
            raise TierUnavailableError(
                f"the server does not answer ({type(error).__name__}): whether the change was made is not known"
            ) from error

    async def aclose(self) -> None:
        """Close the connection, once the leases of what was cancelled are given back."""
        await self.breaker.aclose()
        tasks = [*self._background, *([self._ready] if self._ready else [])]
        if tasks:
            await asyncio.wait(tasks, timeout=self.options.deadline)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.near.close()
        await self.client.aclose()
