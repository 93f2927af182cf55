"""What `import aiocachetools` imports, and what waits until it is asked for."""

import pickle

import pytest
from support import in_child

import aiocachetools

# The modules that a program has which has imported aiocachetools, and of the standard library those
# that asyncio has not, which since 3.14 does without typing: add to them what a decorated function
# that was never called has use for.
OWN = {
    "aiocachetools",
    "aiocachetools._core",
    "aiocachetools._decorators",
    "aiocachetools._freshness",
    "aiocachetools._own_cache",
    "aiocachetools._signature",
}
STANDARD = {"_datetime", "_typing", "datetime", "gc", "typing"}

DECORATED = """
import asyncio, sys
before = set(sys.modules)
from aiocachetools import LRUCache, cached
async def f(x): return x
cached(f), cached(maxsize=8, ttl=60)(f), cached(LRUCache(8))(f)
print(*set(sys.modules) - before)
"""

ALL_NAMES = """
import aiocachetools
listed = dir(aiocachetools)
print(*(name for name in [*aiocachetools.__all__, "RedisTier"] if name not in listed))
from aiocachetools import *
print(*(name for name in aiocachetools.__all__ if name not in globals()))
"""

ANNOTATIONS = """
import inspect, typing
from aiocachetools import {decorator}
hints = typing.get_type_hints({decorator})
print(hints["tier"], "and", hints["listener"])
parameters = inspect.signature({decorator}, eval_str=True).parameters
print(all(parameter.annotation == hints[name] for name, parameter in parameters.items()))
for overload in typing.get_overloads({decorator}):
    hints = typing.get_type_hints(overload)
    print(hints.get("tier"), "and", hints.get("listener"))
"""


def test_A6_the_import_brings_no_more_than_decorators_need():
    imported = set(in_child(DECORATED).split())
    assert {name for name in imported if name.startswith("aiocachetools")} == OWN
    assert imported - OWN <= STANDARD


def test_A6_every_public_name_is_listed_and_imported_by_a_star():
    assert in_child(ALL_NAMES).split() == []


@pytest.mark.parametrize("name", aiocachetools.__all__)
def test_A6_a_name_is_one_object_however_it_is_asked_for(name):
    value = getattr(aiocachetools, name)
    assert value is vars(aiocachetools)[name]
    assert pickle.loads(pickle.dumps(value)) is value


@pytest.mark.parametrize(
    ("decorator", "tier", "bare"),
    [("cached", "Tier", 1), ("cachedmethod", "Tier", 0), ("cached_many", "ManyTier", 2)],
)
def test_A6_annotations_can_be_read_though_what_they_name_was_not_imported(decorator, tier, bare):
    named = f"aiocachetools._tier.{tier} | None and collections.abc.Callable[[aiocachetools._event.CacheEvent], object] | None"
    with_options = [named] * (decorator != "cachedmethod")
    expected = [named, "True", *["None and None"] * bare, *with_options]
    assert in_child(ANNOTATIONS.format(decorator=decorator)).splitlines() == expected


def test_A6_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'aiocachetools' has no attribute 'LRUCash'"):
        _ = aiocachetools.LRUCash
