"""What memory keeps, and for how long it does: of values that change, are cleared or can no longer be heard of."""

import asyncio
import gc
import os
import weakref
from contextvars import ContextVar

import pytest

from aiocachetools import LRUCache, cached, cachedmethod
from aiocachetools.redis import RedisTier, _load
from aiocachetools.redis._near import NearCache, Visit

# Seconds that a busy machine may take for what takes none.
PATIENCE = 30


def function(tier, *cache, **options):
    @cached(*cache, tier=tier.using(name="f", **options))
    async def f(x: int) -> int:
        return x

    return f


def entered(near, cache, key, tier_key):
    visit = Visit(near.place(cache, key, tier_key, ()))
    near.enter(visit)
    return visit


@pytest.mark.parametrize("tag", ["urgent!", "a{", "x}!", "f:{", "#", ":"])
def test_D3_a_tag_may_be_any_text(run, make_tier, tag):
    async def test():
        tier, other = make_tier(), make_tier()
        f, g = function(tier, tags=[tag]), function(other, tags=[tag])
        await f(1)
        await g(1)
        await tier.invalidate_tags(tag)
        assert not f.cache_contains(1)
        while g.cache_contains(1):
            await asyncio.sleep(0)
        await tier.aclose()
        await other.aclose()

    run(test())


def test_D3_clear_reaches_what_the_server_has_lost(run, make_tier, control):
    async def test():
        tier, other = make_tier(), make_tier()
        f, g = function(tier), function(other)
        for x in range(3):
            await f(x)
            await g(x)
        for key in control.scan_iter(f.cache_tier.loader.__self__.form.pattern):
            control.delete(key)
        assert await tier.clear(f) == 0
        assert len(f.cache) == 0
        while len(g.cache):
            await asyncio.sleep(0)
        await tier.aclose()
        await other.aclose()

    run(test())


def test_D3_clear_of_more_keys_than_one_page(on_loop):
    async def test(tier):
        f = function(tier)
        await asyncio.gather(*map(f, range(1300)))
        assert await tier.clear(f) == 1300
        assert len(f.cache) == 0

    on_loop(test)


class Rude:
    """Equal to its like, unless it is told to raise."""

    rude = False

    def __init__(self, x):
        self.x = x

    def __hash__(self):
        return 1

    def __eq__(self, other):
        if Rude.rude:
            raise RuntimeError("no comparison")
        return self.x == other.x


def test_D3_a_key_that_cannot_be_compared_stays_nowhere():
    cache, near = LRUCache(10), NearCache(5)
    cache[Rude(1)], cache[Rude(2)] = 1, 2
    near.leave(entered(near, cache, Rude(1), b"p:f:{1}"))
    Rude.rude = True
    near.hear([b"p:f:{1}"])
    Rude.rude = False
    assert len(cache) == 0


def test_D3_a_place_is_known_by_its_key_for_as_long_as_messages_find_it(on_loop):
    async def test(tier):
        f = function(tier)
        await f(1)
        await f(2)
        loader, near = f.cache_tier.loader.__self__, tier._links.get().near
        place = loader._places[f.cache_key(1)]
        f.cache_clear()
        await f(1)
        assert loader._places[f.cache_key(1)] is place
        await tier.invalidate(f, 1)
        assert list(loader._places) == [f.cache_key(2)]
        await f(1)
        assert [loader._places[f.cache_key(1)]] == list(near._at(place.tier_key)) != [place]
        assert len(loader._places) == len(near) == 2

    on_loop(test)


def test_D8_a_place_of_another_loop_is_not_used(run, make_tier):
    tier = make_tier()
    f = function(tier)

    async def place():
        f.cache_clear()
        await f(1)
        return f.cache_tier.loader.__self__._places[f.cache_key(1)]

    assert run(place()) is not run(place())


def test_D3_a_place_whose_key_cannot_be_looked_up_is_forgotten_with_all_others():
    cache, near = LRUCache(10), NearCache(5)
    key, other = Rude(1), Rude(2)
    known = {}
    for each, tier_key in ((other, b"p:f:{2}"), (key, b"p:f:{1}")):
        visit = entered(near, cache, each, tier_key)
        known[each] = visit.place
        visit.place.known_in = known
        near.leave(visit)
    Rude.rude = True
    near.hear([b"p:f:{1}"])
    Rude.rude = False
    assert not known


def test_D3_a_message_during_which_user_code_raises_is_not_the_last_one(run, make_tier):
    async def test():
        class Stubborn(LRUCache):
            def pop(self, *args):
                raise RuntimeError("no pop")

            clear = pop

        tier, other = make_tier(), make_tier()
        f, g = function(tier), function(other, Stubborn(10))
        await g(1)
        h = function(other)
        await h(1)
        await tier.invalidate(f, 1)
        while h.cache_contains(1):
            await asyncio.sleep(0)
        assert other._links.get().near.epoch == 1
        await tier.aclose()
        await other.aclose()

    run(test())


def test_K5_caches_of_instances_that_are_gone_are_forgotten(on_loop):
    async def test(tier):
        class Users:
            def __init__(self):
                self.cache = LRUCache(10)

            @cachedmethod(lambda self: self.cache, ignore=("self",), tier=tier.using(name="users"))
            async def get(self, user_id: int) -> int:
                return user_id

        for _ in range(100):
            await Users().get(1)
        assert len(tier._links.get().near) < 5

    on_loop(test)


def test_D3_the_near_cache_does_not_outgrow_what_it_is_about(on_loop):
    async def test(tier):
        f = function(tier, LRUCache(10))
        near = tier._links.get().near
        for start in range(0, 5000, 500):
            await asyncio.gather(*map(f, range(start, start + 500)))
        assert len(near) < 2600
        assert sum(1 for _ in near._all()) == len(near)

    on_loop(test)


def test_D2_functions_of_one_name_in_one_process_need_no_message(on_loop, monkeypatch):
    monkeypatch.setattr(_load, "_MAX_WAIT", 3600.0)

    async def test(tier):
        go_on = asyncio.Event()

        @cached(tier=tier.using(name="f"))
        async def slow(x: int) -> int:
            await go_on.wait()
            return x

        f = function(tier)
        leading = asyncio.create_task(slow(1))
        while not tier.stats(slow).loads:
            await asyncio.sleep(0)
        waiting = asyncio.create_task(f(1))
        while not tier.stats(f).waits:
            await asyncio.sleep(0)
        go_on.set()
        assert await leading == await waiting == 1
        assert tier.stats(f).loads == 0

    on_loop(test, lease=3600)


def test_D4_what_cannot_be_heard_of_is_kept_for_a_while_only(run, own_server):
    """A user that may neither have reads tracked nor subscribe: values are shared, but changes to them are not told."""

    async def test(strict):
        with own_server.client() as control:
            control.execute_command(
                "ACL", "SETUSER", "deaf", "on", ">pw", "~*", "+@all", "-client|tracking", "-subscribe", "&*"
            )
        tier = RedisTier(
            f"redis://deaf:pw@127.0.0.1:{own_server.port}",
            prefix="p",
            max_unverified=0.2,
            deadline=PATIENCE,
            strict=strict,
        )
        f = function(tier)
        await f(1)
        f.cache_clear()
        await f(1)
        assert tier.stats(f).hits == 1
        assert f.cache_contains(1) is not strict
        while f.cache_contains(1):
            await asyncio.sleep(0.01)
        await tier.aclose()

    run(test(False))
    with own_server.client() as control:
        control.flushall()
    run(test(True))


def test_D4_who_waits_for_another_process_is_told_of_an_outage(on_loop, control):
    async def test(tier):
        f = function(tier)
        await f(0)
        form = f.cache_tier.loader.__self__.form
        control.set(form.key((1,), (1,), {}) + b"!", "somebody", px=3_600_000)
        call = asyncio.create_task(f(1))
        while not tier.stats(f).waits:
            await asyncio.sleep(0)
        tier._links.get().breaker.trip(ConnectionError())
        for _ in range(20):
            await asyncio.sleep(0)
        assert call.done()
        assert tier.stats(f).unshared == 1

    on_loop(test)


request = ContextVar("request")


class Request:
    pass


def test_D8_the_connection_does_not_keep_the_first_caller_s_context(on_loop):
    async def test(tier):
        async def first():
            mine = Request()
            request.set(mine)
            await function(tier)(1)
            return weakref.ref(mine)

        found = await asyncio.create_task(first())
        while found() is not None:  # until the loop has forgotten its timers that were cancelled
            await asyncio.sleep(0.01)
            gc.collect()

    on_loop(test, lease=0.1)


def test_D8_a_loop_that_goes_on_in_a_forked_process_has_a_connection_of_its_own(run, make_tier, monkeypatch):
    async def test():
        tier = make_tier()
        parents = tier._links.get()
        pid = os.getpid()
        monkeypatch.setattr(os, "getpid", lambda: pid + 1)
        assert tier._links.get() is not parents
        await tier.aclose()
        monkeypatch.undo()
        assert tier._links.get() is parents
        await tier.aclose()

    run(test())


def test_D3_a_change_whose_caller_was_cancelled_reaches_its_own_memory(on_loop):
    async def test(tier):
        f = function(tier)
        await tier.invalidate(f, 1)
        await f(1)
        execute = tier._links.get().client.execute
        sent, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def slow(*command):
            sent.set()
            await go_on.wait()
            answer = await execute(*command)
            done.set()
            return answer

        tier._links.get().client.execute = lambda *command: asyncio.shield(
            asyncio.ensure_future(slow(*command))
        )
        change = asyncio.create_task(tier.invalidate(f, 1))
        await sent.wait()
        await f(1)  # read again before the change is made
        change.cancel()
        go_on.set()
        await done.wait()
        while f.cache_contains(1):
            await asyncio.sleep(0)
        del tier._links.get().client.execute

    on_loop(test)


@pytest.mark.parametrize("moment", ["asked", "read", "stored"])
def test_D3_a_change_between_the_read_and_the_store_wins(on_loop, control, moment, monkeypatch):
    async def test(tier):
        f = function(tier)
        await f(1)
        form, near = f.cache_tier.loader.__self__.form, tier._links.get().near
        key = form.key((1,), (1,), {})
        old = control.get(key)
        await tier.put(f, 7, 1)
        new = control.get(key)
        control.set(key, old, px=60_000)
        await asyncio.sleep(0)
        f.cache_clear()

        def change(*_):
            control.set(key, new, px=60_000)
            near.hear([key])

        if moment == "asked":  # the answer is under way
            call = asyncio.create_task(f(1))
            await asyncio.sleep(0)
            change()
            assert await call == 7
            assert tier.stats(f).repeated == 1
        elif moment == "read":  # the answer is there, and who waits for it has not gone on
            tier._links.get().port.connection = None
            read, answers = tier._links.get().client.execute_many, []

            def execute_many(commands):
                answer = read(commands)
                if not answers:
                    answer.add_done_callback(change)
                answers.append(answer)
                return answer

            monkeypatch.setattr(tier._links.get().client, "execute_many", execute_many)
            assert await f(1) == 7
            assert tier.stats(f).repeated >= 1
        else:  # the load is over, and its value has not been stored
            tier._links.get().port.connection = None
            leave = near.leave

            def left(visit):
                leave(visit)
                change()
                near.leave = leave

            near.leave = left
            assert await f(1) == 1
        assert f.cache.get(f.cache_key(1), 7) == 7

    on_loop(test)
