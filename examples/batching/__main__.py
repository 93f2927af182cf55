"""`make demo-batching`: pages of posts and the author of each, one query at a time and in batches."""

import argparse
import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

import aiosqlite
from rich.console import Console
from rich.table import Table

from examples.demo.__main__ import progress_bar

from .blog import Author, Authors, Database, page
from .database import build
from .ways import WAYS

AUTHORS = 500


@dataclass
class Measurement:
    """What one way took to make all pages."""

    queries: int
    seconds: float
    first_page: list[str]


async def read(
    db: Database, pages: int, size: int, make: Callable[[Authors], Author], on_page: Callable[[], object]
) -> Measurement:
    """Make one page after another, as a reader leafs through them."""
    authors = Authors()
    author = make(authors)
    made: list[list[str]] = []
    start = perf_counter()
    for number in range(pages):
        made.append(await page(db, number, size, author))
        on_page()
    return Measurement(authors.queries, perf_counter() - start, made[0])


async def demo(path: Path, pages: int, size: int, console: Console) -> dict[str, Measurement]:
    build(path, posts=pages * size, authors=AUTHORS)
    results: dict[str, Measurement] = {}
    async with aiosqlite.connect(path) as db:
        with progress_bar(console) as progress:
            for way, make in WAYS.items():
                bar = progress.add_task(way, total=pages)
                results[way] = await read(db, pages, size, make, partial(progress.advance, bar))
    return results


def summary(results: dict[str, Measurement], pages: int) -> Table:
    table = Table(title=f"{pages} pages, three ways")
    table.add_column("author", no_wrap=True)
    for heading in ("queries for authors", "per page", "time", "per page"):
        table.add_column(heading, justify="right")
    for way, result in results.items():
        table.add_row(
            way,
            f"{result.queries:,}",
            f"{result.queries / pages:.1f}",
            f"{result.seconds * 1000:,.0f} ms",
            f"{result.seconds / pages * 1000:.1f} ms",
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="make demo-batching", description=__doc__)
    parser.add_argument("--pages", type=int, default=40, help="how many pages (40)")
    parser.add_argument("--size", type=int, default=50, help="posts on a page (50)")
    options = parser.parse_args()
    console = Console()
    console.print(
        f"A SQLite database of {options.pages * options.size:,} posts by {AUTHORS} authors. The resolver of a "
        "post looks its author up and knows of no other post."
    )
    with tempfile.TemporaryDirectory() as folder:
        results = asyncio.run(demo(Path(folder, "blog.db"), options.pages, options.size, console))
    console.print(summary(results, options.pages))
    console.print(
        "One more query for each page reads its posts. The database is a file on this machine: one behind a "
        "network adds its round trip to every query."
    )


if __name__ == "__main__":
    main()
