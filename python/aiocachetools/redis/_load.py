"""One load of one key: read it, or lead the load, or wait for who does.

A miss asks for the lease.  Who gets it loads, publishes and gives it back, in one step of the
server.  The others sleep until they hear of the value or the lease, or the lease runs out.
"""

import random
import secrets
from collections.abc import Callable, Coroutine, Sequence
from time import monotonic
from typing import Any, cast

from loguru import logger

from ._envelope import is_version
from ._errors import LoadFailedElsewhereError, ReplyError
from ._format import Format, Found
from ._lease import Lease
from ._link import FAILURE, OUTAGE, Link
from ._near import Visit
from ._scripts import GIVEN_UP, HELD, LOAD, VALUE
from ._stats import Counts

__all__ = ("TAG_MS", "Load", "read", "tag_versions")

# Messages may get lost: who waits asks again after this many seconds.
_MAX_WAIT = 1.0
_MIN_WAIT = 0.01
# A wait that ends with the lease asks when it is surely over.
_MARGIN = 0.005
# How often a key is read that changes meanwhile, until its value is served but not kept.
_MAX_READS = 3
# How often the server may have a value for us that then cannot be read.
_MAX_ROUNDS = 5
# What outlives its tag's version is a miss.
TAG_MS = 30 * 86_400_000


class Load:
    """One load of one key.

    Args:
        form: The function's keys and envelopes.
        link: The connection.
        visit: The load, as the near cache knows it.
        call: Runs the function.
        lease_seconds: How long a lease holds.
        counts: Where it is counted.
    """

    def __init__(
        self,
        form: Format,
        link: Link,
        visit: Visit,
        call: Callable[[], Coroutine[Any, Any, Any]],
        lease_seconds: float,
        counts: Counts,
    ) -> None:
        self._form = form
        self._link = link
        self._visit = visit
        self._key = visit.place.tier_key
        self._call = call
        self._lease = Lease(link, visit.place, lease_seconds)
        self._counts = counts

    async def run(self, found: Found | None) -> tuple[Any, float]:
        """The value, and for how many seconds memory may keep it.

        Args:
            found: What a first glance has found; None where there was none to be had.
        """
        if found is None:
            return await self._alone()
        self._counts.misses += 1
        async with self._lease:
            leads, versions = False, cast(Sequence[bytes], ())
            try:
                if not found.uncacheable:
                    leads, found = await self._contend(found)
                if leads:
                    versions = await tag_versions(self._link, self._visit.place.tags, found.tags)
            except FAILURE as error:
                self._link.failed(error)
                found = None
            if found is not None and leads:
                return await self._lead(found, versions)
        if found is None:
            return await self._alone()
        if found.uncacheable:
            return await self._execute(), found.seconds
        self._counts.stale += found.stale
        return found.value, found.seconds

    async def _contend(self, found: Found) -> tuple[bool, Found]:
        """Wait for a value to read, or for the lease: whether we have that, and what was read last."""
        visit, waited, rounds = self._visit, False, 0
        # Where nobody tells of the value, it has to be looked for.
        patience = _MAX_WAIT if self._link.client.connected else random.uniform(0.5, 1.0) * _MIN_WAIT
        while rounds < _MAX_ROUNDS:
            visit.watch()
            kind, detail = await self._lease.acquire(waited, found.refused)
            if kind == LOAD:
                visit.lead(self._lease.key)
                return True, found
            if kind != VALUE and found.usable:
                # Another process loads it anew, or could not: this one serves meanwhile.
                visit.settle()
                return False, found._replace(seconds=min(found.seconds, self._lease.seconds))
            if kind == GIVEN_UP:
                raise LoadFailedElsewhereError(
                    f"{self._form.name}(): two other processes have failed to load this, the last with "
                    f"{detail.decode(errors='replace')}"
                )
            if kind == HELD:
                self._counts.waits += not waited
                waited = True
                await self._sleep(min(detail / 1000 + _MARGIN, patience))
                patience = min(2 * patience, _MAX_WAIT)
                if self._link.breaker.is_open:
                    raise ConnectionError("the server does not answer any more")
            rounds += kind == VALUE
            found = await read(self._form, self._link, visit, self._counts)
            if found.uncacheable or found.fresh:
                return False, found
        raise ReplyError("INCONSISTENT there is a value in one place and none in another")

    async def _sleep(self, seconds: float) -> None:
        """Wait for a message, for at most some seconds."""
        await self._visit.wait(seconds)

    async def _lead(self, found: Found, versions: Sequence[bytes]) -> tuple[Any, float]:
        """Load for the fleet."""
        try:
            value = await self._execute()
        except Exception as error:
            if not found.usable:
                raise
            await self._lease.give_back(error)
            logger.warning("redis tier: a stale result of {}() for its load failed", self._form.name)
            self._counts.stale += 1
            return found.value, min(found.seconds, self._lease.seconds)
        return value, await self._publish(value, versions)

    async def _publish(self, value: Any, versions: Sequence[bytes]) -> float:
        """Store a value; for how many seconds memory may keep it."""
        envelope = self._form.pack(value, self._key, self._lease.nonce, versions)
        if envelope is None:
            return 0.0
        try:
            accepted = await self._lease.publish(envelope, self._form.ttl_ms)
        except OUTAGE as error:
            self._link.breaker.trip(error)
            return self._unshared_seconds()
        except ReplyError as error:
            logger.warning("redis tier: a result of {}() was not stored: {}", self._form.name, error)
            return self._unshared_seconds()
        if not accepted:
            self._visit.fence()
        return self._form.seconds

    async def _alone(self) -> tuple[Any, float]:
        """Load for this process, which has to do without the others."""
        self._visit.settle()
        self._visit.leads = None
        self._counts.unshared += 1
        return await self._execute(), self._unshared_seconds()

    def _unshared_seconds(self) -> float:
        return min(self._form.seconds, self._link.options.max_unverified)

    async def _execute(self) -> Any:
        self._counts.loads += 1
        try:
            return await self._call()
        except Exception:
            self._counts.errors += 1
            raise


async def read(form: Format, link: Link, visit: Visit, counts: Counts) -> Found:
    """What is there; read again where it changes meanwhile."""
    found, place = Found(), visit.place
    for _ in range(_MAX_READS):
        asked = monotonic()
        visit.watch()
        found = form.read(await link.read(place.tier_key, place.tags), place.tier_key, asked)
        if visit.settle():
            return found
        counts.repeated += 1
    visit.fence()  # a key that changes all the time
    return found


async def tag_versions(link: Link, tags: Sequence[bytes], known: Sequence[bytes | None]) -> Sequence[bytes]:
    """The versions of some tags; those that have none are given one, which no earlier one can equal."""
    versions = dict(zip(tags, known, strict=True))
    for tag, version in versions.items():
        if version is not None and is_version(version):
            continue
        # What is there and no version is replaced.
        only_new = (b"NX",) if version is None else ()
        _, version = await link.client.execute_many(
            [(b"SET", tag, secrets.randbits(63), b"PX", TAG_MS, *only_new), (b"GET", tag)]
        )
        if not isinstance(version, bytes) or not is_version(version):
            raise ReplyError(f"WRONGTYPE {tag!r} has no version")
        versions[tag] = version
    return [cast(bytes, versions[tag]) for tag in tags]
