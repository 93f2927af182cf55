"""The lease on a key: held while its value is loaded, renewed while that takes long."""

import asyncio
import contextlib
import os
from types import TracebackType
from typing import Any, Self

from loguru import logger

from ._background import lasting
from ._errors import ReplyError, TierUnavailableError
from ._keys import lease_of
from ._link import OUTAGE, Link
from ._near import Place
from ._scripts import ACQUIRE, FAIL, LOAD, PUBLISH, RENEW

__all__ = ("Lease",)

# How long others are told that a load has failed, in milliseconds.
_FAILURE_MS = 1000


class Lease:
    """The right of one load to store its value, once it is acquired.

    As a context manager it is given back however the load ends: to be taken over at once by another
    process, or with word of the failure.

    Args:
        link: The connection.
        place: What is loaded.
        seconds: How long it holds without being renewed.
    """

    def __init__(self, link: Link, place: Place, seconds: float) -> None:
        self._link = link
        self._place = place
        self.key = lease_of(place.tier_key)
        self._keys = (place.tier_key, self.key)
        self._ms = max(1, int(seconds * 1000))
        self.seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self._asking: asyncio.Future[Any] | None = None
        self._may_hold = False
        self._failures = 0
        self.nonce = os.urandom(8)
        self._token = self.nonce.hex()

    async def acquire(self, waited: bool, refused: bytes | None) -> tuple[int, Any]:
        """Ask for the lease: one of the answers of the script, and what comes with it.

        From `LOAD` on it is renewed.
        """
        refusal = b"" if refused is None else b"!" + refused
        asking = ACQUIRE.run(self._link.client, self._keys, self._token, self._ms, int(waited), refusal)
        # Who is cancelled meanwhile has to know whether there is something to be given back.
        self._asking = asyncio.create_task(asking, name="aiocachetools: redis lease")
        self._may_hold = True
        try:
            kind, *rest = await asyncio.shield(self._asking)
        except ReplyError:
            self._may_hold = False
            raise
        detail: Any = rest[0] if rest else None
        self._may_hold = kind == LOAD
        if self._may_hold:
            self._failures = detail
            self._renew_later()
        return kind, detail

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.stop()
        if error is None or isinstance(error, Exception | asyncio.CancelledError):
            await self.give_back(error if isinstance(error, Exception) else None)

    def _renew_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self.seconds / 3, self._renew)

    def _renew(self) -> None:
        self._link.spawn(self._renew_now())
        self._renew_later()

    async def _renew_now(self) -> None:
        try:
            await RENEW.run(self._link.client, (self.key,), self._token, self._ms)
        except (*OUTAGE, ReplyError) as error:
            logger.debug("redis tier: a lease was not renewed: {}", error)

    def stop(self) -> None:
        """No longer renew it."""
        if self._timer is not None:
            self._timer.cancel()

    async def publish(self, envelope: bytes, ttl_ms: int) -> bool:
        """Store the value and give the lease back; False when it was lost meanwhile."""
        link = self._link
        accepted = await PUBLISH.run(
            link.client, self._keys, self._token, envelope, ttl_ms, link.channel, link.origin
        )
        self._may_hold = False
        link.near.hear_beside(self._place)
        return bool(accepted)

    async def give_back(self, failure: Exception | None) -> None:
        """Give it back without a value, if it is held, and say why if the load has failed."""
        self.stop()
        if not self._may_hold:
            return
        self._may_hold = False
        marker = "" if failure is None else f"!{self._failures + 1}:{type(failure).__qualname__}"
        giving = self._link.spawn(self._give_back(marker))
        if not self._link.breaker.is_open:  # nobody waits for a server that does not answer
            with contextlib.suppress(TierUnavailableError):
                await lasting(giving)

    async def _give_back(self, marker: str) -> None:
        link = self._link
        if self._asking is not None and not self._asking.done():
            await asyncio.wait((self._asking,))
        try:
            await FAIL.run(
                link.client, self._keys, self._token, marker, _FAILURE_MS, link.channel, link.origin
            )
        except OUTAGE as error:
            link.breaker.trip(error)
        except ReplyError as error:
            logger.debug("redis tier: a lease was not given back: {}", error)
        link.near.hear_beside(self._place)
