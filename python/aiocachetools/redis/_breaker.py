"""The breaker: while the server does not answer, nobody waits for it."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from loguru import logger

from ._background import background, check_cancelled

__all__ = ("Breaker",)

_MIN_BACKOFF = 0.05
_MAX_BACKOFF = 1.0


class Breaker:
    """Opens when the server has failed once, and closes when it answers again.

    Args:
        probe: Asks the server anything; raises when it does not answer.
        on_turn: Called when it has opened, and when it has closed.
    """

    def __init__(self, probe: Callable[[], Awaitable[object]], on_turn: Callable[[], object]) -> None:
        self._probe = probe
        self._on_turn = on_turn
        self._probing: asyncio.Task[None] | None = None
        self._closed = False
        self.is_open = False

    def trip(self, error: BaseException) -> None:
        """Open, until the server answers."""
        if self.is_open:
            return
        self.is_open = True
        logger.warning(
            "redis tier: the server does not answer ({}); loading without it", type(error).__name__
        )
        self._on_turn()
        if not self._closed:
            self._probing = background(self._recover())

    async def aclose(self) -> None:
        """Stop asking: from now on, the server does not answer for good."""
        self._closed = self.is_open = True
        self._on_turn()
        probing, self._probing = self._probing, None
        if probing is not None:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)

    async def _recover(self) -> None:
        backoff = _MIN_BACKOFF
        while True:
            await asyncio.sleep(backoff * random.uniform(0.5, 1.0))
            try:
                await self._probe()
            except Exception:  # whatever it is, the server is not back
                check_cancelled()
                backoff = min(backoff * 2, _MAX_BACKOFF)
                continue
            self.is_open = False
            self._on_turn()
            logger.warning("redis tier: the server answers again")
            return
