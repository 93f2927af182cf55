"""Functions with a tier, for tests to call."""

import asyncio

from aiocachetools import cached


def counted(tier, *, name="f", error=None, value=None, **options):
    """A cached function that counts its runs."""
    runs = []

    @cached(tier=tier.using(name=name, **options))
    async def f(x: int) -> dict[str, int]:
        runs.append(x)
        await asyncio.sleep(0)
        if error:
            raise error
        return {"x": x, "run": len(runs)} if value is None else value

    return f, runs


def pattern_of(f):
    """What matches the keys of a function."""
    return f.cache_tier.loader.__self__.form.pattern


class Plain:
    """An object of a class that nobody else knows."""
