"""The user's own client of redis-py or valkey-py (Sentinel and Cluster included) as the tier uses one.

Commands go through the client's pool.  What other processes change is heard on a channel: the
pool's connections cannot be told apart, so that the server cannot track what they read.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from loguru import logger

from ._background import background, check_cancelled
from ._client import Command, Part
from ._errors import ReplyError

__all__ = ("ClientAdapter", "check_client")

Request = tuple[Sequence[Command], "asyncio.Future[list[Any]]"]

_MIN_BACKOFF = 0.05
_MAX_BACKOFF = 2.0
# Seconds that a server may look for the next key of a pattern.
_MIN_SCAN = 5.0
# Seconds of silence after which the server is asked for a sign of life.
_HEARTBEAT = 1.0
# How often in a row that may be late: this process may have been.
_MAX_SILENCES = 2


class ClientAdapter:
    """A client of redis-py or valkey-py.

    Args:
        client: Without ``decode_responses``.
        deadline: Seconds that an answer may take.
        channel: Where changes are published.
        origin: What this process's own messages begin with.
    """

    tracking = False
    connection = None

    def __init__(self, client: Any, *, deadline: float, channel: bytes, origin: bytes) -> None:
        self._client = client
        self._deadline = deadline
        self._channel = channel
        self._origin = origin
        exceptions = import_module(f"{_library_of(client)}.exceptions")
        self._reply_error: type[Exception] = exceptions.ResponseError
        self._timeout_error: type[Exception] = exceptions.TimeoutError
        self._error: type[Exception] = getattr(exceptions, "RedisError", None) or exceptions.ValkeyError
        self._listener: asyncio.Task[None] | None = None
        self._is_cluster = hasattr(client, "get_nodes")
        self._queue: list[Request] = []
        self._sending: set[asyncio.Task[None]] = set()
        self._heard = asyncio.Event()
        self.connected = False
        self.on_push: Callable[[Sequence[bytes] | None], object] = lambda _: None
        self.on_connect: Callable[[], object] = lambda: None
        self.on_disconnect: Callable[[], object] = lambda: None

    async def start(self) -> None:
        """Listen for what other processes change, from now on."""
        if self._listener is None and hasattr(self._client, "pubsub"):
            self._listener = background(self._listen())
            await self._heard.wait()

    async def execute(self, *command: Part) -> Any:
        """The answer to one command."""
        if self._is_cluster:  # whose pipelines take no scripts
            async with self._translated(self._deadline):
                return await self._client.execute_command(*_named(command))
        return (await self._queued([command]))[0]

    async def execute_many(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to several commands, sent together."""
        return await self._queued(commands)

    def _queued(self, commands: Sequence[Command]) -> "asyncio.Future[list[Any]]":
        """The answers to commands that are sent with all others of the loop's present round."""
        loop = asyncio.get_running_loop()
        answers: asyncio.Future[list[Any]] = loop.create_future()
        self._queue.append((commands, answers))
        if len(self._queue) == 1:
            loop.call_soon(self._flush)
        return answers

    def _flush(self) -> None:
        queue, self._queue = self._queue, []
        task = background(self._send(queue))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        # It may have been cancelled before it began.
        task.add_done_callback(lambda _: _settle_all(queue, ConnectionError("the connection was closed")))

    async def _send(self, queue: Sequence[Request]) -> None:
        try:
            async with self._translated(self._deadline):
                pipeline = self._client.pipeline(transaction=False)
                for commands, _ in queue:
                    for command in commands:
                        pipeline.execute_command(*_named(command))
                replies = iter(await pipeline.execute(raise_on_error=False))
        except (OSError, ReplyError) as error:
            _settle_all(queue, error)
            return
        except Exception as error:  # a client's own: whoever waits must not do so for ever
            _settle_all(queue, ConnectionError(f"{type(error).__name__}: {error}"))
            return
        for commands, answers in queue:
            _settle(answers, self._checked([next(replies) for _ in commands]))

    def _checked(self, replies: list[Any]) -> list[Any] | Exception:
        """The replies, or the first error among them."""
        error = next((reply for reply in replies if isinstance(reply, self._reply_error)), None)
        return replies if error is None else ReplyError(_text_of(error))

    async def scan(self, pattern: bytes) -> AsyncIterator[bytes]:
        """All keys of a pattern, of every node."""
        keys = self._client.scan_iter(match=pattern, count=1000)
        while True:
            # There may be many that do not match before the next one that does.
            async with self._translated(max(_MIN_SCAN, self._deadline)):
                key = await anext(keys, None)
            if key is None:
                return
            yield key

    async def aclose(self) -> None:
        """Stop listening; the client is its owner's to close."""
        listener, self._listener = self._listener, None
        tasks = [*self._sending, *([listener] if listener else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def _translated(self, deadline: float | None) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(deadline):
                yield
        except self._reply_error as error:
            raise ReplyError(_text_of(error)) from error
        except self._timeout_error as error:
            raise TimeoutError(str(error)) from error
        except self._error as error:
            raise ConnectionError(str(error)) from error

    async def _listen(self) -> None:
        backoff = _MIN_BACKOFF
        while True:
            try:
                async with self._client.pubsub() as pubsub:
                    await pubsub.subscribe(self._channel)
                    await self._follow(pubsub)
            except (self._error, OSError) as error:
                logger.debug("redis tier: changes are not heard of: {}", error)
            except Exception:  # a cache's own, or a key's: changes may have been missed
                logger.exception("redis tier: a change was not followed")
            finally:
                backoff = _MIN_BACKOFF if self.connected else min(backoff * 2, _MAX_BACKOFF)
                self._lost()
            check_cancelled()
            await asyncio.sleep(backoff * random.uniform(0.5, 1.0))

    async def _follow(self, pubsub: Any) -> None:
        """Hear messages; a server that is silent for a while is asked for a sign of life.

        A connection may be dead without either end being told.
        """
        silences = 0
        while True:
            message = await pubsub.get_message(timeout=self._deadline if silences else _HEARTBEAT)
            check_cancelled()
            if message is not None:
                silences = 0
                self._hear(message)
            elif silences == _MAX_SILENCES:
                raise TimeoutError("the server gives no sign of life")
            else:
                if not silences:
                    await pubsub.ping()
                silences += 1

    def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            self._lost()
            self.connected = True
            self._heard.set()
            self.on_connect()
        elif message["type"] == "message":
            origin, key = message["data"][:8], message["data"][8:]
            if origin != self._origin:
                self.on_push([key])

    def _lost(self) -> None:
        if self.connected:
            self.connected = False
            self.on_disconnect()


def _named(command: Command) -> Command:
    """A command with its name as text, by which a cluster's client decides where it goes."""
    name, *arguments = command
    return (name.decode() if isinstance(name, bytes) else name, *arguments)


def _settle_all(queue: Sequence[Request], error: Exception) -> None:
    for _, answers in queue:
        _settle(answers, error)


def _settle(answers: "asyncio.Future[list[Any]]", outcome: list[Any] | Exception) -> None:
    if answers.done():
        return
    if isinstance(outcome, Exception):
        answers.set_exception(outcome)
    else:
        answers.set_result(outcome)


def _library_of(client: Any) -> str:
    """The package that a client comes from, of which its class may be a subclass."""
    packages = (kind.__module__.partition(".")[0] for kind in type(client).__mro__)
    return next((package for package in packages if package in _LIBRARIES), "redis")


def check_client(client: Any) -> None:
    """Raise TypeError for what is no client that the tier can use."""
    if not hasattr(client, "execute_command") or not hasattr(client, "pipeline"):
        raise TypeError(
            f"RedisTier: the server must be a URL, or an asyncio client of redis-py or valkey-py, not {client!r}"
        )
    get_encoder = getattr(client, "get_encoder", None)
    if get_encoder is not None and get_encoder().decode_responses:
        raise TypeError(
            "RedisTier: the client has decode_responses=True, but values are bytes: give the tier a client without it"
        )


_LIBRARIES = ("redis", "valkey")
# Codes that redis-py takes off the text of errors that have a class of their own.
_CODES = {"NoScriptError": "NOSCRIPT", "ReadOnlyError": "READONLY", "OutOfMemoryError": "OOM"}


def _text_of(error: Exception) -> str:
    code = _CODES.get(type(error).__name__)
    return str(error) if code is None else f"{code} {error}"
