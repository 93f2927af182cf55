"""What the test modules share: turning the loop, outcomes as values, sources to load from."""

import asyncio
import gc
import subprocess
import sys
import textwrap
from pathlib import Path

import cachetools

import aiocachetools

LIBRARIES = {"cachetools": cachetools, "native": aiocachetools}


async def settle(rounds=12):
    """Let everything that is ready run; no timer is waited for."""
    for _ in range(rounds):
        await asyncio.sleep(0)


async def begun(awaitable):
    """The task of a call that has run as far as it can."""
    task = asyncio.ensure_future(awaitable)
    await settle()
    return task


async def outcome(awaitable):
    """The value, or the exception (CancelledError included) as a value."""
    try:
        return await awaitable
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        return error


async def called(function, *args, **kwargs):
    """The outcome of a call, whether it fails when it is made or when it is awaited."""
    try:
        return await function(*args, **kwargs)
    except Exception as error:
        return error


def function_of(parameters, globals=None):
    """A coroutine function with these parameters, each of whose runs returns a new object."""
    namespace = {}
    exec(f"async def f({parameters}):\n    return object()", globals or {}, namespace)
    return namespace["f"]


class Clock:
    """A timer that moves when it is told."""

    def __init__(self, now=0.0):
        self.now = now

    def __call__(self):
        return self.now


class Timers(Clock):
    """A clock whose timers run when it is told to go on."""

    def __init__(self, now=0.0):
        super().__init__(now)
        self.timers = []

    def call_later(self, delay, callback, *args):
        timer = Timer(self.now + delay, callback, args)
        self.timers.append(timer)
        return timer

    def advance(self, seconds):
        due = self.now + seconds
        for timer in sorted(self.timers, key=lambda timer: timer.when):
            if timer.when <= due and not timer.cancelled:
                self.now = max(self.now, timer.when)
                self.timers.remove(timer)
                timer.callback(*timer.args)
        self.now = due

    def pending(self):
        return [timer for timer in self.timers if not timer.cancelled]


class Timer:
    def __init__(self, when, callback, args):
        self.when, self.callback, self.args, self.cancelled = when, callback, args, False

    def cancel(self):
        self.cancelled = True


class Source:
    """What cached functions load from: it counts its runs and can hold or fail them."""

    def __init__(self, *, held=False):
        self.runs = []
        self.cancelled = []
        self.error = None
        self.gate = asyncio.Event()
        if not held:
            self.gate.set()

    async def load(self, key):
        self.runs.append(key)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled.append(key)
            raise
        if self.error is not None:
            raise self.error
        return ["value of", key]


class Loads:
    """A cached function of one argument, each of whose runs ends when and as the test says."""

    def __init__(self, decorate):
        self.ends = []

        @decorate
        async def f(x):
            end = asyncio.get_running_loop().create_future()
            self.ends.append(end)
            return await end

        self.f = f

    async def start(self, callers=1, key=1):
        """Begin some calls and let them wait."""
        tasks = [asyncio.create_task(self.f(key)) for _ in range(callers)]
        await settle()
        return tasks


class Upstream:
    """What is loaded: the number of the load, unless it is told to fail or to be slow."""

    def __init__(self):
        self.loads = []
        self.error = None
        self.gate = None
        self.cancelled = 0

    async def __call__(self, key=None):
        self.loads.append(key)
        number = len(self.loads)
        try:
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return number

    def hold(self):
        """Have loads wait, until the gate that this gives is opened."""
        self.gate = asyncio.Event()
        return self.gate


def fresh_for_ten(upstream, clock, **options):
    """The upstream, cached for ten seconds."""

    async def f(key):
        return await upstream(key)

    return aiocachetools.cached(**{"maxsize": 100, "ttl": 10, "timer": clock, **options})(f)


def tagged(upstream, **options):
    """The upstream, cached with a tag."""

    async def f(key):
        return await upstream(key)

    return aiocachetools.cached(**{"maxsize": 100, "tags": "all", **options})(f)


class Batches:
    """A cached function of several keys that notes what it is asked for, and holds it if told."""

    def __init__(self, cache=None, *, held=False, lacking=(), **options):
        self.asked = []
        self.cancelled = []
        self.gates = []
        self.error = None
        self.held = held
        self.lacking = set(lacking)
        decorate = (
            aiocachetools.cached_many(maxsize=1000, **options)
            if cache is None
            else aiocachetools.cached_many(cache, **options)
        )

        @decorate
        async def f(keys, *rest):
            self.asked.append(list(keys))
            gate = asyncio.get_running_loop().create_future()
            self.gates.append(gate)
            try:
                if self.held:
                    await gate
                else:
                    await asyncio.sleep(0)
            except asyncio.CancelledError:
                self.cancelled.append(list(keys))
                raise
            if self.error is not None:
                raise self.error
            return {key: ("value of", key, *rest) for key in keys if key not in self.lacking}

        self.f = f

    async def start(self, *calls):
        """Begin calls for these keys, one after another, and let them wait."""
        tasks = []
        for keys in calls:
            tasks.append(asyncio.create_task(self.f(keys)))
            await settle()
        return tasks

    def open(self):
        self.held = False
        for gate in self.gates:
            if not gate.done():
                gate.set_result(None)


def values(*keys):
    return {key: ("value of", key) for key in keys}


class Told(list):
    """A listener that keeps what it is told."""

    def __call__(self, event):
        assert type(event) is aiocachetools.CacheEvent
        self.append(event)

    @property
    def names(self):
        return [event.name for event in self]

    def keys(self, name):
        return [event.key for event in self if event.name == name]


class Odd(BaseException):
    """Neither an Exception nor what ends a loop."""


class Broken(dict):
    """A mapping that raises for the key 2."""

    def __init__(self, error, items):
        super().__init__(items)
        self.error = error

    def __getitem__(self, key):
        if key == 2:
            raise self.error
        return super().__getitem__(key)


class QuietLoop:
    """Runs a coroutine on a fresh loop and insists that the loop had nothing to complain about."""

    def __init__(self, factory):
        self.factory = factory

    def __call__(self, main, *, quiet=True, debug=None):
        noise = []
        with asyncio.Runner(loop_factory=self.factory, debug=debug) as runner:
            runner.get_loop().set_exception_handler(lambda _, context: noise.append(context["message"]))
            result = runner.run(main)
            gc.collect(1)
            runner.run(settle(2))
        gc.collect(1)
        if quiet:
            assert noise == []
        return result


def loop_factory(kind):
    """What makes a loop of asyncio's or of uvloop's."""
    if kind == "asyncio":
        return asyncio.new_event_loop
    import uvloop

    return uvloop.new_event_loop


def in_child(script, timeout=60):
    """Run a script in a process of its own and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-W", "error", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=Path(__file__).parent,
    )
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
