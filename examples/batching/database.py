"""Posts and their authors in SQLite."""

import sqlite3
from pathlib import Path

from examples.demo.database import zipf

SCHEMA = """
CREATE TABLE authors (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE posts (
    id INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    author_id INTEGER NOT NULL REFERENCES authors
);
"""


def build(path: Path, *, posts: int, authors: int) -> None:
    """Creates the database at path; some authors write much, most of them little."""
    database = sqlite3.connect(path)
    with database:
        database.executescript(SCHEMA)
        names = [(author, f"Author {author}") for author in range(authors)]
        database.executemany("INSERT INTO authors VALUES (?, ?)", names)
        written = zipf(list(range(authors)), posts, exponent=0.8)
        rows = [(post, f"Post {post}", author) for post, author in enumerate(written)]
        database.executemany("INSERT INTO posts VALUES (?, ?, ?)", rows)
    database.close()
