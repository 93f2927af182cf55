"""The lease on a key: held while its value is loaded, renewed while that takes long."""

import asyncio
import os
from typing import Any

from loguru import logger

from ._errors import ReplyError
from ._keys import lease_of
from ._link import OUTAGE, Link
from ._scripts import ACQUIRE, FAIL, PUBLISH, RENEW

__all__ = ("Lease",)

# How long others are told that a load has failed, in milliseconds.
_FAILURE_MS = 1000


class Lease:
    """The right of one load to store its value, once it is acquired.

    Args:
        link: The connection.
        key: What is loaded.
        seconds: How long it holds without being renewed.
    """

    def __init__(self, link: Link, key: bytes, seconds: float) -> None:
        self._link = link
        self.key = lease_of(key)
        self._keys = (key, self.key)
        self._ms = max(1, int(seconds * 1000))
        self.seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self._failures = 0
        self.nonce = os.urandom(8)
        self._token = self.nonce.hex()

    async def acquire(self, waited: bool, refused: bytes | None) -> tuple[int, Any]:
        """Ask for the lease: one of the answers of the script, and what comes with it."""
        refusal = b"" if refused is None else b"!" + refused
        kind, *rest = await ACQUIRE.run(
            self._link.client, self._keys, self._token, self._ms, int(waited), refusal
        )
        return kind, rest[0] if rest else None

    def hold(self, failures: int) -> None:
        """Keep it from now on, until it is given back."""
        self._failures = failures
        self._renew_later()

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
        return bool(accepted)

    def release(self, failure: BaseException | None) -> None:
        """Give the lease back without a value, and say why if the load has failed; in the background."""
        marker = "" if failure is None else f"!{self._failures + 1}:{type(failure).__qualname__}"
        self._link.spawn(self._release_now(marker))

    async def _release_now(self, marker: str) -> None:
        link = self._link
        try:
            await FAIL.run(
                link.client, self._keys, self._token, marker, _FAILURE_MS, link.channel, link.origin
            )
        except (*OUTAGE, ReplyError) as error:
            logger.debug("redis tier: a lease was not given back: {}", error)
