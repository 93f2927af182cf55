"""Processes that are told what to do line by line, and answer line by line."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any


class Process:
    """A module of this package in a process of its own."""

    def __init__(self, module: str, *arguments: str, python: str = sys.executable) -> None:
        self._process = subprocess.Popen(
            [python, "-m", f"benchmarks.redis.{module}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def ask(self, **request: Any) -> None:
        """Have something done."""
        assert self._process.stdin is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)

    def answer(self) -> Any:
        """Wait for what is said next."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise EOFError(f"process {self.pid} has ended")
        return json.loads(line)

    def do(self, **request: Any) -> Any:
        """Have something done, and wait for the answer."""
        self.ask(**request)
        return self.answer()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.kill()


def say(answer: Any) -> None:
    """Tell the parent."""
    print(json.dumps(answer), flush=True)


async def serve(handle: Callable[..., Awaitable[Any]]) -> None:
    """Answer what the parent asks, until it goes."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        say(await handle(**json.loads(line)))
