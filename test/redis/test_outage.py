"""A server that is hung, gone, full, read-only or forgetful: what callers see.

Only where the deadline is what is tested is it short; `benchmarks/redis` has the figures.
"""

import asyncio
import os
import signal
import time

import pytest
from servers import Server

from aiocachetools import cached
from aiocachetools.redis import RedisTier, TierUnavailableError

DEADLINE = 0.25
# Seconds that a busy machine may take for what takes none.
PATIENCE = 30.0


class Served:
    """A cached function over a server of its own."""

    def __init__(self, port, *, deadline=PATIENCE, **options):
        self.tier = RedisTier(f"redis://127.0.0.1:{port}", prefix="p", deadline=deadline, **options)
        self.runs = []

        @cached(tier=self.tier.using(name="f"))
        async def f(x: int) -> int:
            self.runs.append(x)
            return x

        self.f = f

    @property
    def link(self):
        return self.tier._links.get()

    async def recovered(self):
        """Wait until the server is used again."""
        while self.link.breaker.is_open or not self.link.client.connected:
            await asyncio.sleep(0.01)

    async def used(self):
        """Wait until a value was read from the server, however often that is late."""
        hits = self.tier.stats(self.f).hits
        while self.tier.stats(self.f).hits == hits:
            self.f.cache_clear()
            await self.f(0)
            await self.recovered()


async def timed(awaitable):
    started = time.monotonic()
    value = await awaitable
    return value, time.monotonic() - started


@pytest.fixture
def paused(own_server):
    """Stops the server's process, which keeps its connections but answers nothing."""
    pid = own_server._process.pid
    yield lambda on: os.kill(pid, signal.SIGSTOP if on else signal.SIGCONT)
    os.kill(pid, signal.SIGCONT)


def test_D4_a_hung_server_costs_its_deadline_once(run, own_server, paused, monkeypatch):
    async def test():
        served = Served(own_server.port, deadline=DEADLINE)
        await served.used()
        paused(True)
        value, seconds = await timed(served.f(2))
        assert value == 2
        assert DEADLINE * 0.9 < seconds < DEADLINE + PATIENCE
        with monkeypatch.context() as patch:
            asked = []
            patch.setattr(served.link.client, "execute_many", asked.append)
            assert served.link.port.connection is None
            assert await asyncio.gather(*(served.f(x) for x in range(3, 103))) == list(range(3, 103))
            assert await served.f(2) == 2
            assert served.runs.count(2) == 1
            assert asked == []
        paused(False)
        await served.used()
        await served.tier.aclose()

    run(test())


def test_D4_a_server_that_is_not_there(run):
    async def test():
        with Server() as server:
            port = server.port
        served = Served(port)
        assert [await served.f(x) for x in (1, 2, 1)] == [1, 2, 1]
        assert served.runs == [1, 2]
        with pytest.raises(TierUnavailableError):
            await served.tier.invalidate(served.f, 1)
        assert not served.f.cache_contains(1)
        with Server(port=port):
            await served.recovered()
            await served.f(7)
            served.f.cache_clear()
            await served.f(7)
            assert served.runs == [1, 2, 7]
            await served.tier.aclose()

    run(test())


@pytest.mark.parametrize("strict", [False, True])
def test_D4_a_restart(run, strict):
    async def test():
        with Server() as server:
            port = server.port
            served = Served(port, strict=strict, max_unverified=3600)
            await served.f(1)
            near = served.link.near
        while served.link.client.connected:
            await asyncio.sleep(0.01)
        assert served.f.cache_contains(1) is not strict
        epoch = near.epoch
        await served.f(2)
        with Server(port=port):
            await served.recovered()
            assert near.epoch > epoch
            # What was kept meanwhile is read anew: it may have changed unheard.
            assert not served.f.cache_contains(1)
            assert not served.f.cache_contains(2)
            await served.f(1)
            assert served.runs == [1, 2, 1]
            await served.tier.aclose()

    run(test())


def test_D4_entries_are_unverified_only_for_a_while(run):
    async def test():
        with Server() as server:
            served = Served(server.port, max_unverified=0.05)
            await served.f(1)
        while served.f.cache_contains(1):
            await asyncio.sleep(0.01)
        assert not served.link.client.connected
        await served.f(2)
        assert len(served.f.cache.expire(time.monotonic() + 0.06)) == 1
        await served.tier.aclose()

    run(test())


@pytest.mark.parametrize("trouble", ["full", "read-only", "scripts flushed"])
def test_D4_a_server_in_trouble(run, own_server, trouble):
    control = own_server.client()

    async def test():
        served = Served(own_server.port)
        await served.f(1)
        if trouble == "full":
            control.config_set("maxmemory", "1")
        elif trouble == "read-only":
            control.execute_command("REPLICAOF", "127.0.0.1", "1")
        else:
            control.execute_command("SCRIPT", "FLUSH")
        for _ in range(3):
            assert await served.f(2) == 2
        served.f.cache_clear()
        assert await served.f(1) == 1
        assert await served.f(2) == 2
        assert served.runs == ([1, 2] if trouble == "scripts flushed" else [1, 2, 2])
        assert not served.link.breaker.is_open
        control.config_set("maxmemory", "0")
        control.execute_command("REPLICAOF", "NO", "ONE")
        served.f.cache_clear()
        await served.f(3)
        served.f.cache_clear()
        await served.f(3)
        assert served.runs.count(3) == 1
        await served.tier.aclose()

    try:
        run(test())
    finally:
        control.close()


def test_D4_a_wrong_password(run, own_server):
    async def test():
        with own_server.client() as control:
            control.config_set("requirepass", "secret")
        served = Served(own_server.port)
        assert await served.f(1) == 1
        assert await served.f(1) == 1
        assert served.runs == [1]
        await served.tier.aclose()
        tier = RedisTier(f"redis://:secret@127.0.0.1:{own_server.port}", prefix="p")

        @cached(tier=tier.using(name="f"))
        async def f(x: int) -> int:
            return x

        await f(1)
        assert tier.stats(f).unshared == 0
        await tier.aclose()

    run(test())


def test_D3_a_connection_that_is_cut_leaves_nothing_stale(run, own_server):
    async def test():
        served = Served(own_server.port, max_unverified=3600)
        await served.f(1)
        with own_server.client() as control:
            epoch = served.link.near.epoch
            control.client_kill_filter(_type="pubsub")
            control.client_kill_filter(_type="normal", skipme=True)
            key = next(control.scan_iter(b"p:f:*"))
            control.delete(key)
        while served.link.near.epoch < epoch + 2:
            await asyncio.sleep(0.01)
        assert not served.f.cache_contains(1)
        await served.recovered()
        await served.f(1)
        assert served.runs == [1, 1]
        await served.tier.aclose()

    run(test())
