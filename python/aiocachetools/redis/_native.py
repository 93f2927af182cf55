"""The tier's own connection: protocol and order are the native module's, here it is opened, and opened again.

The server tracks what the connection has read and tells of changes to just that.  Where it cannot,
changes are heard of on the channel that they are published on, and where not even that, not at all.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from loguru import logger

from aiocachetools._core import RedisConnection

from ._address import Address
from ._background import background
from ._client import Command, Part
from ._errors import ReplyError

__all__ = ("NativeClient",)

_MIN_BACKOFF = 0.05
_MAX_BACKOFF = 2.0
# Seconds that opening a connection may take, at the least: nobody waits for it any more.
_MIN_OPENING = 2.0
# What a reply has beside the longest payload.
_BESIDE = 1 << 16
_ORIGIN_BYTES = 8


class _Protocol(RedisConnection, asyncio.BufferedProtocol):
    """A connection, as the loop knows one that has a buffer of its own."""

    __slots__ = ()


class NativeClient:
    """One connection to one server.

    Args:
        address: Where the server is.
        deadline: Seconds that an answer may take.
        channel: Where changes are published.
        origin: What this process's own messages begin with.
        max_bytes: Of longer values only the beginning is read.
    """

    def __init__(
        self, address: Address, *, deadline: float, channel: bytes, origin: bytes, max_bytes: int
    ) -> None:
        self._address = address
        self._deadline = deadline
        self._channel = channel
        self._origin = origin
        self._longest = max_bytes + _BESIDE
        self.connection: RedisConnection | None = None
        self._opening: asyncio.Task[None] | None = None
        # The connection whose handshake is under way, or was the last, and what comes of that.
        self._attempt: RedisConnection | None = None
        self._outcome: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._backoff = _MIN_BACKOFF
        self._end_of_loop: AsyncGenerator[None, None] | None = None
        self._closed = False
        self.connected = False
        self.tracking = False
        self.on_push: Callable[[Sequence[bytes] | None], object] = lambda _: None
        self.on_connect: Callable[[], object] = lambda: None
        self.on_disconnect: Callable[[], object] = lambda: None

    async def start(self) -> None:
        """Connect, and wait for what comes of the first attempt; it is made again until it succeeds."""
        opening = self._opening
        if opening is None:
            opening = self._open()
            self._end_of_loop = self._close_with_loop()
            await anext(self._end_of_loop)
        await asyncio.shield(opening)

    def execute(self, *command: Part) -> Awaitable[Any]:
        """The answer to one command."""
        if self.connection is None:
            return _not_connected()
        return self.connection.execute(*command)

    def execute_many(self, commands: Sequence[Command]) -> Awaitable[list[Any]]:
        """The answers to several commands, sent together."""
        if self.connection is None:
            return _not_connected()
        return self.connection.execute_many(commands)

    async def scan(self, pattern: bytes) -> AsyncIterator[bytes]:
        """All keys of a pattern."""
        cursor = b"0"
        while True:
            cursor, keys = await self.execute(b"SCAN", cursor, b"MATCH", pattern, b"COUNT", 1000)
            for key in keys:
                yield key
            if cursor == b"0":
                return

    async def aclose(self) -> None:
        """Close the connection."""
        end, self._end_of_loop = self._end_of_loop, None
        if end is not None:
            await end.aclose()

    async def _close_with_loop(self) -> AsyncGenerator[None, None]:
        """Waits to be closed, which asyncio does with its generators before it closes the loop."""
        try:
            yield
        finally:
            await self._close()

    async def _close(self) -> None:
        self._closed = True
        if self._again is not None:
            self._again.cancel()
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self.connection is not None:
            self._ended = asyncio.get_running_loop().create_future()
            self.connection.abort()
            await self._ended

    def _open(self) -> "asyncio.Task[None]":
        self._again = None
        self._opening = background(self._open_now())
        # Who waits for the first attempt hears of it; of the others nobody does.
        self._opening.add_done_callback(lambda opening: opening.cancelled() or opening.exception())
        return self._opening

    async def _open_now(self) -> None:
        """Connect once, and wait for the end of the handshake."""
        self._outcome = asyncio.get_running_loop().create_future()
        connection = self._attempt = _Protocol(
            self,
            ReplyError,
            username=_encoded(self._address.username),
            password=_encoded(self._address.password),
            database=self._address.database,
            channel=self._channel,
            deadline=self._deadline,
            longest=self._longest,
        )
        try:
            async with asyncio.timeout(max(_MIN_OPENING, self._deadline)):
                await self._address.connect(lambda: connection)
                await self._outcome
        except Exception as error:
            logger.debug("redis tier: not connected: {}", error)
            connection.abort()
            self._open_later()
            raise
        except asyncio.CancelledError:
            connection.abort()
            raise

    def _open_later(self) -> None:
        if self._closed or self._again is not None:
            return
        delay = self._backoff * random.uniform(0.5, 1.0)
        self._backoff = min(self._backoff * 2, _MAX_BACKOFF)
        self._again = asyncio.get_running_loop().call_later(delay, self._open)

    def ready(self, connection: RedisConnection, tracking: bool, subscribed: bool) -> None:
        """The handshake is over."""
        if (
            connection is not self._attempt or self._outcome is None or self._outcome.done()
        ):  # it was given up
            connection.abort()
            return
        self.connection = connection
        self._backoff = _MIN_BACKOFF
        self.tracking = tracking
        if tracking or subscribed:
            self.connected = True
            self.on_connect()
        self._outcome.set_result(None)

    def changed(self, keys: Sequence[bytes] | None) -> None:
        """Keys that were read have changed; None for all of them."""
        self.on_push(keys)

    def published(self, message: bytes) -> None:
        """A change was published."""
        if message[:_ORIGIN_BYTES] != self._origin:
            self.on_push([message[_ORIGIN_BYTES:]])

    def lost(self, connection: RedisConnection, error: Exception) -> None:
        """A connection has ended."""
        if connection is self._attempt and self._outcome is not None and not self._outcome.done():
            self._outcome.set_exception(error)
        if connection is not self.connection:
            return
        self.connection = None
        if self.connected:
            logger.debug("redis tier: the connection is lost: {}", error)
            self.connected = False
            self.on_disconnect()
        self._open_later()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)


async def _not_connected() -> Any:
    raise ConnectionError("there is no connection to the server")


def _encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "surrogateescape")
