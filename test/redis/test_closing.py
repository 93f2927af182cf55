"""Closing a tier while calls wait for its server: what they see."""

import asyncio

import pytest

from aiocachetools import cached
from aiocachetools.redis import TierUnavailableError

# So long is waited for what never comes.
DEADLINE = 0.02


class Silent:
    """A client without a server, that takes its time to give up as well."""

    connected = tracking = False

    def __init__(self, *, starts):
        self.starts = starts
        self.asked = asyncio.Event()

    async def start(self):
        if not self.starts:
            await self._wait()

    async def execute(self, *command):
        await self._wait()

    async def _wait(self):
        self.asked.set()
        never = asyncio.Event()
        try:
            await never.wait()
        except asyncio.CancelledError:
            if not self.starts:
                await never.wait()
            raise

    async def aclose(self):
        pass


@pytest.fixture
def on_loop(run, make_tier):
    def runner(test, **options):
        async def main():
            tier, client = make_tier(deadline=DEADLINE), Silent(**options)
            tier._links._make_client = lambda origin: client

            @cached(tier=tier.using(name="f"))
            async def f(x: int) -> int:
                return x

            await test(tier, client, f)

        run(main())

    return runner


def test_D4_a_call_that_waits_for_the_connection_loads_alone(on_loop):
    async def test(tier, client, f):
        call = asyncio.create_task(f(1))
        await client.asked.wait()
        await tier.aclose()
        assert await call == 1
        assert tier.stats(f).unshared == 1

    on_loop(test, starts=False)


def test_D4_who_waits_for_a_change_is_told_that_it_may_not_have_been_made(on_loop):
    async def test(tier, client, f):
        change = asyncio.create_task(tier.invalidate(f, 1))
        await client.asked.wait()
        await tier.aclose()
        with pytest.raises(TierUnavailableError, match="was closed"):
            await change

    on_loop(test, starts=True)


@pytest.mark.parametrize("starts", [True, False])
def test_F2_who_is_cancelled_meanwhile_is_cancelled(on_loop, starts):
    async def test(tier, client, f):
        change = asyncio.create_task(tier.invalidate(f, 1))
        await client.asked.wait()
        change.cancel()
        with pytest.raises(asyncio.CancelledError):
            await change
        await tier.aclose()

    on_loop(test, starts=starts)
