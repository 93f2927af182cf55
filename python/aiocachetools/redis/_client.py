"""What the tier asks of a connection: the native one has it, and so do adapters of other clients."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from aiocachetools._core import Fetch, PlainFormat

__all__ = ("Client", "Command", "FetchReader", "Part")

Part = bytes | str | int
Command = Sequence[Part]


class FetchReader(Protocol):
    """What a `Fetch` is told by what an answer means for the load that it is."""

    def keep(self, seconds: float, /) -> Coroutine[Any, Any, Any] | None:
        """A value that is good for so many seconds was read: it is the load's, unless that goes on with a coroutine."""
        ...

    def answer(self, reply: list[Any], /) -> tuple[Any] | Coroutine[Any, Any, Any]:
        """Any other answer: the load's value, in a tuple, or what it goes on with."""
        ...

    def fail(self, error: Exception, /) -> Coroutine[Any, Any, Any]:
        """There is no answer but an error: what the load goes on with."""
        ...

    def cancel(self) -> object:
        """The load has ended, whatever is answered."""
        ...


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
        tracking: Whether the server tracks what was read and tells of changes to just that;
            otherwise changes are heard of only where they are published.
    """

    on_push: Callable[[Sequence[bytes] | None], object]
    on_connect: Callable[[], object]
    on_disconnect: Callable[[], object]

    @property
    def connected(self) -> bool: ...

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

    def fetch(
        self, key: bytes, tags: Sequence[bytes], reader: FetchReader, plain: PlainFormat | None, /
    ) -> Fetch | None:
        """A load that begins with the read of a value, its milliseconds to live and the versions of its tags.

        None where the client cannot do that without a coroutine, or has no connection.

        Args:
            key: Where the value is.
            tags: Where the versions are.
            reader: Is told what the server has.
            plain: What the value is read by where it can be.
        """
        ...

    def scan(self, pattern: bytes) -> AsyncIterator[bytes]:
        """All keys of a pattern."""
        ...

    async def aclose(self) -> None:
        """Close the connection; whoever waits for a reply gets ConnectionError."""
        ...
