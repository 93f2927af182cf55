"""A resolver that only reads an attribute is not called; nobody can tell, but by the time it takes."""

import functools
import operator

import pytest

import aiocachetools
from aiocachetools import cachedmethod
from aiocachetools._resolver import attribute_read


def with_default(self, other=None):
    return self.cache


def doing_more(self):
    len(self.cache)
    return self.cache


def reader(self):
    return self.cache


def test_what_only_reads_an_attribute():
    assert attribute_read(lambda self: self.cache) == "cache"
    assert attribute_read(lambda cls: cls._cache) == "_cache"
    assert attribute_read(reader) == "cache"


@pytest.mark.parametrize(
    "resolver",
    [
        lambda self: self.caches.users,
        lambda self: self.cache(),
        lambda self: self,
        lambda self: len,
        lambda *self: self.cache,
        lambda self, *, other=None: self.cache,
        with_default,
        doing_more,
        functools.partial(reader),
        operator.attrgetter("cache"),
        len,
    ],
)
def test_what_does_anything_else(resolver):
    assert attribute_read(resolver) is None


def service(resolver):
    class Service:
        def __init__(self):
            self.cache = aiocachetools.LRUCache(10)
            self.other = {}

        @cachedmethod(resolver)
        async def load(self, x):
            return x

    return Service()


def test_K5_the_attribute_may_be_given_another_value(arun):
    user = service(lambda self: self.cache)
    assert arun(user.load(1)) == 1
    user.cache = {}
    assert arun(user.load(1)) == 1
    assert len(user.cache) == 1
    user.cache = None
    assert arun(user.load(1)) == 1


def test_a_property_is_asked(arun):
    user = service(lambda self: self.chosen)
    asked = []
    type(user).chosen = property(lambda self: asked.append(self) or self.other)
    assert arun(user.load(1)) == 1
    assert len(user.other) == 1
    assert asked


def test_a_missing_attribute_is_an_error_of_the_call(arun):
    user = service(lambda self: self.missing)
    with pytest.raises(AttributeError, match="missing"):
        user.load(1)


def test_new_code_of_the_resolver_is_heeded(arun):
    def resolver(self):
        return self.cache

    user = service(resolver)
    arun(user.load(1))
    resolver.__code__ = (lambda self: self.other).__code__
    arun(user.load(1))
    assert len(user.cache) == len(user.other) == 1
