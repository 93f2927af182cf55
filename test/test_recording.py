"""Rule N2: traces of a running service, as `TraceRecorder` writes them."""

import asyncio
import gzip
import os
import sys
import threading

import pytest
from support import in_child

from aiocachetools import CacheEvent, cached, cached_many
from aiocachetools.simulation import Trace, TraceRecorder, _record, read_trace, simulate


def event(key, name="hit"):
    return CacheEvent(name, "f", key)


def tokens(path):
    return gzip.decompress(path.read_bytes()).decode().split()


def assert_is_trace_of(path, keys):
    assert read_trace(path).accesses == Trace(keys).accesses


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trace.gz"


@pytest.fixture
def unraisable(monkeypatch):
    raised = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: raised.append(args.exc_value))
    return raised


def test_N2_what_a_function_is_asked_for_replays_with_as_many_hits(run, path):
    with TraceRecorder(path) as recorder:

        @cached(maxsize=3, listener=recorder)
        async def load(key, *, language="en"):
            return key

        async def main():
            for key in [1, 2, 3, 1, 4, 2, "1", 1.0]:
                await load(key)
                await load(key, language="de")

        run(main())
    info = load.cache_info()
    replayed = simulate(read_trace(path), [3], ["lru"])
    assert (replayed.accesses, replayed.distinct) == (16, 10)
    assert replayed.hit_ratios["lru"] == (info.hits / (info.hits + info.misses),)


def test_N2_every_call_is_one_access_be_it_a_hit_a_miss_or_a_join(run, path):
    with TraceRecorder(path) as recorder:

        @cached(listener=recorder)
        async def load(key):
            await asyncio.sleep(0)
            return key

        async def main():
            await asyncio.gather(load(1), load(2), load(1))
            await load(2)
            load.cache_invalidate(1)

        run(main())
    assert_is_trace_of(path, [1, 2, 1, 2])


def test_N2_several_keys_of_one_call_are_an_access_each(run, path):
    with TraceRecorder(path) as recorder:

        @cached_many(listener=recorder)
        async def load(keys):
            return {key: key for key in keys}

        async def main():
            await load([1, 2, 3])
            await load([3, 1])

        run(main())
    assert_is_trace_of(path, [1, 2, 3, 3, 1])


def test_N2_what_serves_nobody_is_no_access(path):
    with TraceRecorder(path) as recorder:
        for name in CacheEvent.__annotations__["name"].__args__:
            recorder(event(name, name))
    assert_is_trace_of(path, ["miss", "hit", "join", "stale"])


def test_N2_nothing_of_the_arguments_is_in_the_file(tmp_path):
    found = []
    for name in ("first.gz", "second.gz"):
        with TraceRecorder(tmp_path / name) as recorder:
            for key in ["jane@example.org", "jane@example.org", 7]:
                recorder(event(key))
        found.append(tokens(tmp_path / name))
    assert all(len(token) == 16 and int(token, 16) >= 0 for token in found[0])
    assert found[0][0] == found[0][1] != found[0][2]
    assert not set(found[0]) & set(found[1])  # so that nobody can try out which argument it was


def test_N2_the_file_can_be_read_while_it_is_written(path):
    recorder = TraceRecorder(path)
    for key in range(1500):
        recorder(event(key))
    assert len(read_trace(path)) == 1024
    assert not recorder.closed
    recorder.close()
    recorder.close()
    assert len(read_trace(path)) == 1500


def test_N2_a_recording_ends_at_its_limit(path):
    recorder = TraceRecorder(path, limit=3)
    for key in range(5):
        recorder(event(key))
    assert recorder.closed
    assert_is_trace_of(path, range(3))


def test_N2_a_limit_leaves_room_for_an_access(path):
    with pytest.raises(ValueError, match="TraceRecorder: limit must be a number of accesses from 1, not 0"):
        TraceRecorder(path, limit=0)
    assert not path.exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_N2_a_full_disk_ends_the_recording_and_harms_no_call(run, unraisable):
    recorder = TraceRecorder("/dev/full")

    @cached(listener=recorder)
    async def load(key):
        return key

    async def main():
        return [await load(key) for key in range(3000)]

    assert run(main()) == list(range(3000))
    assert [type(error) for error in unraisable] == [OSError]
    assert recorder.closed


def test_N2_threads_may_share_a_recorder(path):
    with TraceRecorder(path) as recorder:
        threads = [
            threading.Thread(target=lambda: [recorder(event(key)) for key in range(5000)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(read_trace(path)) == 20_000
    assert read_trace(path).distinct == 5000


@pytest.mark.parametrize("ends", ["by its limit", "by close", "later"])
def test_N2_what_is_told_in_the_midst_of_a_write_is_written_too(path, monkeypatch, ends):
    """A garbage collection may come at any time, and run a destructor that calls the function."""
    recorder = TraceRecorder(path, limit=1026 if ends == "by its limit" else 2000)
    compress, told = gzip.compress, []

    def interrupted(*args, **options):
        if not told:
            told.extend("ab")
            recorder(event("a"))
            recorder(event("b"))
            if ends == "by close":
                recorder.close()
        return compress(*args, **options)

    monkeypatch.setattr(_record.gzip, "compress", interrupted)
    for key in range(1024):
        recorder(event(key))
    assert recorder.closed == (ends != "later")
    recorder.close()
    assert_is_trace_of(path, [*range(1024), "a", "b"])


def interrupt(number, handler):
    """Have a handler called before one instruction of the recorder's, as that of a signal may be."""
    left = number

    def trace(frame, event, _):
        nonlocal left
        if frame.f_code.co_filename != _record.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                sys.settrace(None)
                handler()
        return trace

    # Python 3.12 tells of instructions only if a frame has asked for them by now.
    sys._getframe().f_trace_opcodes = True
    sys.settrace(trace)
    return lambda: left <= 0


def test_N2_a_handler_of_a_signal_may_close_the_recorder_at_any_instruction(path, monkeypatch):
    monkeypatch.setattr(_record, "_AT_ONCE", 2)
    number, interrupted = 0, True
    while interrupted:
        number += 1
        recorder = TraceRecorder(path)
        recorder(event("a"))
        before = sys.gettrace()
        has_come = interrupt(number, recorder.close)
        try:
            recorder(event("b"))
        finally:
            sys.settrace(before)
        interrupted = has_come()
        assert recorder.closed == interrupted, number
        recorder.close()
        # What was about to be told when the recording ended is none of it.
        assert len(tokens(path)) in ((1, 2) if interrupted else (2,)), number
    assert number > 50


def test_N2_the_rest_is_written_when_the_interpreter_exits(path):
    script = f"""
        from aiocachetools import CacheEvent
        from aiocachetools.simulation import TraceRecorder
        recorder = TraceRecorder({str(path)!r})
        recorder(CacheEvent("hit", "f", 1))
    """
    assert in_child(script) == ""
    assert_is_trace_of(path, [1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_N2_a_forked_child_records_nothing(path):
    script = f"""
        import os
        from aiocachetools import CacheEvent
        from aiocachetools.simulation import TraceRecorder
        recorder = TraceRecorder({str(path)!r})
        recorder(CacheEvent("hit", "f", 1))
        child = os.fork()
        for key in range(3000 if child == 0 else 2):
            recorder(CacheEvent("hit", "f", key))
        if child == 0:
            recorder.close()
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert in_child(script) == "0\n"
    assert_is_trace_of(path, [1, 0, 1])
