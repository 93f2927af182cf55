"""Rule F6: a call that would wait for itself is an error at once; everything else may nest."""

import asyncio
import sys

import pytest
from support import outcome, settle

from aiocachetools import RecursiveLoadError, cached, cachedmethod

CancelledError = asyncio.CancelledError


class Network:
    """Cached nodes; loading one loads those that it links to, in one way or another."""

    def __init__(self, deco, how="await"):
        self.links = {}
        self.runs = []
        self.how = how
        self.gates = {}
        self.node = deco()(self.load)

    async def load(self, name):
        self.runs.append(name)
        if name in self.gates:
            await self.gates[name].wait()
        return name, [await WAYS[self.how](self.node(link)) for link in self.links.get(name, ())]


WAYS = {
    "await": lambda call: call,
    "task": asyncio.create_task,
    "gather": lambda call: first_of(asyncio.gather(call)),
    "wait_for": lambda call: asyncio.wait_for(call, 5),
    "task_group": lambda call: in_task_group(call),
}


async def first_of(results):
    return (await results)[0]


async def in_task_group(call):
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(call)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return task.result()


def test_F6_the_error_is_a_recursion_error():
    assert issubclass(RecursiveLoadError, RecursionError)


@pytest.mark.parametrize("how", WAYS)
def test_F6_a_function_that_calls_itself(arun, deco, how):
    network = Network(deco, how)
    network.links = {"a": "a"}

    async def main():
        with pytest.raises(RecursiveLoadError):
            await network.node("a")
        assert len(network.node.cache) == 0
        network.links = {}
        assert await network.node("a") == ("a", [])

    arun(main())
    assert network.runs == ["a", "a"]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("length", [2, 3, 7])
def test_F6_a_circle(arun, either, how, length):
    network = Network(either, how)
    network.links = {n: [(n + 1) % length] for n in range(length)}

    async def main():
        with pytest.raises(RecursiveLoadError):
            await network.node(0)
        assert network.runs == list(range(length))
        network.links[length - 1] = []
        assert (await network.node(0))[0] == 0

    arun(main())


def test_F6_the_error_names_the_function(run):
    @cached
    async def endless(x):
        return await endless(x)

    async def main():
        with pytest.raises(RecursiveLoadError, match="endless"):
            await endless(1)

    run(main())


def test_F6_several_functions(arun, either):
    @either()
    async def a(x):
        return await b(x)

    @either()
    async def b(x):
        return await a(x)

    async def main():
        results = await asyncio.gather(*(outcome(a(1)) for _ in range(5)), outcome(b(2)))
        assert all(isinstance(result, RecursiveLoadError) for result in results)

    arun(main())


def test_F6_methods(arun):
    class Tree:
        def __init__(self):
            self.cache = {}

        @cachedmethod(lambda self: self.cache)
        async def parent(self, x):
            return await self.child(x)

        @cachedmethod(lambda self: self.cache)
        async def child(self, x):
            return await other.parent(x) if self is tree else await tree.parent(x)

    tree, other = Tree(), Tree()

    async def main():
        assert isinstance(await outcome(tree.parent(1)), RecursiveLoadError)

    arun(main())


def test_F6_two_roots_that_wait_for_each_other(arun, deco):
    network = Network(deco)
    network.links = {"a": "b", "b": "a"}
    network.gates = {"a": asyncio.Event(), "b": asyncio.Event()}

    async def main():
        roots = [asyncio.create_task(outcome(network.node(name))) for name in "ab"]
        await settle()
        assert network.runs == ["a", "b"]
        network.gates["a"].set()
        await settle()
        assert not any(root.done() for root in roots)
        network.gates["b"].set()
        results = await asyncio.gather(*roots)
        assert all(isinstance(result, RecursiveLoadError) for result in results)
        network.links = {"a": "b"}
        assert await network.node("a") == ("a", [("b", [])])

    arun(main())


def test_F6_two_roots_in_a_longer_circle(arun, either):
    network = Network(either)
    network.links = {"a": "b", "b": "c", "c": "d", "d": "a"}
    network.gates = {"a": asyncio.Event(), "c": asyncio.Event()}

    async def main():
        roots = [asyncio.create_task(outcome(network.node(name))) for name in "ac"]
        await settle()
        for gate in network.gates.values():
            gate.set()
        results = await asyncio.wait_for(asyncio.gather(*roots), 5)
        assert all(isinstance(result, RecursiveLoadError) for result in results)

    arun(main())


def test_F6_the_load_may_handle_the_error(arun, deco):
    @deco()
    async def f(x):
        try:
            return await f(x)
        except RecursionError:
            return "a base case"

    async def main():
        assert await asyncio.gather(f(1), f(1)) == ["a base case"] * 2
        assert await f(1) == "a base case"

    arun(main())
    assert f.cache_info().currsize == 1


def test_F6_different_keys_nest_200_deep(arun, deco):
    runs = []

    @deco()
    async def depth(n):
        runs.append(n)
        return 0 if n == 0 else 1 + await depth(n - 1)

    async def main():
        assert await depth(200) == 200
        assert await asyncio.gather(*(depth(n) for n in range(150, 200))) == list(range(150, 200))

    arun(main())
    assert runs == list(range(200, -1, -1))


def test_F6_different_keys_nest_200_deep_and_suspend(arun, either):
    @either()
    async def depth(n):
        await asyncio.sleep(0)
        return 0 if n == 0 else 1 + await depth(n - 1)

    async def main():
        assert await asyncio.gather(depth(200), depth(200), depth(100)) == [200, 200, 100]

    arun(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are of Python 3.12")
def test_F6_different_keys_nest_under_an_eager_task_factory(either):
    @either()
    async def depth(n):
        return 0 if n == 0 else 1 + await depth(n - 1)

    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        assert await depth(40) == 40

    asyncio.run(main())


def test_F6_shared_parts_are_no_circle(arun, deco):
    """A diamond: two loads wait for the same third one."""
    network = Network(deco, "task")
    network.links = {"top": ["left", "right", "bottom"], "left": ["bottom"], "right": ["bottom"]}
    network.gates = {"bottom": asyncio.Event()}

    async def main():
        top, left = asyncio.create_task(network.node("top")), asyncio.create_task(network.node("left"))
        await settle()
        network.gates["bottom"].set()
        bottom = ("bottom", [])
        assert await top == ("top", [("left", [bottom]), ("right", [bottom]), bottom])
        assert await left == ("left", [bottom])

    arun(main())
    assert sorted(network.runs) == ["bottom", "left", "right", "top"]


def test_F6_a_new_flight_of_the_same_key_is_no_circle(arun, deco):
    """After an invalidation the load may call its own function with its own arguments."""
    runs = []

    @deco()
    async def f(x):
        runs.append(x)
        if len(runs) == 1:
            f.cache_invalidate(x)
            return "outer", await f(x)
        return "inner"

    async def main():
        assert await f(1) == ("outer", "inner")
        assert await f(1) == "inner"

    arun(main())
    assert runs == [1, 1]


def test_F6_who_has_left_waits_no_longer(arun, either):
    """A load stops waiting for another one, which may then wait for it."""
    gate, runs = asyncio.Event(), []

    @either()
    async def impatient(x):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(slow(x), 0.01)
        gate.set()
        await settle()
        return "impatient"

    @either(on_abandon="finish")
    async def slow(x):
        runs.append(x)
        await gate.wait()
        return "slow", await impatient(x)

    async def main():
        assert await impatient(1) == "impatient"
        await settle()
        assert await slow(1) == ("slow", "impatient")

    arun(main())
    assert runs == [1]


def test_F6_loads_of_other_tasks_are_not_in_the_way(arun, either):
    """What a load starts and forgets may wait for that load."""
    started = []

    @either()
    async def f(x):
        await settle(2)
        return x

    async def follower():
        return await f(1)

    async def main():
        started.append(asyncio.create_task(f(1)))
        started.append(asyncio.create_task(follower()))
        await f(2)
        assert await asyncio.gather(*started) == [1, 1]

    arun(main())


def test_F6_cancelling_a_nested_wait_unwinds_it_all(arun, either):
    network = Network(either)
    network.links = {"a": "b", "b": "c"}
    network.gates = {"c": asyncio.Event()}

    async def main():
        task = asyncio.create_task(network.node("a"))
        await settle()
        assert network.runs == ["a", "b", "c"]
        task.cancel()
        assert isinstance(await outcome(task), CancelledError)
        network.gates.clear()
        assert await network.node("a") == ("a", [("b", [("c", [])])])

    arun(main())
