"""The connections of a tier: one for each event loop, and so for each process."""

import asyncio
from collections.abc import Callable

from ._client import Client
from ._link import Link
from ._options import LinkOptions

__all__ = ("Links",)


class Links:
    """The links of a tier.

    A fork needs no care: asyncio has no running loop in the child until that makes its own.

    Args:
        make_client: Called with the link's origin on the loop that will use it.
        options: The tier's.
    """

    def __init__(self, make_client: Callable[[bytes], Client], options: LinkOptions) -> None:
        self.options = options
        self._make_client = make_client
        self._links: dict[asyncio.AbstractEventLoop, Link] = {}

    def get(self) -> Link:
        """The link of the running loop."""
        loop = asyncio.get_running_loop()
        link = self._links.get(loop)
        if link is None:
            # What closed loops have left behind goes when another one begins.
            self._links = {other: kept for other, kept in self._links.items() if not other.is_closed()}
            link = self._links[loop] = Link(self._make_client, self.options)
        return link

    async def aclose(self) -> None:
        """Close the running loop's connection."""
        link = self._links.pop(asyncio.get_running_loop(), None)
        if link is not None:
            await link.aclose()
