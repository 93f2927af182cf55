"""What the tier asks of a connection: the native one has it, and so do adapters of other clients."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Protocol

from aiocachetools._core import RedisConnection

__all__ = ("Client", "Command", "Part")

Part = bytes | str | int
Command = Sequence[Part]


class Client(Protocol):
    """A connection to one server, for one event loop.

    Replies are bytes, int, float, bool, None and lists of those.  What goes wrong is

    - `ReplyError`: the server's answer is an error; the connection is as before.
    - ConnectionError: there is no connection, or it was lost before the answer came, so that
      nobody knows whether the command was executed.
    - TimeoutError: there was no answer within the deadline.

    The three callbacks are attributes, to be set before `start`.  They run on the loop, one after
    the other, in the order in which the server sent what they are told of.

    Attributes:
        on_push: Called with the keys that other connections have changed, or None when all keys
            may have been.  A reply that the server sent later has not been handed out yet.
        on_connect: Called when changes are heard of from now on.
        on_disconnect: Called when they no longer are.
        connected: Whether they are: between the two calls.
        connection: What can be asked without a coroutine; None without a connection, or such a way.
        tracking: Whether the server tracks what was read and tells of changes to just that;
            otherwise changes are heard of only where they are published.
    """

    on_push: Callable[[Sequence[bytes] | None], object]
    on_connect: Callable[[], object]
    on_disconnect: Callable[[], object]

    @property
    def connected(self) -> bool: ...

    @property
    def connection(self) -> RedisConnection | None: ...

    @property
    def tracking(self) -> bool: ...

    async def start(self) -> None:
        """Connect, and wait until that has succeeded once.

        Raises:
            ReplyError: When the server refuses the credentials or the database.
            ConnectionError, TimeoutError: When it cannot be reached; it is tried again.
        """
        ...

    def execute(self, *command: Part) -> Awaitable[Any]:
        """The reply to one command."""
        ...

    def execute_many(self, commands: Sequence[Command]) -> Awaitable[list[Any]]:
        """The replies to several commands, sent together; raises the first error among them."""
        ...

    def scan(self, pattern: bytes) -> AsyncIterator[bytes]:
        """All keys of a pattern."""
        ...

    async def aclose(self) -> None:
        """Close the connection; whoever waits for a reply gets ConnectionError."""
        ...
