"""The adapter of other clients: how it ends, whatever they make of being cancelled."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import redis.asyncio
from support import in_child, settle

from aiocachetools import cached
from aiocachetools.redis import RedisTier, _adapter
from aiocachetools.redis._adapter import ClientAdapter


class Deaf(redis.asyncio.Redis):
    """A client whose subscriptions swallow the first cancellation, as `asyncio.wait_for` of Python 3.11 may."""

    asked = False

    @asynccontextmanager
    async def pubsub(self):
        yield self

    async def subscribe(self, channel):
        pass

    async def get_message(self, timeout):
        self.asked = True
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return {"type": "subscribe"}


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    monkeypatch.setattr(_adapter, "_MIN_BACKOFF", 0.0)


def adapter(client):
    return ClientAdapter(client, deadline=5.0, channel=b"c", origin=bytes(8))


@pytest.mark.parametrize("end", ["aclose", "loop"])
def test_D7_a_client_that_swallows_a_cancellation_does_not_keep_the_loop(end):
    async def test():
        client = Deaf()
        adapted = adapter(client)
        starting = asyncio.create_task(adapted.start())
        while not client.asked:
            await asyncio.sleep(0)
        starting.cancel()
        if end == "aclose":
            await adapted.aclose()

    asyncio.run(test())


class Hung(redis.asyncio.Redis):
    """A client whose pipelines are not answered."""

    def pipeline(self, transaction=True):
        return self

    def execute_command(self, *command):
        pass

    async def execute(self, raise_on_error=True):
        await asyncio.Event().wait()


@pytest.mark.parametrize("rounds", [2, 3])
def test_D7_who_waits_for_an_answer_hears_of_the_end(run, rounds):
    async def test():
        adapted = adapter(Hung())
        answer = asyncio.create_task(adapted.execute(b"GET", b"key"))
        # Until what asks has been made a task, or has begun.
        await settle(rounds)
        await adapted.aclose()
        with pytest.raises(ConnectionError, match="closed"):
            await asyncio.wait_for(answer, 30)

    run(test())


def test_D7_a_program_may_end_without_closing_its_tier(url, prefix):
    printed = in_child(f"""
        import asyncio
        import redis.asyncio
        from aiocachetools import cached
        from aiocachetools.redis import RedisTier

        async def main():
            async with redis.asyncio.Redis.from_url({url!r}) as client:
                tier = RedisTier(client, prefix={prefix!r}, deadline=30)

                @cached(tier=tier.using(name="f"))
                async def f(i: int) -> int:
                    return i

                await asyncio.gather(*map(f, range(500)))
                raise SystemError

        try:
            asyncio.run(main())
        except SystemError:
            print("ended")
    """)
    assert printed == "ended\n"


def test_D4_whatever_a_client_raises_callers_do_not_wait_for_ever(run, url, prefix):
    class Broken(redis.asyncio.Redis):
        def pipeline(self, transaction=True):
            raise RuntimeError("no pipeline")

    async def test():
        async with Broken.from_url(url) as client:
            tier = RedisTier(client, prefix=prefix, deadline=30)

            @cached(tier=tier.using(name="f"))
            async def f(x: int) -> int:
                return x

            assert await asyncio.wait_for(f(1), 30) == 1
            assert tier.stats(f).unshared == 1
            await tier.aclose()

    run(test())
