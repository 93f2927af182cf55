"""Rule K4: arguments that cannot be hashed or compared."""

import asyncio
import re

import pytest
from support import Source, called, outcome, settle

from aiocachetools import cached, cachedmethod


class Report:
    """A cached method beside the cached functions."""

    @cachedmethod(lambda self: self.__dict__.setdefault("cache", {}))
    async def render(self, template, *sections, size=1, **options):
        return template


@cached
async def render(template, *sections, size=1, **options):
    return template


UNHASHABLE = [
    (([],), {}, "template"),
    ((), {"template": {}}, "template"),
    (("t",), {"size": set()}, "size"),
    (("t", 1, []), {}, "sections"),
    (("t",), {"options": []}, "options"),
    (("t",), {"color": bytearray()}, "color|options"),
    (((1, ["nested"]),), {}, "template"),
    ((frozenset(), 1), {"size": ({},)}, "size"),
]


@pytest.mark.parametrize(("args", "kwargs", "parameter"), UNHASHABLE)
@pytest.mark.parametrize("function", [render, Report().render], ids=["function", "method"])
def test_K4_an_unhashable_argument_is_named_with_the_remedy(run, function, args, kwargs, parameter):
    async def main():
        error = await called(function, *args, **kwargs)
        assert type(error) is TypeError
        assert re.search(parameter, str(error))
        assert "render" in str(error)
        assert "ignore" in str(error) or "key=" in str(error)

    run(main())
    assert function.cache_info()[:2] == (0, 0)


def test_K4_the_type_that_cannot_be_hashed_is_told(run):
    async def main():
        assert "list" in str(await called(render, []))
        assert "dict" in str(await called(render, "t", size={}))

    run(main())


def test_K4_an_unhashable_argument_of_a_known_instance_is_named(run):
    class Book:
        @cached(maxsize=8)
        async def page(self, number):
            return number

    async def main():
        book = Book()
        assert await book.page(1) == 1
        for function in (book.page, lambda number: Book.page(book, number)):
            assert re.search("page.*'number'", str(await called(function, [])))
        assert Book.page.cache_info()[:2] == (0, 1)

    run(main())


def test_K4_an_unhashable_argument_changes_nothing(run, deco):
    source = Source()
    f = deco()(source.load)

    async def main():
        value = await f(1)
        assert isinstance(await called(f, []), TypeError)
        assert await f(1) is value
        assert await f(2) == ["value of", 2]

    run(main())
    assert source.runs == [1, 2]
    assert f.cache_info()[:2] == (1, 2)


def test_K4_an_unhashable_key_of_a_key_function(run, deco):
    source = Source()
    f = deco(key=lambda key: [key])(source.load)

    async def main():
        assert isinstance(await called(f, 1), TypeError)
        await settle()

    run(main())
    assert source.runs == []


def test_K4_the_attributes_tell_the_same():
    for method in (render.cache_contains, render.cache_invalidate):
        with pytest.raises(TypeError, match="template"):
            method([])


class Word:
    """A key whose hash and comparison can be told to fail, and that collides with all others."""

    failing = None

    def __init__(self, text):
        self.text = text

    def __hash__(self):
        if Word.failing == "hash":
            raise ZeroDivisionError("hash")
        return 42

    def __eq__(self, other):
        if Word.failing == "eq":
            raise ZeroDivisionError("eq")
        return isinstance(other, Word) and self.text == other.text


@pytest.fixture(params=["hash", "eq"])
def failing(request):
    """Makes words fail from the call of `failing()` on."""

    def begin(on=True):
        Word.failing = request.param if on else None

    yield begin
    Word.failing = None


def test_K4_errors_of_hash_and_eq_reach_the_caller(arun, deco, failing):
    source = Source()
    f = deco()(source.load)

    async def main():
        value = await f(Word("a"))
        failing()
        for word in (Word("a"), Word("b")):
            error = await called(f, word)
            assert isinstance(error, ZeroDivisionError)
        failing(False)
        assert await f(Word("a")) is value
        assert (await f(Word("b")))[0] == "value of"
        assert len(f.cache) == 2

    arun(main())
    assert [word.text for word in source.runs] == ["a", "b"]


def test_K4_errors_leave_a_load_under_way_alone(arun, deco, failing):
    source = Source(held=True)
    f = deco()(source.load)

    async def main():
        tasks = [asyncio.create_task(f(Word("a"))) for _ in range(3)]
        await settle()
        failing()
        assert isinstance(await called(f, Word("a")), ZeroDivisionError)
        failing(False)
        late = asyncio.create_task(f(Word("a")))
        await settle()
        source.gate.set()
        results = await asyncio.gather(*tasks, late)
        assert all(result is results[0] for result in results)

    arun(main())
    assert len(source.runs) == 1


def test_K4_errors_reach_the_attributes(run, deco, failing):
    f = deco()(Source().load)

    async def main():
        await f(Word("a"))
        failing()
        for method in (f.cache_contains, f.cache_invalidate):
            with pytest.raises(ZeroDivisionError):
                method(Word("a"))
        failing(False)
        assert f.cache_contains(Word("a")) is True
        assert f.cache_invalidate(Word("a")) is True

    run(main())


def test_K4_errors_while_storing_reach_the_caller(run, either):
    """The comparison begins to fail while the load runs, so that storing hits it."""
    source = Source()
    f = either()(source.load)

    async def load_and_break():
        task = asyncio.create_task(f(Word("b")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        Word.failing = "eq"
        try:
            return await outcome(task)
        finally:
            Word.failing = None

    async def main():
        value = await f(Word("a"))
        result = await asyncio.wait_for(load_and_break(), 5)
        assert isinstance(result, ZeroDivisionError) or result[0] == "value of"
        assert await f(Word("a")) is value
        assert (await asyncio.wait_for(f(Word("b")), 5))[0] == "value of"

    run(main())


class Meddler:
    """A key that uses the cached function while it is compared, a few times per lookup."""

    function = None
    times = 0

    def __init__(self, number):
        self.number = number

    def __hash__(self):
        return 7

    def __eq__(self, other):
        if Meddler.times:
            Meddler.times -= 1
            self.meddle(Meddler.function)
        return isinstance(other, Meddler) and self.number == other.number

    @staticmethod
    def meddle(function):
        function.cache_clear()
        for number in range(30):
            function.cache[function.cache_key(number)] = number
        function.cache_contains(Meddler(99))
        function.cache_invalidate(Meddler(98))


@pytest.mark.parametrize("times", [1, 2, 5])
def test_K4_comparisons_may_use_the_cache(run, either, times):
    @either()
    async def f(key):
        await asyncio.sleep(0)
        return key.number

    async def main():
        for _ in range(50):
            Meddler.times = 0
            assert [await f(Meddler(n)) for n in range(4)] == [0, 1, 2, 3]
            for n in range(4):
                Meddler.times = times
                assert await f(Meddler(n)) == n

    Meddler.function = f
    try:
        run(main())
    finally:
        Meddler.function, Meddler.times = None, 0


def test_K4_a_comparison_may_drop_the_last_key_of_an_instance(run):
    class Page(Word):
        def __eq__(self, other):
            Book.page.cache_clear()
            return super().__eq__(other)

        __hash__ = Word.__hash__

    class Book:
        @cached(maxsize=8)
        async def page(self, page):
            return page.text

    async def main():
        book = Book()
        for _ in range(100):
            assert await book.page(Page("a")) == "a"
            assert await book.page(Page("a")) == "a"

    run(main())
