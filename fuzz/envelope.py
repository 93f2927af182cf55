"""Strings that another may have put under a key, made of real ones by a few changes: `make fuzz TARGET=envelope`.

1. Reading one never raises: it is a value, a marker or a miss.
2. A value is one that the function could have returned, of exactly the annotated type.
3. Nothing is executed, and no more is unpacked than the tier allows.
"""

import argparse
import pickle
import random
import time
from dataclasses import dataclass
from typing import Any

from aiocachetools import cached
from aiocachetools.redis import RedisTier, SignedPickle
from aiocachetools.redis._envelope import Marker, pack_tags, unpack

MAX_BYTES = 1 << 14
NONCE = bytes(8)
TAGS = (b"1", b"9223372036854775807")
SIZES = (0, 1, MAX_BYTES, MAX_BYTES + 1, 2**31, 2**32 - 1)


@dataclass
class Point:
    x: int
    y: int | None
    names: list[str]


class Bomb:
    """Tells that it was unpickled."""

    exploded = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return _explode, ()


def _explode() -> None:
    Bomb.exploded += 1


VALUES: list[list[Point]] = [
    [],
    [Point(1, None, [])],
    [Point(-1, 2**40, ["a", "ä" * 20])] * 3,
    [Point(i, i, [str(i)] * 5) for i in range(300)],
]


class Target:
    """One function's format, and strings that it has made."""

    def __init__(self, codec: Any, compression: Any, tags: int) -> None:
        tier = RedisTier("redis://localhost", codec=codec, compression=compression, max_bytes=MAX_BYTES)

        @cached(tier=tier.using(name="f", tags=["a", "b"][:tags], stale=60))
        async def f(x: int) -> list[Point]:
            return []

        self.form: Any = f.cache_tier.loader.__self__.form  # type: ignore[attr-defined]
        self.key: bytes = self.form.key((1,), (1,), {})
        self.versions = TAGS[:tags]
        self.made = [self.form.pack(value, self.key, NONCE, self.versions) for value in VALUES]
        for value, data in zip(VALUES, self.made, strict=True):
            found = self.read(data)
            assert found.uncacheable or found.value == value

    def read(self, data: bytes) -> Any:
        return self.form.read([data, 600_000, *self.versions], self.key, time.monotonic())

    def check(self, data: bytes) -> None:
        """Whatever the string is, the rules hold."""
        found = self.read(data)
        if found.usable:
            assert type(found.value) is list
            # It can be stored again, which is refused to what would not come back as it is.
            assert self.form.pack(found.value, self.key, NONCE, self.versions) is not None
        try:
            entry = unpack(data, MAX_BYTES)
        except ValueError:
            assert not found.usable
        else:
            if isinstance(entry, Marker):
                assert not found.usable
                return
            assert len(entry.payload) <= MAX_BYTES
            if found.usable:
                assert entry.tags == pack_tags(self.versions)
        assert not Bomb.exploded


def change(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """One change of a string."""
    at, end = rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)
    match rng.randrange(8):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        case 2:
            return data[:at] + rng.randbytes(rng.randrange(9)) + data[at:]
        case 3:
            return data[:at] + data[end:]
        case 4:  # the length that the payload claims
            return data[:26] + rng.choice(SIZES).to_bytes(4, "big") + data[30:]
        case 5:  # a field of the header
            field = rng.randrange(6)
            return data[:field] + bytes([rng.randrange(6)]) + data[field + 1 :]
        case 6:
            return data[:at] + rng.choice(others)[end:]
        case _:
            return data[:30] + pickle.dumps(Bomb())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    rng = random.Random(options.seed)
    codecs = ("msgpack", "json", "pydantic", SignedPickle(b"s" * 16))
    targets = [
        Target(codec, method, tags) for codec in codecs for method in (None, "lz4", "zstd") for tags in (0, 2)
    ]
    others = [data for target in targets for data in target.made]
    print(f"{len(targets)} formats, seed {options.seed}", flush=True)
    executions, ends_at = 0, time.monotonic() + options.seconds
    while time.monotonic() < ends_at:
        target = rng.choice(targets)
        data = rng.choice(target.made)
        for _ in range(rng.randint(1, 4)):
            data = change(rng, data, others)
            try:
                target.check(data)
            except BaseException:
                print(f"after {executions} executions, codec and string:", target.form._options.codec, data)
                raise
            executions += 1
    print(f"{executions} executions without a finding", flush=True)


if __name__ == "__main__":
    main()
