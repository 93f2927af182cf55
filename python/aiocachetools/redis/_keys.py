"""Keys in Redis: which function, and which of its calls."""

import hashlib
import inspect
import re
import sys
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from ._encoding import NotEncodableError, encode, encode_all

__all__ = (
    "FunctionKeys",
    "check_name",
    "identity_of",
    "is_function",
    "is_lease",
    "key_of",
    "lease_of",
    "tag_key",
)

# Bits of a digest: two different keys must not meet by accident, nor be made to.
_DIGEST_BYTES = 20
_GLOB = re.compile(rb"[][*?\\^-]")
_NAME = re.compile(r"[^\s{}\x00-\x1f\x7f]+")


def lease_of(key: bytes) -> bytes:
    """Where the lease of who loads a key is: in the same slot of a cluster."""
    return key + b"!"


def is_lease(key: bytes) -> bool:
    """Whether it is the key of a lease."""
    return key.endswith(b"}!")


def is_function(key: bytes) -> bool:
    """Whether it is what all keys of a function begin with."""
    return key.endswith(b"{")


def key_of(lease: bytes) -> bytes:
    """The key that a lease is for."""
    return lease[:-1]


class FunctionKeys:
    """The keys of one function's calls.

    Args:
        prefix: What all keys of the tier begin with.
        name: The function's name in every process.
        version: Told apart like the name.
        parameters: The function's parameters where keys are made of its arguments as they are bound;
            empty where a ``key`` function makes them.  A key leaves out arguments that are the
            default, so other defaults are other keys.
    """

    def __init__(
        self,
        prefix: str,
        name: str,
        version: int | str,
        parameters: Iterable[inspect.Parameter],
    ) -> None:
        self.name = name
        self.beginning = f"{prefix}:{name}:{{".encode()
        self.pattern = _GLOB.sub(rb"\\\g<0>", self.beginning) + b"*"
        signature = [(p.name, p.kind.name, _encoded_default(p)) for p in parameters]
        seed = encode_all(("aiocachetools", 1, name, version, tuple(signature)))
        self._digest = hashlib.blake2b(seed, digest_size=_DIGEST_BYTES)

    def of(self, key: Any) -> bytes:
        """Where the value of a call is, by its key in memory (without a mark of the function).

        Raises:
            NotEncodableError: For a key that means nothing to another process.
        """
        digest = self._digest.copy()
        digest.update(encode(key))
        return b"%b%b}" % (self.beginning, digest.hexdigest().encode())


def _encoded_default(parameter: inspect.Parameter) -> bytes:
    if parameter.default is inspect.Parameter.empty:
        return b""
    try:
        return encode(parameter.default)
    except NotEncodableError:
        return b"?" + type(parameter.default).__qualname__.encode()


def tag_key(prefix: str, tag: str) -> bytes:
    """Where the version of a tag is."""
    return f"{prefix}#{tag}".encode("utf-8", "surrogatepass")


def check_name(option: str, name: str) -> None:
    """Raise ValueError for a name that keys cannot hold."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"RedisTier: {option} must be without spaces and braces, not {name!r}")


def identity_of(function: Any) -> str:
    """The name of a function in every process that runs it.

    Raises:
        TypeError: For a function made inside another one, whose name does not tell it from its like.
    """
    qualname = function.__qualname__
    if "<locals>" in qualname:
        raise TypeError(
            f"RedisTier: {qualname}() is made inside a function, so that its name does not tell it from others "
            f"made there; give it a name of its own: tier=tier.using(name=...)"
        )
    return f"{_module_of(function)}.{qualname}"


def _module_of(function: Any) -> str:
    module: str = function.__module__
    if module not in ("__main__", "__mp_main__"):
        return module
    # A script is __main__ in one process, and may be imported by its name in another.
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name).removesuffix(".__main__")
    file = getattr(main, "__file__", None)
    return "__main__" if file is None else PurePath(file).stem
