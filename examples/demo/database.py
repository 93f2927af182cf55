"""The demo's database: every named Unicode character, and the requests that are made for them."""

import random
import sqlite3
import sys
import unicodedata
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

SCHEMA = """
CREATE TABLE characters (
    codepoint INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    category TEXT NOT NULL,
    bidirectional TEXT NOT NULL,
    combining INTEGER NOT NULL,
    east_asian_width TEXT NOT NULL,
    mirrored INTEGER NOT NULL,
    decomposition TEXT NOT NULL,
    numeric REAL
);
CREATE TABLE requests (position INTEGER PRIMARY KEY, codepoint INTEGER NOT NULL);
"""

Character = tuple[int, str, str, str, int, str, int, str, float | None]


def characters() -> Iterator[Character]:
    """Every character that Python's Unicode database has a name for."""
    for codepoint in range(sys.maxunicode + 1):
        char = chr(codepoint)
        if name := unicodedata.name(char, ""):
            yield (
                codepoint,
                name,
                unicodedata.category(char),
                unicodedata.bidirectional(char),
                unicodedata.combining(char),
                unicodedata.east_asian_width(char),
                unicodedata.mirrored(char),
                unicodedata.decomposition(char),
                unicodedata.numeric(char, None),
            )


def zipf(keys: list[int], count: int, *, exponent: float = 1.1, seed: int = 0) -> list[int]:
    """A mix of keys in which the key of rank r is asked for in proportion to 1 / r**exponent."""
    chance = random.Random(seed)
    ranked = chance.sample(keys, len(keys))
    weights = list(accumulate(rank**-exponent for rank in range(1, len(ranked) + 1)))
    return chance.choices(ranked, cum_weights=weights, k=count)


def build(path: Path, *, requests: int, seed: int = 0) -> int:
    """Creates the database at path; returns how many characters it holds."""
    database = sqlite3.connect(path)
    with database:
        database.executescript(SCHEMA)
        database.executemany(f"INSERT INTO characters VALUES ({', '.join('?' * 9)})", characters())
        known = [codepoint for (codepoint,) in database.execute("SELECT codepoint FROM characters")]
        wanted = zipf(known, requests, seed=seed)
        database.executemany("INSERT INTO requests VALUES (?, ?)", enumerate(wanted))
    database.close()
    return len(known)


def requested(path: Path) -> list[int]:
    """The codepoints that are asked for, in order."""
    database = sqlite3.connect(path)
    rows = database.execute("SELECT codepoint FROM requests ORDER BY position").fetchall()
    database.close()
    return [codepoint for (codepoint,) in rows]
