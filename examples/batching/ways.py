"""The ways to look an author up.  The blog is the same with each of them."""

from collections.abc import Callable

from aiocachetools import cached, cached_many

from .blog import Author, Authors


def plain(authors: Authors) -> Author:
    return authors.one


def with_cached(authors: Authors) -> Author:
    return cached(maxsize=10_000, ignore="db")(authors.one)


def with_cached_many(authors: Authors) -> Author:
    return cached_many(maxsize=10_000, max_batch=500, ignore="db")(authors.many).one


WAYS: dict[str, Callable[[Authors], Author]] = {
    "plain": plain,
    "cached": with_cached,
    "cached_many.one": with_cached_many,
}
