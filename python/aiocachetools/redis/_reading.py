"""One call's load, from the question what the server has to the end.

The native connection asks without a task (`aiocachetools._core.Fetch`) and is told by a reading's
methods what an answer means.  A coroutine goes on where the server has no value that will do.
"""

from collections.abc import Coroutine, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from ._format import Found
from ._link import FAILURE, Link
from ._load import Load, read
from ._near import Place, Visit

if TYPE_CHECKING:
    from ._function import RedisFunction

__all__ = ("Reading",)


class Reading(Visit):
    """A call's load, which the near cache has to be told of.

    Args:
        function: The decorated function.
        link: The connection.
        place: Where the value will be in memory.
        args: The arguments of the call.
        kwargs: Those that it has by name.
    """

    __slots__ = ("_args", "_function", "_kwargs", "_link", "asked")

    def __init__(
        self,
        function: "RedisFunction",
        link: Link,
        place: Place,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        super().__init__(place)
        self._function = function
        self._link = link
        self._args = args
        self._kwargs = kwargs
        self.asked = monotonic()
        """When the server was asked."""
        self.watch()

    def keep(self, seconds: float) -> Coroutine[Any, Any, Any] | None:
        """A value was read that is good for so long: it is the call's, unless there is a coroutine to go on with."""
        if not self.settle():
            self._function.counts.repeated += 1
            return self.run()
        try:
            self._function.keep(self._link, self, seconds)
        finally:
            self.leave()
        self._function.counts.hits += 1
        return None

    def answer(self, reply: Sequence[Any]) -> tuple[Any] | Coroutine[Any, Any, Any]:
        """What the server has: a value, in a tuple, or what to go on with."""
        try:
            found = self._function.form.read(reply, self.place.tier_key, self.asked)
        except BaseException:
            self.leave()
            raise
        if not found.fresh:
            return self.run(found) if self.settle() else self.run()
        return self.keep(found.seconds) or (found.value,)

    def fail(self, error: Exception) -> Coroutine[Any, Any, Any]:
        """The server has not answered, or with an error."""
        self._link.failed(error)
        return self.finish(None)

    def leave(self) -> None:
        """The load is over."""
        self._link.near.leave(self)

    async def run(self, found: Found | None = None) -> Any:
        """The value, by way of the server.

        Args:
            found: What was read already; None where nothing was.
        """
        try:
            if found is None and not self._link.breaker.is_open:
                found = await read(self._function.form, self._link, self, self._function.counts)
        except FAILURE as error:
            self._link.failed(error)
        except BaseException:
            self.leave()
            raise
        return await self.finish(found)

    async def finish(self, found: Found | None) -> Any:
        """The value, by what the server has; None where it has not answered."""
        function = self._function
        try:
            if found is not None and found.fresh:
                function.counts.hits += 1
                value: Any = found.value
                seconds = found.seconds
            else:
                load = Load(
                    function.form, self._link, self, self._call, function.options.lease, function.counts
                )
                value, seconds = await load.run(found)
            function.keep(self._link, self, seconds)
        finally:
            self.leave()
        return value

    def _call(self) -> Coroutine[Any, Any, Any]:
        return self._function.call(self._args, self._kwargs)
