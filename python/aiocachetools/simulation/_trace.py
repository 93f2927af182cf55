"""Traces: the keys that were asked for, in order, read from a file or given one by one."""

import bz2
import csv
import gzip
import io
import lzma
import sys
from array import array
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

_OPENERS: dict[bytes, Callable[[io.BufferedReader], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_LONGEST_MAGIC = max(map(len, _OPENERS))


class TraceError(ValueError):
    """A trace that cannot be read, or has nothing in it."""


class Trace:
    """A sequence of accesses, of which only the keys' numbers are kept.

    Args:
        keys: The keys that were asked for, in order; equal ones are one key.
    """

    def __init__(self, keys: Iterable[Hashable] = ()) -> None:
        numbers: dict[Hashable, int] = {}
        numbered = (numbers.setdefault(key, len(numbers)) for key in keys)
        self._accesses = array("I", numbered)
        self._distinct = len(numbers)

    def __len__(self) -> int:
        """How many accesses there are."""
        return len(self._accesses)

    @property
    def accesses(self) -> "array[int]":
        """The number of each access's key; keys are numbered as they first appear, from 0."""
        return self._accesses

    @property
    def distinct(self) -> int:
        """How many different keys there are."""
        return self._distinct


def read_trace(
    source: str | Path,
    *,
    column: str | int | None = None,
    delimiter: str = ",",
    limit: int | None = None,
) -> Trace:
    """Read a trace: text with one key a line, or a column of a CSV file.

    What is compressed by gzip, bzip2 or xz is seen by its first bytes.  Blank lines, and rows of a CSV file
    whose key is empty, are skipped.

    Args:
        source: The file; ``"-"`` is standard input.
        column: The CSV file's column that has the keys: a name from its first line, or a number from 1,
            for a file without such a line.
        delimiter: What stands between the columns; one character.
        limit: How many accesses to read, at the most.

    Raises:
        OSError: The file cannot be opened.
        TraceError: It is no text, is damaged, has no such column, or no accesses.
    """
    try:
        with _lines(source) as lines:
            keys = _column(lines, column, delimiter) if column is not None else map(str.strip, lines)
            trace = Trace(islice(filter(None, keys), limit))
    except UnicodeDecodeError as error:
        raise TraceError(f"{source} is no text in UTF-8: {error}") from error
    except (gzip.BadGzipFile, lzma.LZMAError, EOFError, csv.Error) as error:
        raise TraceError(f"{source} is damaged: {error}") from error
    if not len(trace):
        raise TraceError(f"{source} has no accesses: expected one key a line, or a column of CSV by its name")
    return trace


@contextmanager
def _lines(source: str | Path) -> Iterator[IO[str]]:
    with nullcontext(sys.stdin.buffer) if source == "-" else Path(source).open("rb") as file:
        raw = cast(io.BufferedReader, file)
        magic = raw.peek(_LONGEST_MAGIC)
        opened = next((opener for start, opener in _OPENERS.items() if magic.startswith(start)), None)
        text = io.TextIOWrapper(opened(raw) if opened else raw, encoding="utf-8-sig")
        try:
            yield text
        finally:
            text.detach()  # else it would close the file, standard input as well


def _column(lines: IO[str], column: str | int, delimiter: str) -> Iterator[str]:
    rows = csv.reader(lines, delimiter=delimiter)
    if isinstance(column, int):
        index = column - 1
    else:
        header = next(rows, list[str]())
        if column not in header:
            raise TraceError(
                f"there is no column {column!r}; the first line has {', '.join(header) or 'none'}"
            )
        index = header.index(column)
    for row in rows:
        if row and not 0 <= index < len(row):
            raise TraceError(f"line {rows.line_num} has {len(row)} columns, and none of number {index + 1}")
        yield row[index] if row else ""
