"""Fixtures of the whole suite: loops, decorators over every kind of cache, a guard against hangs."""

import asyncio
import faulthandler
import signal
import sys

import cachetools
import pytest
from support import LIBRARIES, QuietLoop, Timers, Told, Upstream, loop_factory

import aiocachetools
from aiocachetools import cached

HANG_AFTER = 120.0


class Hang(SystemExit):
    """A test that took too long; a SystemExit because asyncio swallows everything else in callbacks."""


def pytest_configure(config):
    config.addinivalue_line("filterwarnings", "error::pytest.PytestUnraisableExceptionWarning")
    config.addinivalue_line("filterwarnings", "error::pytest.PytestUnhandledThreadExceptionWarning")


@pytest.fixture(autouse=True)
def hang_guard(request):
    """Ends a test that waits forever, and the process if not even that helps."""

    def expired(signum, frame):
        raise Hang(f"{request.node.name} took more than {HANG_AFTER:g} s")

    faulthandler.dump_traceback_later(HANG_AFTER + 30, exit=True, file=sys.__stderr__)
    previous = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, HANG_AFTER, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture(params=["asyncio", "uvloop"])
def arun(request):
    """Runs a coroutine on a fresh loop of each kind; what the loop complains about fails the test."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    return QuietLoop(loop_factory(request.param))


@pytest.fixture
def run():
    """Runs a coroutine on a fresh loop of asyncio's own."""
    return QuietLoop(asyncio.new_event_loop)


@pytest.fixture(params=list(LIBRARIES))
def lib(request):
    """The module whose cache classes are used: cachetools or aiocachetools."""
    return LIBRARIES[request.param]


@pytest.fixture
def clock():
    """A clock that stands still until it is told to go on, with the timers of the time limits."""
    return Timers()


@pytest.fixture
def upstream():
    """What is loaded."""
    return Upstream()


@pytest.fixture
def told():
    """A listener."""
    return Told()


STORING = {
    "default": lambda **options: cached(**options),
    "native_lru": lambda **options: cached(aiocachetools.LRUCache(1000), **options),
    "native_ttl": lambda **options: cached(maxsize=1000, ttl=3600, **options),
    "native_tlru": lambda **options: cached(
        aiocachetools.TLRUCache(1000, lambda key, value, now: now + 3600), **options
    ),
    "dict": lambda **options: cached({}, **options),
    "cachetools_ttl": lambda **options: cached(cachetools.TTLCache(1000, 3600), **options),
}


@pytest.fixture(params=list(STORING))
def deco(request):
    """Makes a fresh `cached(...)` over a cache of each kind."""
    return STORING[request.param]


@pytest.fixture(params=["native_lru", "dict"])
def either(request):
    """As deco, over one native and one foreign cache."""
    return STORING[request.param]
