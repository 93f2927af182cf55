"""The connections of a tier: one for each event loop and process."""

import asyncio
import os
from collections.abc import Callable

from ._client import Client
from ._link import Link
from ._options import LinkOptions

__all__ = ("Links",)


class Links:
    """The links of a tier.

    A process that was forked makes links of its own.  Those of its parent stay where they are: to
    close them would be to close the parent's connections.

    Args:
        make_client: Called with the link's origin on the loop that will use it.
        options: The tier's.
    """

    def __init__(self, make_client: Callable[[bytes], Client], options: LinkOptions) -> None:
        self.options = options
        self._make_client = make_client
        self._links: dict[tuple[int, asyncio.AbstractEventLoop], Link] = {}

    def get(self) -> Link:
        """The link of the running loop."""
        place = os.getpid(), asyncio.get_running_loop()
        link = self._links.get(place)
        if link is None:
            # What closed loops have left behind goes when another one begins; other threads may do the same.
            for pid, loop in tuple(self._links):
                if loop.is_closed() and pid == place[0]:
                    self._links.pop((pid, loop), None)
            link = self._links[place] = Link(self._make_client, self.options)
        return link

    async def aclose(self) -> None:
        """Close the running loop's connection."""
        link = self._links.pop((os.getpid(), asyncio.get_running_loop()), None)
        if link is not None:
            await link.aclose()
