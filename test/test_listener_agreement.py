"""Rule O3: the listener agrees with the counters and with the log."""

import asyncio
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from loguru import logger
from support import Clock, QuietLoop, Source, Told, outcome

from aiocachetools import TTLCache, cached

PROGRAMS = st.lists(
    st.one_of(
        st.tuples(st.just("call"), st.lists(st.integers(0, 4), min_size=1, max_size=4)),
        st.tuples(st.just("fail"), st.integers(0, 4)),
        st.tuples(st.just("invalidate"), st.integers(0, 4)),
        st.tuples(st.just("wait"), st.integers(1, 4)),
        st.tuples(st.just("expire"), st.none()),
    ),
    max_size=30,
)


async def run_program(program, f, clock, source):
    for step, operand in program:
        match step:
            case "call":
                await asyncio.gather(*map(f, operand))
            case "fail":
                source.error = LookupError("none")
                await outcome(f(operand))
                source.error = None
            case "invalidate":
                f.cache_invalidate(operand)
            case "wait":
                clock.now += operand
            case _:
                f.cache.expire()


@given(program=PROGRAMS)
def test_O3_the_listener_agrees_with_the_counters_and_with_the_log(program):
    clock, source, told, records = Clock(), Source(), Told(), []
    f = cached(TTLCache(3, 5, timer=clock), listener=told)(source.load)
    handler = logger.add(lambda message: records.append(message.record["message"]), level="DEBUG")
    logger.enable("aiocachetools")
    try:
        QuietLoop(asyncio.new_event_loop)(cached(Source().load)(0))  # the log is noticed with a miss
        records.clear()
        QuietLoop(asyncio.new_event_loop)(run_program(program, f, clock, source))
    finally:
        logger.disable("aiocachetools")
        logger.remove(handler)
    assert records == [f"{event.name} {event.function}({event.key[0]})" for event in told]
    stats = f.cache_stats()  # which lets go of what has expired
    counted = Counter(told.names)
    assert counted["hit"] + counted["join"] == stats.hits
    assert counted["join"] == stats.joins
    assert counted["miss"] == stats.misses == stats.loads
    assert counted["load_error"] == stats.load_errors
    assert counted["evict"] == stats.evictions
    assert counted["expire"] == stats.expirations
