"""The batching demo: three ways make the same pages, with as many queries as is said."""

import asyncio
import io
import sqlite3
from pathlib import Path

from rich.console import Console

from examples.batching.__main__ import AUTHORS, demo, summary

PAGES, SIZE = 4, 25


def test_the_queries_of_each_way(tmp_path: Path) -> None:
    path = tmp_path / "blog.db"
    results = asyncio.run(demo(path, PAGES, SIZE, Console(file=io.StringIO())))
    connection = sqlite3.connect(path)
    written = [author for (author,) in connection.execute("SELECT author_id FROM posts ORDER BY id")]
    connection.close()
    distinct = len(set(written))
    assert PAGES < distinct < PAGES * SIZE < AUTHORS
    assert {way: result.queries for way, result in results.items()} == {
        "plain": PAGES * SIZE,
        "cached": distinct,
        "cached_many.one": PAGES,
    }
    (page, *others) = (result.first_page for result in results.values())
    assert page == [f"Post {post} by Author {written[post]}" for post in range(SIZE)]
    assert others == [page, page]
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(summary(results, PAGES))
    assert "100" in console.export_text(clear=False)
    assert "25.0" in console.export_text()
