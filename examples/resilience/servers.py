"""The three processes: the upstream, and the service with and without its cache."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from .client import Client


class Server:
    """An application in a process of its own."""

    def __init__(self, module: str, port: int = 0, **environment: str) -> None:
        self._command = [sys.executable, "-m", "examples.resilience.serve", module]
        self._environment = os.environ | environment
        self.port = port
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Return when the server takes connections."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command, str(self.port), stdout=asyncio.subprocess.PIPE, env=self._environment
        )
        assert self._process.stdout is not None
        port = await self._process.stdout.readline()
        if not port:
            raise RuntimeError(f"{' '.join(self._command)} has not started")
        self.port = int(port)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def kill(self) -> None:
        """End the process as a crash does."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        """End the process as an operator does, if it runs."""
        if self._process is not None and self.running:
            with suppress(ProcessLookupError):  # over already: Ctrl-C is told to all processes
                self._process.terminate()
            await self._process.wait()


class Servers:
    """The upstream, and the services that know nothing of each other."""

    def __init__(self, upstream_port: int) -> None:
        self.upstream = Server("upstream", upstream_port)
        url = f"http://127.0.0.1:{upstream_port}"
        self.services = {
            "without": Server("uncached", UPSTREAM=url),
            "with": Server("service", UPSTREAM=url),
        }

    async def set_upstream(self, delay: float | None) -> None:
        """Have the upstream take so many seconds over an answer; None kills it."""
        if delay is None:
            await self.upstream.kill()
            return
        if not self.upstream.running:
            await self.upstream.start()
        async with Client(self.upstream.port) as client:
            await client.request(f"/delay/{delay}", "PUT")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """All of them run while the block does."""
        servers = [self.upstream, *self.services.values()]
        try:
            await asyncio.gather(*(server.start() for server in servers))
            yield
        finally:
            await asyncio.gather(*(server.stop() for server in servers))


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port that stays the upstream's while that is down: bound to a socket that does not listen."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]
