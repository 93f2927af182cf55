"""Rule R6: tags with what is stale or failed."""

import asyncio

import pytest
from support import begun, called, fresh_for_ten, outcome, settle, tagged

import aiocachetools
from aiocachetools import invalidate_tag


def test_R6_R2_a_stale_value_of_an_invalidated_tag_is_not_served(run, upstream, clock):
    async def main():
        f = fresh_for_ten(upstream, clock, tags="all", stale_while_revalidate=100)
        await f(1)
        clock.now = 20
        assert await f(1) == 1
        await settle()
        assert await f(1) == 2
        clock.now = 40
        invalidate_tag("all")
        assert await f(1) == 3

    run(main())


def test_R6_R2_a_refresh_under_way_is_neither_stored_nor_joined_after_the_invalidation(run, upstream, clock):
    async def main():
        f = fresh_for_ten(upstream, clock, tags="all", stale_while_revalidate=100)
        await f(1)
        clock.now = 20
        gate = upstream.hold()
        assert await f(1) == 1
        await settle()
        invalidate_tag("all")
        call = await begun(f(1))
        assert len(upstream.loads) == 3
        gate.set()
        assert await call == 3
        await settle()
        assert await f(1) == 3

    run(main())


def test_R6_R3_a_failed_load_does_not_bring_back_what_was_invalidated(run, upstream, clock):
    async def main():
        f = fresh_for_ten(upstream, clock, tags="all", stale_if_error=100)
        await f(1)
        clock.now = 20
        upstream.error = OSError("down")
        assert await f(1) == 1
        gate = upstream.hold()
        during = await begun(f(1))
        invalidate_tag("all")
        gate.set()
        assert isinstance(await outcome(during), OSError)
        assert isinstance(await called(f, 1), OSError)

    run(main())


@pytest.mark.parametrize("tags", ["all", lambda key, *, value: "all"])
def test_R6_R4_who_loses_patience_is_not_served_what_was_invalidated(run, upstream, clock, tags):
    async def main():
        f = fresh_for_ten(upstream, clock, tags=tags, stale_if_error=100, soft_timeout=1)
        await f(1)
        clock.now = 20
        gate = upstream.hold()
        served, waiting = asyncio.ensure_future(f(1)), None
        await settle()
        clock.advance(1)
        assert await served == 1
        waiting = await begun(f(1))
        invalidate_tag("all")
        clock.advance(1)
        await settle()
        assert not waiting.done()
        gate.set()
        assert await waiting == 2
        assert not f.cache_contains(1)

    run(main())


def test_R6_R4_a_load_that_timed_out_falls_back_on_nothing_that_was_invalidated(run, upstream, clock):
    async def main():
        f = fresh_for_ten(upstream, clock, tags="all", stale_if_error=100, timeout=5)
        await f(1)
        clock.now = 20
        upstream.hold()
        call = await begun(f(1))
        invalidate_tag("all")
        clock.advance(5)
        assert isinstance(await outcome(call), aiocachetools.LoadTimeout)

    run(main())


@pytest.mark.parametrize("options", [{}, {"ttl": 10, "stale_if_error": 100}])
def test_R6_R5_an_invalidation_forgets_a_failure_whose_tags_are_known(run, upstream, clock, options):
    async def main():
        f = tagged(upstream, cache_errors={OSError: 1000}, timer=clock, **options)
        upstream.error = OSError("down")
        for _ in range(2):
            assert isinstance(await called(f, 1), OSError)
        assert len(upstream.loads) == 1
        upstream.error = None
        invalidate_tag("all")
        assert await f(1) == 2

    run(main())


def test_R6_R5_a_failure_during_whose_load_a_tag_was_invalidated_is_not_remembered(run, upstream, clock):
    async def main():
        f = tagged(upstream, cache_errors={OSError: 1000}, timer=clock)
        upstream.error = OSError("down")
        gate = upstream.hold()
        call = await begun(f(1))
        invalidate_tag("all")
        gate.set()
        assert isinstance(await outcome(call), OSError)
        upstream.error = None
        assert await f(1) == 2

    run(main())


def test_R6_R5_a_failure_whose_tags_would_come_from_the_value_has_those_of_the_last_one(run, upstream, clock):
    async def main():
        options = {"cache_errors": {OSError: 1000}, "stale_if_error": 2000}
        f = fresh_for_ten(upstream, clock, tags=lambda key, *, value: "all", **options)
        upstream.error = OSError("down")
        assert isinstance(await called(f, "never loaded"), OSError)
        invalidate_tag("all")
        assert isinstance(await called(f, "never loaded"), OSError)
        assert len(upstream.loads) == 1
        upstream.error = None
        await f(1)
        clock.now = 20
        upstream.error = OSError("down")
        assert [await f(1), await f(1)] == [2, 2]
        assert len(upstream.loads) == 3
        upstream.error = None
        invalidate_tag("all")
        assert await f(1) == 4

    run(main())
