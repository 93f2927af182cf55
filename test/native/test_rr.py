import copy
import pickle
import random

import pytest
from conformance import CacheConformance

from aiocachetools import RRCache


def smallest(keys):
    return min(keys)


class TestRRCache(CacheConformance):
    kind = RRCache

    def test_copies_evict_in_the_order_of_their_source(self):
        source = RRCache(5, choice=smallest)
        source.update((key, key) for key in (3, 1, 5, 2, 4))
        for twin in (copy.copy(source), copy.deepcopy(source), pickle.loads(pickle.dumps(source))):
            assert twin.choice is smallest
            assert [twin.popitem()[0] for _ in range(5)] == [1, 2, 3, 4, 5]

    def test_the_default_choice_is_that_of_random(self):
        assert self.make(1).choice == random.choice
        assert pickle.loads(pickle.dumps(self.make(1))).choice == random.choice
        random.seed(5)
        chosen = random.choice(["a", "b", "c", "d"])
        cache = self.make(4)
        cache.update(dict.fromkeys("abcd"))
        random.seed(5)
        assert cache.popitem() == (chosen, None)

    def test_every_entry_may_be_chosen(self):
        victims = set()
        for _ in range(200):
            cache = self.filled(4, 4)
            victims.add(cache.popitem()[0])
        assert victims == {1, 2, 3, 4}

    def test_a_choice_gets_the_keys(self):
        seen = []
        cache = RRCache(3, choice=lambda keys: seen.append(list(keys)) or keys[0])
        cache.update({1: 1, 2: 2, 3: 3, 4: 4, 5: 5})
        assert seen == [[1, 2, 3], [3, 2, 4]]

    def test_a_choice_that_fails_leaves_the_cache_as_it_was(self):
        cache = RRCache(2, choice=lambda keys: 1 / 0)
        cache.update({1: 1, 2: 2})
        with pytest.raises(ZeroDivisionError):
            cache[3] = 3
        assert dict(cache) == {1: 1, 2: 2}

    def test_a_choice_of_what_is_not_there_is_an_error(self):
        cache = RRCache(2, choice=lambda keys: "absent")
        cache.update({1: 1, 2: 2})
        with pytest.raises(KeyError) as raised:
            cache.popitem()
        assert raised.value.args == ("absent",)
        assert len(cache) == 2
