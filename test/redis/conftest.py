"""Fixtures of the Redis tier's tests: a real server, tiers on it, and processes that share it."""

import itertools

import pytest
import redis
from fleet import Fleet
from servers import Server

from aiocachetools.redis import RedisTier

# Seconds that a busy machine may take for what takes none.
PATIENCE = 30

prefixes = (f"t{number}" for number in itertools.count())


@pytest.fixture(scope="session")
def server():
    """A server for all tests, each of which has a prefix of its own."""
    with Server(config={"notify-keyspace-events": "KEA"}) as started:
        yield started


@pytest.fixture
def own_server():
    """A server for one test to mistreat."""
    with Server() as started:
        yield started


@pytest.fixture
def url(server):
    return f"redis://127.0.0.1:{server.port}"


@pytest.fixture
def prefix():
    return next(prefixes)


@pytest.fixture
def control(url):
    """A client of the tests' own."""
    with redis.Redis.from_url(url) as client:
        yield client


@pytest.fixture
def make_tier(url, prefix):
    """Makes tiers that share their keys, each on a connection of its own, for as slow a machine as there is."""
    return lambda **options: RedisTier(url, prefix=prefix, **{"deadline": PATIENCE, **options})


@pytest.fixture
def on_loop(run, make_tier):
    """Runs a test's coroutine with a tier, which is closed behind it."""

    def runner(test, **options):
        async def main():
            tier = make_tier(**options)
            try:
                return await test(tier)
            finally:
                await tier.aclose()

        return run(main())

    return runner


@pytest.fixture
def fleet(url, prefix, control):
    """Starts processes that cache one function, and ends them."""
    with Fleet(url, prefix, control) as started:
        yield started
