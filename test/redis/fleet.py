"""Processes that share a tier: `Fleet` starts and steers them, and this file is what they run.

Loads tell of themselves and wait to be told how to go on, through lists in the server.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys

import redis.asyncio

from aiocachetools import cached
from aiocachetools.redis import RedisTier

PATIENCE = 60


class Fleet:
    """Some processes; see `Worker`."""

    def __init__(self, url, prefix, control):
        self.url, self.prefix, self.control = url, prefix, control
        self.workers = []

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        for worker in self.workers:
            worker.stop()

    def start(self, count, **options):
        """Start processes, whose tiers have these options."""
        started = [Worker(self.url, self.prefix, options) for _ in range(count)]
        self.workers += started
        for worker in started:
            worker.answer()
        return started

    def started(self, key):
        """Wait for a load of a key to begin; the process that it runs in."""
        found = self.control.blpop(f"{self.prefix}-started:{key}", timeout=PATIENCE)
        assert found is not None, f"no load of {key!r} began"
        return next(worker for worker in self.workers if worker.process.pid == int(found[1]))

    def go_on(self, key, how="return"):
        """Let a load of a key end: return, or raise."""
        self.control.rpush(f"{self.prefix}-go:{key}", how)

    def runs(self, key):
        """How many loads of a key have begun."""
        return int(self.control.get(f"{self.prefix}-runs:{key}") or 0)


class Worker:
    """One process: takes calls, and answers each when it is done."""

    def __init__(self, url, prefix, options):
        command = [sys.executable, __file__, url, prefix, json.dumps(options)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, do, key="", **details):
        """Have something done."""
        print(json.dumps({"do": do, "key": key, **details}), file=self.process.stdin, flush=True)

    def do(self, do, key="", **details):
        """Have something done, and wait for the answer."""
        self.ask(do, key, **details)
        return self.answer()

    def answer(self):
        """Wait for the answer to what was asked first of what is not answered."""
        line = self.process.stdout.readline()
        assert line, "the process has ended"
        return json.loads(line)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Server:
    """What a worker does."""

    def __init__(self, url, prefix, options):
        self.prefix = prefix
        self.control = redis.asyncio.Redis.from_url(url)
        self.tier = RedisTier(url, prefix=prefix, **{"deadline": PATIENCE, **options})
        tagged = self.tier.using(name="load", tags=lambda key: [f"tag-{key}"])
        self.begun = None
        self.load = cached(maxsize=100_000, ttl=600, tier=tagged)(self._load)

    async def _load(self, key: str) -> str:
        name = f"{self.prefix}-{{}}:{key}"
        run = await self.control.incr(name.format("runs"))
        await self.control.rpush(name.format("started"), os.getpid())
        _, how = await self.control.blpop([name.format("go")])
        if how == b"raise":
            raise ValueError(key)
        return f"{key}#{run}"

    async def call(self, key, tasks=1):
        """Call many times at once; how often each outcome came."""
        outcomes = await asyncio.gather(*(self.load(key) for _ in range(tasks)), return_exceptions=True)
        shown = [outcome if isinstance(outcome, str) else type(outcome).__name__ for outcome in outcomes]
        return {outcome: shown.count(outcome) for outcome in shown}

    async def begin(self, key, tasks=1):
        """The same, until the process loads or waits for another one's load."""
        before = self.tier.stats(self.load)
        self.begun = asyncio.create_task(self.call(key, tasks))
        while not self.begun.done() and sum(self.tier.stats(self.load)[2:5]) == sum(before[2:5]):
            await asyncio.sleep(0)

    async def end(self, key):
        """The outcomes of what was begun."""
        return await self.begun

    async def invalidate(self, key):
        return await self.tier.invalidate(self.load, key)

    async def invalidate_tag(self, key):
        return await self.tier.invalidate_tags(f"tag-{key}")

    async def contains(self, key):
        return self.load.cache_contains(key)

    async def gone(self, key):
        """Wait until the process has heard of an invalidation."""
        while self.load.cache_contains(key):
            await asyncio.sleep(0)

    async def stats(self, key):
        return self.tier.stats(self.load)._asdict()


async def serve(url, prefix, options):
    server = Server(url, prefix, json.loads(options))
    loop = asyncio.get_running_loop()
    print(json.dumps("ready"), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked = json.loads(line)
        answer = await getattr(server, asked.pop("do"))(**asked)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
