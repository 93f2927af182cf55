"""Traces of a running service: what a decorated function is asked for, one key after another."""

import atexit
import gzip
import os
import secrets
import threading
from collections.abc import Hashable
from hashlib import blake2b
from os import PathLike

from .._event import CacheEvent

_ACCESSES = frozenset({"hit", "miss", "join", "stale"})
_AT_ONCE = 1024


class TraceRecorder:
    """Records the accesses to a cache into a file that `read_trace` reads: a ``listener=`` of what uses it.

    A hit, a miss, a join and a stale value are an access each, in the order in which they happen.  A key
    becomes a token of 16 hexadecimal digits by BLAKE2b with a secret that is thrown away, so that equal keys
    have equal tokens within the recording and nothing can be told from a token.  No key is held.

    Each 1,024 accesses are compressed by gzip and written at once, so that the file can be read at any time,
    and after a crash.  The rest is written by `close`, which is called when the interpreter exits if not
    before.  It may be told by several threads.  A child made by ``os.fork`` records nothing.

    Args:
        path: The file; what it had is lost.  Each process needs one of its own.
        limit: After how many accesses the recording ends; a million by default, which take 10 MB at most.

    Raises:
        OSError: The file cannot be written.  While it records, this reaches ``sys.unraisablehook`` as all
            that listeners raise does, once: the recording ends with it.
        ValueError: The limit is below 1.
    """

    def __init__(self, path: str | PathLike[str], *, limit: int = 1_000_000) -> None:
        if limit < 1:
            raise ValueError(f"TraceRecorder: limit must be a number of accesses from 1, not {limit}")
        self._file = open(path, "wb")  # noqa: SIM115 - closed when the recording ends
        self._secret = secrets.token_bytes(16)
        self._left = limit
        self._tokens: list[str] = []
        # Whoever writes may be interrupted by a handler of a signal, or a destructor, that does so too.
        self._lock = threading.RLock()
        self._is_writing = False
        self._process = os.getpid()
        atexit.register(self.close)

    def __call__(self, event: CacheEvent) -> None:
        """Record what a listener is told, if it is an access."""
        if event.name in _ACCESSES and self._left > 0:
            self._left -= 1
            self._tokens.append(self._token(event.key))
            if self._left <= 0 or len(self._tokens) >= _AT_ONCE:
                # Whoever finds another thread writing, or is called by what it does while it writes
                # itself, leaves the tokens to the next who writes.
                self._write(wait=False)

    @property
    def closed(self) -> bool:
        """Whether the recording has ended: by `close`, by its limit, or since the file could not be written."""
        return self._file.closed

    def close(self) -> None:
        """Write what is left, and end the recording; may be called again."""
        self._left = 0
        self._write(wait=True)

    def __enter__(self) -> "TraceRecorder":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _token(self, key: Hashable) -> str:
        number = hash(key).to_bytes(8, "little", signed=True)
        return blake2b(number, digest_size=8, key=self._secret).hexdigest()

    def _write(self, *, wait: bool) -> None:
        if os.getpid() != self._process:
            self._tokens.clear()
        elif self._lock.acquire(blocking=wait):
            try:
                self._write_locked()
            finally:
                self._lock.release()

    def _write_locked(self) -> None:
        # Who is interrupted goes on with what is left, and ends the recording if that is to end.
        while not self._is_writing:
            self._is_writing = True
            try:
                self._flush()
                if self._left <= 0:
                    self._end()
            except OSError:
                self._left = 0
                self._end()
                raise
            finally:
                self._is_writing = False
            if self._left > 0 or self._file.closed:
                break

    def _flush(self) -> None:
        # Not another list: a thread may be about to append to this one.
        tokens = self._tokens[:]
        del self._tokens[: len(tokens)]
        if tokens and not self._file.closed:
            self._file.write(gzip.compress("".join(f"{token}\n" for token in tokens).encode(), 1, mtime=0))
            self._file.flush()

    def _end(self) -> None:
        """Close the file, with what was recorded while the rest was written."""
        try:
            self._flush()
        finally:
            self._file.close()
            atexit.unregister(self.close)
