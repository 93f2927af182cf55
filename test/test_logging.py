"""Rule O1: what Loguru is told, and when."""

import asyncio
import re

import pytest
from loguru import logger
from support import Clock, QuietLoop, Source, in_child, settle

import aiocachetools
from aiocachetools import cached, cachedmethod

SECRET = "the value is nobody's business"


class Log:
    """The records that a sink of its own receives."""

    def __init__(self):
        self.records = []

    def __call__(self, message):
        self.records.append(message.record)

    def texts(self, event):
        """The messages about an event."""
        messages = (record["message"] for record in self.records)
        return [message for message in messages if re.search(rf"\b{event}", message.lower())]


def notice():
    """Make a call that misses: a change of the switch is seen by then at the latest."""

    @cached
    async def f():
        return None

    QuietLoop(asyncio.new_event_loop)(f())


@pytest.fixture
def log():
    """A log that is switched on, and off again afterwards."""
    log = Log()
    handler = logger.add(log, level="TRACE", format="{message}")
    logger.enable("aiocachetools")
    notice()
    log.records.clear()
    yield log
    logger.disable("aiocachetools")
    logger.remove(handler)
    notice()


def test_O1_off_until_it_is_enabled():
    printed = in_child("""
        import asyncio, sys
        from loguru import logger

        logger.remove()
        records = []
        logger.add(lambda message: records.append(message.record["message"]), level="TRACE")
        from aiocachetools import cached

        @cached(maxsize=1)
        async def f(x):
            return x

        async def calls():
            for x in (1, 1, 2, 1):
                await f(x)
            f.cache_invalidate(1)

        asyncio.run(calls())
        print(len(records))
        logger.enable("aiocachetools")
        asyncio.run(calls())
        print(len(records) > 0)
        logger.disable("aiocachetools")
        asyncio.run(calls())
        records.clear()
        asyncio.run(calls())
        print(len(records))
    """)
    assert printed.split() == ["0", "True", "0"]


CALLS = """
import asyncio, sys
from aiocachetools import cached

@cached
async def f(x):
    return x

def call():
    asyncio.run(f(len(f.cache)))
"""


def test_O1_loguru_is_left_to_those_who_want_it():
    printed = in_child(f"""{CALLS}
call()
call()
print("loguru" in sys.modules)
""")
    assert printed.split() == ["False"]


@pytest.mark.parametrize("switch", ["enable", "disable"])
def test_O1_what_was_said_of_a_part_holds_for_that_alone(switch):
    printed = in_child(f"""
from loguru import logger
logger.{switch}("aiocachetools.redis")
{CALLS}
logger.remove()
records = []
logger.add(records.append, level="TRACE")
call()
print(bool(records))
exec(compile("logger.debug('')", "", "exec"), {{"logger": logger, "__name__": "aiocachetools.redis._tier"}})
print(bool(records))
""")
    assert printed.split() == ["False", str(switch == "enable")]


@pytest.mark.parametrize("module", ["", "import aiocachetools.redis"])
@pytest.mark.parametrize(("switch", "heard"), [("pass", False), ("logger.enable('aiocachetools')", True)])
def test_O1_off_until_it_is_enabled_when_loguru_comes_later(module, switch, heard):
    printed = in_child(f"""{CALLS}
call()
from loguru import logger
{module}
logger.remove()
records = []
logger.add(records.append, level="TRACE")
{switch}
call()
print(bool(records))
logger.enable("aiocachetools")
call()
print(bool(records))
logger.disable("aiocachetools")
call()
records.clear()
call()
print(bool(records))
""")
    assert printed.split() == [str(heard), "True", "False"]


def test_O1_hit_miss_and_store(run, log, deco):
    @deco()
    async def find_user(number):
        return SECRET

    async def main():
        await find_user(4711)
        assert (len(log.texts("miss")), len(log.texts("store")), log.texts("hit")) == (1, 1, [])
        await find_user(4711)
        assert len(log.texts("hit")) == 1

    run(main())
    for record in log.records:
        assert "find_user" in record["message"]
        assert "4711" in record["message"]


def test_O1_join(run, log, deco):
    source = Source(held=True)
    f = deco()(source.load)

    async def main():
        tasks = [asyncio.create_task(f(4711)) for _ in range(3)]
        await settle()
        source.gate.set()
        await asyncio.gather(*tasks)

    run(main())
    assert len(log.texts("join")) == 2
    assert len(log.texts("miss")) == 1
    assert all("load" in text and "4711" in text for text in log.texts("join"))


def test_O1_invalidate(run, log, deco):
    f = deco()(Source().load)

    async def main():
        await f(4711)
        f.cache_invalidate(4711)

    run(main())
    (text,) = log.texts("invalidate")
    assert "load" in text
    assert "4711" in text


def test_O1_evict(run, log):
    @cached(maxsize=1)
    async def find_user(number):
        return SECRET

    async def main():
        await find_user(4711)
        await find_user(4712)

    run(main())
    (text,) = log.texts("evict")
    assert "find_user" in text
    assert "4711" in text


def test_O1_expire(run, log):
    clock = Clock()

    @cached(maxsize=10, ttl=5, timer=clock)
    async def find_user(number):
        return SECRET

    async def main():
        await find_user(4711)
        clock.now = 5
        await find_user(4711)

    run(main())
    (text,) = log.texts("expire")
    assert "find_user" in text
    assert "4711" in text
    assert len(log.texts("miss")) == 2


def test_O1_methods_are_named_with_their_class(run, log):
    class Users:
        @cachedmethod(lambda self: {}, ignore=("self",))
        async def find(self, number):
            return SECRET

    run(Users().find(4711))
    (text,) = log.texts("miss")
    assert "Users.find" in text
    assert "4711" in text


def test_O1_records_are_of_level_debug_and_of_this_module(run, log, deco):
    f = deco()(Source().load)

    async def main():
        for key in (1, 1, 2):
            await f(key)
        f.cache_invalidate(1)
        f.cache_clear()

    run(main())
    assert len(log.records) >= 6
    assert {record["level"].name for record in log.records} == {"DEBUG"}
    assert {record["name"] for record in log.records} == {"aiocachetools"}


def test_O1_never_a_value(run, log):
    clock = Clock()
    cache = aiocachetools.TTLCache(1, 5, timer=clock)

    @cached(cache, ignore=("token",))
    async def f(key, token):
        await asyncio.sleep(0)
        return SECRET

    async def main():
        await asyncio.gather(f(1, SECRET), f(1, SECRET))
        await f(2, SECRET)
        clock.now = 5
        await f(2, SECRET)
        f.cache_invalidate(2, SECRET)

    run(main())
    assert len(log.records) >= 6
    for record in log.records:
        assert SECRET not in record["message"]
        assert SECRET not in str(record["extra"])
        assert record["exception"] is None


def test_O1_a_sink_may_filter_by_module_and_level(run, log):
    mine, others, loud = Log(), Log(), Log()
    handlers = [
        logger.add(mine, level="DEBUG", filter="aiocachetools"),
        logger.add(others, level="DEBUG", filter="elsewhere"),
        logger.add(loud, level="INFO"),
    ]
    try:
        run(cached(Source().load)(1))
    finally:
        for handler in handlers:
            logger.remove(handler)
    assert len(mine.records) == len(log.records) > 0
    assert others.records == loud.records == []


def test_O1_a_sink_that_uses_the_cache_is_no_trouble(run, log):
    """It is called in the middle of everything."""
    inside = []

    @cached(maxsize=2)
    async def f(x):
        return x

    def meddle(message):
        if not inside:
            inside.append(message)
            f.cache_contains(1)
            f.cache_info()
            f.cache_invalidate(2)
            inside.pop()

    async def main():
        for n in range(30):
            assert await f(n % 4) == n % 4
            assert await asyncio.gather(f(7), f(7)) == [7, 7]

    handler = logger.add(meddle, level="DEBUG")
    try:
        run(main())
    finally:
        logger.remove(handler)
