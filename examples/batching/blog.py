"""The blog: pages of posts with their authors, whichever way an author is looked up."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import cast

import aiosqlite

Database = aiosqlite.Connection
Author = Callable[[int, Database], Awaitable[str]]


async def page(db: Database, number: int, size: int, author: Author) -> list[str]:
    """A page as a GraphQL server makes it: a resolver for each post, which knows of no other post."""
    query = "SELECT title, author_id FROM posts ORDER BY id LIMIT ? OFFSET ?"
    rows = await db.execute_fetchall(query, (size, number * size))

    async def resolve(title: str, author_id: int) -> str:
        return f"{title} by {await author(author_id, db)}"

    return await asyncio.gather(*(resolve(*row) for row in rows))


class Authors:
    """The two queries, counted."""

    def __init__(self) -> None:
        self.queries = 0

    async def one(self, author_id: int, db: Database) -> str:
        self.queries += 1
        rows = await db.execute_fetchall("SELECT name FROM authors WHERE id = ?", (author_id,))
        ((name,),) = rows
        return cast(str, name)

    async def many(self, author_ids: list[int], db: Database) -> dict[int, str]:
        self.queries += 1
        marks = ", ".join("?" * len(author_ids))
        rows = await db.execute_fetchall(f"SELECT id, name FROM authors WHERE id IN ({marks})", author_ids)
        return dict(cast(Iterable[tuple[int, str]], rows))
