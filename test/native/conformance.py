"""What every native cache class has to do, whatever its policy: mixed into each class's tests."""

import collections.abc
import copy
import inspect
import math
import pickle
import sys
import threading
import types
import weakref

import pytest

from aiocachetools import Cache
from aiocachetools._core import _validate

LARGE = sys.getrecursionlimit() * 2


class CacheConformance:
    """Tests of `make(maxsize, **options)`, which a class's tests give to it."""

    kind: type[Cache]
    module = "aiocachetools"

    def make(self, maxsize, **options):
        return self.kind(maxsize, **options)

    def filled(self, maxsize, count, **options):
        cache = self.make(maxsize, **options)
        cache.update((key, key) for key in range(1, count + 1))
        return cache

    # Construction

    def test_an_empty_cache(self):
        cache = self.make(3)
        assert (len(cache), cache.currsize, cache.maxsize, list(cache)) == (0, 0, 3, [])
        assert not cache
        assert cache.getsizeof("any") == 1
        assert repr(cache) == f"{type(cache).__name__}({{}}, maxsize=3, currsize=0)"

    @pytest.mark.parametrize("maxsize", [-1, -0.5, -math.inf, math.nan])
    def test_a_size_below_zero_is_an_error(self, maxsize):
        with pytest.raises(ValueError, match="maxsize must be non-negative"):
            self.make(maxsize)

    def test_a_size_that_is_no_number_is_an_error(self):
        with pytest.raises(TypeError):
            self.make(None)

    @pytest.mark.parametrize("maxsize", [0, 0.5])
    def test_no_room_at_all(self, maxsize):
        cache = self.make(maxsize)
        with pytest.raises(ValueError, match="value too large"):
            cache[1] = 1
        assert len(cache) == 0
        assert cache.setdefault is not None
        with pytest.raises(ValueError, match="value too large"):
            cache.setdefault(1, 1)

    def test_room_for_everything(self):
        cache = self.filled(math.inf, 500)
        assert (len(cache), cache.currsize, cache.maxsize) == (500, 500, math.inf)

    def test_a_fraction_of_an_entry_is_none(self):
        assert len(self.filled(2.75, 5)) == 2

    def test_it_is_generic(self):
        alias = self.kind[str, int]
        assert isinstance(alias, types.GenericAlias)
        assert alias.__origin__ is self.kind

    def test_it_is_a_mutable_mapping(self):
        cache = self.make(3)
        assert isinstance(cache, collections.abc.MutableMapping)
        assert issubclass(self.kind, collections.abc.MutableMapping)
        match cache:
            case {}:
                pass
            case _:
                pytest.fail("a cache matches a mapping pattern")

    # Mapping

    def test_store_read_replace(self):
        cache = self.make(3)
        cache["a"] = 1
        cache["b"] = 2
        assert (cache["a"], cache["b"], len(cache)) == (1, 2, 2)
        cache["a"] = 3
        assert (cache["a"], cache["b"], len(cache)) == (3, 2, 2)

    def test_values_may_be_anything(self):
        cache = self.make(5)
        cache.update({1: None, 2: False, 3: NotImplemented, 4: cache})
        assert cache[1] is None
        assert cache.get(1, "default") is None
        assert cache[3] is NotImplemented
        assert cache[4] is cache

    def test_keys_are_those_of_a_dictionary(self):
        cache = self.make(10)
        cache[1] = "int"
        cache[1.0] = "float"
        cache[True] = "bool"
        assert list(cache) == [1]
        assert type(next(iter(cache))) is int
        nan = float("nan")
        cache[nan] = "nan"
        assert cache[nan] == "nan"
        assert float("nan") not in cache
        for unhashable in ([], {}, {1}, ([],)):
            with pytest.raises(TypeError, match="unhashable"):
                cache[unhashable] = 1
            with pytest.raises(TypeError, match="unhashable"):
                cache.get(unhashable)

    def test_keys_of_many_types_find_each_other(self):
        keys = [0, -1, -2, 2**31, 2**63, -(2**70), "", "a", "é", "\u4e00", "\U0001f600", b"a", (), (1,), (1, "a"),
                ((1, 2), 3), None, ..., 1.5, frozenset([1]), int, object()]  # fmt: skip
        cache = self.make(len(keys))
        cache.update((key, str(key)) for key in keys)
        assert len(cache) == len(keys)
        assert [cache[key] for key in keys] == [str(key) for key in keys]
        again = [int(str(key)) if type(key) is int else key for key in keys]
        assert [cache.get(key) for key in again] == [str(key) for key in keys]

    def test_absent_keys(self):
        cache = self.filled(3, 1)
        for operation in (cache.__getitem__, cache.__delitem__, cache.pop):
            for key in ("absent", (1, 2), None):
                with pytest.raises(KeyError) as raised:
                    operation(key)
                assert raised.value.args == (key,)
        assert cache.get("absent") is None
        assert cache.get("absent", 5) == 5
        assert cache.get(key="absent", default=6) == 6
        assert cache.pop("absent", None) is None
        assert cache.pop("absent", default=7) == 7
        assert "absent" not in cache

    def test_the_arguments_of_get(self):
        cache = self.make(2)
        cache[1] = "one"
        assert [cache.get(1), cache.get(1, 2), cache.get(1, default=2), cache.get(key=1)] == ["one"] * 4
        assert [type(cache).get(cache, 2, default=3), cache.get(default=4, key=2)] == [3, 4]
        assert str(inspect.signature(self.kind.get)) == "(self, /, key, default=None)"
        for wrong in [lambda: cache.get(), lambda: cache.get(1, 2, 3), lambda: cache.get(1, other=2)]:
            with pytest.raises(TypeError, match="get"):
                wrong()
        with pytest.raises(TypeError):
            self.kind.get({1: "one"}, 1)

    def test_delete_and_pop(self):
        cache = self.filled(3, 3)
        del cache[1]
        assert 1 not in cache
        assert cache.pop(2) == 2
        assert cache.pop(2, "gone") == "gone"
        assert list(cache) == [3]
        assert cache.currsize == 1

    def test_popitem_until_it_is_empty(self):
        cache = self.filled(4, 4)
        assert sorted(cache.popitem() for _ in range(4)) == [(key, key) for key in range(1, 5)]
        with pytest.raises(KeyError) as raised:
            cache.popitem()
        assert raised.value.__cause__ is None
        assert raised.value.__suppress_context__

    def test_setdefault(self):
        cache = self.filled(3, 1)
        assert cache.setdefault(1, "other") == 1
        assert cache.setdefault(2, "new") == "new"
        assert cache.setdefault(3) is None
        assert dict(cache) == {1: 1, 2: "new", 3: None}

    def test_update(self):
        class Keyed:
            def keys(self):
                return ["k"]

            def __getitem__(self, key):
                return 9

        cache = self.make(10)
        cache.update()
        cache.update({1: 1}, a=2)
        cache.update([(2, 2), [3, 3]], b=3)
        cache.update(Keyed())
        cache.update(other=4)
        assert dict(cache) == {1: 1, "a": 2, 2: 2, 3: 3, "b": 3, "k": 9, "other": 4}
        for wrong in ([(1,)], [(1, 2, 3)]):
            with pytest.raises(ValueError, match="values to unpack"):
                cache.update(wrong)
        with pytest.raises(TypeError):
            cache.update(5)
        with pytest.raises(TypeError):
            cache.update({}, {})

    def test_clear(self):
        cache = self.filled(3, 3)
        cache.clear()
        cache.clear()
        assert (len(cache), cache.currsize, list(cache)) == (0, 0, [])
        cache.update((key, key) for key in range(5, 9))
        assert len(cache) == 3
        assert 8 in cache

    def test_views(self):
        cache = self.filled(3, 3)
        keys, values, items = cache.keys(), cache.values(), cache.items()
        assert isinstance(keys, collections.abc.KeysView)
        assert isinstance(values, collections.abc.ValuesView)
        assert isinstance(items, collections.abc.ItemsView)
        del cache[1]
        assert (list(keys), list(values), list(items)) == ([2, 3], [2, 3], [(2, 2), (3, 3)])
        assert keys & {2, 9} == {2}
        assert (3, 3) in items
        assert 3 in values

    def test_equality(self):
        cache = self.filled(3, 2)
        assert cache == {1: 1, 2: 2}
        assert cache == self.filled(9, 2)
        assert cache != {1: 1}
        assert cache != [1, 2]
        with pytest.raises(TypeError, match="unhashable"):
            hash(cache)

    def test_representation(self):
        cache = self.make(3)
        cache["a"] = cache
        name = type(cache).__name__
        inner = f"{name}({{...}}, maxsize=3, currsize=1)"
        assert repr(cache) == f"{name}({{'a': {inner}}}, maxsize=3, currsize=1)"

    # Sizes

    def test_eviction_keeps_within_the_size(self):
        cache = self.make(10)
        for key in range(100):
            cache[key] = key
            assert cache[key] == key
            assert len(cache) == cache.currsize == min(key + 1, 10)
            _validate(cache)

    def test_sizes_by_function(self):
        cache = self.make(10, getsizeof=len)
        cache["a"] = "123"
        cache["b"] = "1234"
        assert cache.currsize == 7
        cache["b"] = "1234567"
        assert (cache.currsize, len(cache)) == (10, 2)
        cache["b"] = "12345678"
        assert dict(cache) == {"b": "12345678"}
        with pytest.raises(ValueError, match="value too large"):
            cache["c"] = "12345678901"
        with pytest.raises(ValueError, match="value too large"):
            cache["b"] = "12345678901"
        assert dict(cache) == {"b": "12345678"}
        cache["zero"] = ""
        assert (cache.currsize, len(cache)) == (8, 2)

    def test_sizes_that_are_no_integers(self):
        cache = self.make(2.5, getsizeof=lambda value: value)
        cache["a"] = 0.25
        cache["b"] = 1
        assert cache.currsize == 1.25
        cache["c"] = 2
        assert cache.currsize <= 2.5
        cache.clear()
        assert repr(cache.currsize) == "0"

    @pytest.mark.parametrize("size", [-1, -0.5, math.nan])
    def test_a_negative_size_is_an_error(self, size):
        cache = self.make(3, getsizeof=lambda value: size)
        with pytest.raises(ValueError, match="value size must be non-negative"):
            cache[1] = 1
        assert len(cache) == 0

    def test_a_size_that_raises_leaves_the_cache_as_it_was(self):
        cache = self.make(2, getsizeof=lambda value: 1 if value else 1 / 0)
        cache.update({1: 1, 2: 2})
        for key in (1, 3):
            with pytest.raises(ZeroDivisionError):
                cache[key] = 0
        assert dict(cache) == {1: 1, 2: 2}
        assert cache.currsize == 2

    # Copies

    @pytest.mark.parametrize("count", [0, 1, LARGE])
    @pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, "pickle"])
    def test_copies(self, way, count):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1) if way == "pickle" else [None]:
            source = self.filled(count, count)
            twin = way(source) if callable(way) else pickle.loads(pickle.dumps(source, protocol))
            assert twin is not source
            assert type(twin) is type(source)
            assert twin == source
            assert list(twin) == list(source)
            assert (twin.maxsize, twin.currsize) == (source.maxsize, source.currsize)
            twin.clear()
            assert len(source) == count

    def test_a_shallow_copy_shares_values_and_attributes(self):
        source = self.filled(3, 1)
        source.extra = threading.Lock()
        source["value"] = []
        twin = copy.copy(source)
        assert twin.extra is source.extra
        assert twin["value"] is source["value"]
        twin.other = 1
        assert not hasattr(source, "other")

    def test_a_deep_copy_shares_nothing(self):
        source = self.make(3)
        source.extra = []
        source["value"] = source.extra
        source["self"] = source
        twin = copy.deepcopy(source)
        assert twin["value"] is twin.extra
        assert twin.extra is not source.extra
        assert twin["self"] is twin

    def test_a_pickle_of_a_cache_within_itself(self):
        source = self.make(3)
        source["self"] = source
        twin = pickle.loads(pickle.dumps(source))
        assert twin["self"] is twin

    def test_sizes_are_copied(self):
        source = self.make(10, getsizeof=len)
        source.update({1: "1", 2: "22", 3: "333"})
        for twin in (copy.copy(source), copy.deepcopy(source), pickle.loads(pickle.dumps(source))):
            assert twin.currsize == 6
            assert twin.getsizeof is len
            del twin[2]
            assert twin.currsize == 4
            twin[4] = "4444"
            assert twin.currsize == 8
        assert source.currsize == 6

    def test_copies_evict_in_the_order_of_their_source(self):
        source = self.filled(5, 5)
        for key in (2, 4, 2):
            source[key]
        source[1] = "new"
        twins = copy.copy(source), copy.deepcopy(source), pickle.loads(pickle.dumps(source))
        order = [source.popitem() for _ in range(5)]
        for twin in twins:
            assert [twin.popitem() for _ in range(5)] == order

    # Objects

    def test_it_has_attributes_and_weak_references(self):
        cache = self.make(3)
        cache.name = "n"
        assert vars(cache) == {"name": "n"}
        reference = weakref.ref(cache)
        del cache
        assert reference() is None

    def test_its_class_is_where_it_says(self):
        assert self.kind.__module__ == self.module
        assert self.kind.__doc__
        assert pickle.loads(pickle.dumps(self.kind)) is self.kind
