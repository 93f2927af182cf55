"""The native module: what the package's own modules and the documentation tell of it."""

from asyncio import AbstractEventLoop, Future, Task
from collections.abc import (
    AsyncIterable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from contextvars import Context
from datetime import timedelta
from inspect import Parameter, Signature
from types import GenericAlias
from typing import Any, Concatenate, Generic, Literal, ParamSpec, Protocol, Self, TypeVar, final, overload

from typing_extensions import disjoint_base

from ._event import Listener
from ._freshness import Freshness
from ._info import CacheInfo, CacheStats, Stats
from ._removal import RemovalCause
from ._warm import OnError, OnProgress, WarmUp

_P = ParamSpec("_P")
_Q = ParamSpec("_Q")
_R = TypeVar("_R")
_R_co = TypeVar("_R_co", covariant=True)

class RecursiveLoadError(RecursionError):
    """A cached call would wait for itself.

    Raised at once instead of waiting for ever, when the load of a key awaits, directly or through
    other cached functions, a call of the same key.
    """

class LoadTimeout(TimeoutError):  # noqa: N818 - a timeout, as in TimeoutError
    """A load took longer than its function's ``timeout``, and was cancelled."""

def limit_load(cache: MutableMapping[Any, Any], key: object, seconds: float) -> bool:
    """Let what the loads under way of a cache's key come to be kept no longer than this; whether it could be said."""

class _RedisOwner(Protocol):
    def ready(self, connection: RedisConnection, tracking: bool, subscribed: bool, /) -> object: ...
    def changed(self, keys: list[bytes] | None, /) -> object: ...
    def published(self, message: bytes, /) -> object: ...
    def lost(self, connection: RedisConnection, error: Exception, /) -> object: ...

class _FetchReader(Protocol):
    """Says what an answer means for the load that a `Fetch` has begun."""

    def keep(self, seconds: float, /) -> Coroutine[Any, Any, Any] | None:
        """A value that is good for so many seconds was read: it is the load's, unless that goes on with a coroutine."""
    def answer(self, reply: list[Any], /) -> tuple[Any] | Coroutine[Any, Any, Any]:
        """Any other answer: the load's value, in a tuple, or what it goes on with."""
    def fail(self, error: Exception, /) -> Coroutine[Any, Any, Any]:
        """There is no answer but an error: what the load goes on with."""
    def leave(self) -> object:
        """The load has ended, whatever is answered."""

class _Place(Protocol):
    """A place of a near cache: where the server has its value, and the loads under way."""

    tier_key: bytes
    tags: Sequence[bytes]
    loads: int
    latest: Any

    def evict(self) -> None: ...

class _TierOwner(Protocol):
    """Does in Python what a `TierLoader` cannot do without."""

    def load(self, *args: Any, **kwargs: Any) -> Fetch | Coroutine[Any, Any, Any]: ...
    def reading(self, fetch: Fetch, args: tuple[Any, ...], kwargs: dict[str, Any], /) -> _FetchReader: ...

@final
class Port:
    """The way to a server on one loop.

    Args:
        event_loop: The loop.
        visits: The loads under way.
    """

    connection: RedisConnection | None
    """Where nothing is in the way of asking it."""

    def __new__(cls, event_loop: AbstractEventLoop, visits: set[Any]) -> Self: ...

@final
class TierLoader:
    """What is called in place of a function with a tier: asks the server without running Python where it can.

    Args:
        owner: Does everything else.
        l1_ttl: Seconds that memory keeps a value at the most.
    """

    def __new__(cls, owner: _TierOwner, l1_ttl: float) -> Self: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Fetch | Coroutine[Any, Any, Any]: ...
    def ask(
        self,
        port: Port,
        place: _Place,
        plain: PlainFormat | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Fetch | None:
        """A load that begins with the read of a place's key, milliseconds to live and the versions of its tags.

        None where the server does not answer.
        """
    @property
    def __self__(self) -> Any: ...
    @property
    def hits(self) -> int:
        """How many values were read and kept without its owner."""
    def open(self, port: Port, places: dict[Any, Any], plain: PlainFormat | None) -> None:
        """From now on keys that have a place are asked for at a port."""

@final
class PlainFormat:
    """How a function's results are stored where they are neither compressed nor tagged.

    Args:
        beginning: What all such results begin with.
        decode: Makes a value of a payload.
        max_bytes: Of a longer payload.
        longest: Seconds to live where the server says none, or more.
    """

    def __new__(
        cls, beginning: bytes, decode: Callable[[bytes], Any], max_bytes: int, longest: float
    ) -> Self: ...
    def read(self, data: bytes) -> tuple[int, Any] | None:
        """The ``stale_ms`` of an entry and its value; None for what is not plain, or cannot be decoded."""

@final
class Fetch:
    """A load that has asked a server, and has a task only where that is not enough: what a loader returns for one."""

    def done(self) -> bool: ...
    def get_loop(self) -> AbstractEventLoop: ...
    def add_done_callback(self, callback: Callable[[Any], object]) -> None: ...
    def cancel(self, msg: object = None) -> bool: ...
    fenced: bool
    @property
    def place(self) -> Any:
        """The place that it is a visit of; None from when a reader is in its place."""
    @property
    def age(self) -> float:
        """Seconds since the server was asked."""
    @property
    def watches(self) -> bool: ...
    @property
    def heard(self) -> bool: ...
    @property
    def leads(self) -> None: ...
    def hear(self) -> None: ...

@disjoint_base
class RedisConnection:
    """One connection to a server, from the transport's beginning to its end: what a buffered protocol of the loop's does.

    Args:
        owner: Is told what happens, in the order in which the server sent it.
        reply_error: Makes an exception of the text of an answer that is an error.
        deadline: Seconds that an answer may take.
        channel: Subscribed to where the server does not track what is read.
        longest: Of a longer string the beginning is read; any other reply that is longer ends the connection.
    """

    def __new__(
        cls,
        owner: _RedisOwner,
        reply_error: Callable[[str], Exception],
        *,
        username: bytes | None,
        password: bytes | None,
        database: int,
        channel: bytes,
        deadline: float,
        longest: int,
    ) -> Self: ...
    def execute(self, *command: bytes | str | int) -> Future[Any]:
        """The reply to one command."""
    def execute_many(self, commands: Iterable[Sequence[bytes | str | int]]) -> Future[list[Any]]:
        """The replies to several commands; the first error among them is raised."""
    def abort(self) -> None:
        """End it, without waiting for anything."""
    def connection_made(self, transport: Any) -> None: ...
    def get_buffer(self, sizehint: int) -> bytearray: ...
    def buffer_updated(self, nbytes: int) -> None: ...
    def eof_received(self) -> bool: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...
    def connection_lost(self, exc: Exception | None) -> None: ...
    def _flush(self) -> None: ...
    def _look(self) -> None: ...

class _Controls(Generic[_P, _R_co]):
    """What can be asked of a decorated function's cache."""

    @property
    def cache(self) -> Any:
        """The cache; of a `cachedmethod` that is not bound, the function that resolves it."""
    @property
    def cache_lock(self) -> Any:
        """The lock that is held around each access to the cache."""
    @property
    def cache_condition(self) -> Any: ...
    def cache_key(self, *args: _P.args, **kwargs: _P.kwargs) -> Any:
        """The key of a call with these arguments."""
    def cache_contains(self, *args: _P.args, **kwargs: _P.kwargs) -> bool:
        """Whether a call with these arguments would be a hit; touches nothing."""
    def cache_invalidate(self, *args: _P.args, **kwargs: _P.kwargs) -> bool:
        """Remove the value of a call with these arguments; whether there was one.

        A load of it that is under way serves its waiters and is not stored.
        """
    def cache_refresh(self, *args: _P.args, **kwargs: _P.kwargs) -> Coroutine[Any, Any, _R_co]:
        """Load the value of a call with these arguments anew, whatever there is.

        Joins a load that is under way.  Other calls are served what there is until it is over.

        Raises:
            TypeError: For a function with a tier behind its cache.
        """
    def cache_set(self, value: Any, /, *args: _P.args, **kwargs: _P.kwargs) -> bool:
        """Store a value for a call with these arguments, as if it had been loaded; whether it was stored.

        A load of it that is under way serves its waiters and is not stored.

        Raises:
            TypeError: For a function with a tier behind its cache.
        """
    def cache_warm(
        self,
        calls: Iterable[Any] | AsyncIterable[Any],
        /,
        *,
        concurrency: int = 10,
        on_progress: OnProgress | None = None,
        on_error: OnError | None = None,
    ) -> Coroutine[Any, Any, WarmUp]:
        """Load the values of many calls that are not in the cache, before anybody asks for them.

        Args:
            calls: What to load, in order: for each call a tuple of its arguments, a dict of them by
                name, or its only argument.
            concurrency: How many loads may be under way at a time.
            on_progress: Called with a `WarmUp` whenever calls are over.
            on_error: Called with a call that failed and its exception, in place of raising it.

        Returns:
            How many were loaded, were in the cache already, and failed.

        Raises:
            ExceptionGroup: When all is done, of what the loads raised.
        """
    def cache_clear(self, *args: Any) -> None:
        """Empty the cache, keep the loads under way from being stored, reset the counters.

        An unbound `cachedmethod` takes the instance.
        """
    def cache_info(self, *args: Any) -> CacheInfo:
        """Hits, misses, maxsize and currsize.  An unbound `cachedmethod` takes the instance."""
    def cache_stats(self, *args: Any) -> CacheStats:
        """The same, and more of the loads and of what left the cache."""
    def cache_parameters(self) -> dict[str, Any]:
        """The options that the function was decorated with."""
    def cache_close(self, wait: bool = False) -> Coroutine[Any, Any, None]:
        """Take no calls from now on; cancel the loads that are under way, or wait for them."""

@final
class CachedFunction(_Controls[_P, _R_co]):
    """A decorated coroutine function."""

    __name__: str
    __qualname__: str
    __module__: str
    __wrapped__: Callable[_P, Coroutine[Any, Any, _R_co]]
    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> Coroutine[Any, Any, _R_co]: ...
    @overload
    def __get__(self, instance: None, owner: type | None = None, /) -> Self: ...
    @overload
    def __get__(
        self: CachedFunction[Concatenate[Any, _Q], _R], instance: object, owner: type | None = None, /
    ) -> BoundFunction[_Q, _R]: ...
    def __set_name__(self, owner: type, name: str, /) -> None: ...
    def __reduce__(self) -> str: ...
    @classmethod
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

CachedClassMethod = CachedFunction

@disjoint_base
class BoundFunction(_Controls[_P, _R_co]):
    """A decorated function bound to an instance or a class."""

    @property
    def __func__(self) -> CachedFunction[..., _R_co]: ...
    @property
    def __self__(self) -> object: ...
    @property
    def __wrapped__(self) -> Callable[..., Coroutine[Any, Any, _R_co]]: ...
    @property
    def __signature__(self) -> Signature: ...
    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> Coroutine[Any, Any, _R_co]: ...

_K = TypeVar("_K")
_V = TypeVar("_V")
_T = TypeVar("_T")
_L = TypeVar("_L")
_W = TypeVar("_W")
_V_co = TypeVar("_V_co", covariant=True)
_One = ParamSpec("_One")
_Rest = ParamSpec("_Rest")

class _ManyControls(Generic[_P, _One, _V_co]):
    """What can be asked of a decorated function of several keys besides."""

    def one(self, *args: _One.args, **kwargs: _One.kwargs) -> Coroutine[Any, Any, _V_co]:
        """The value of one key; such calls of one round of the loop are loaded together."""
    def cache_invalidate_many(self, *args: _P.args, **kwargs: _P.kwargs) -> int:
        """Remove the values of several keys; how many there were.

        Loads of them that are under way serve their waiters and are not stored.
        """

@final
class CachedManyFunction(
    _Controls[_One, dict[_K, _V]], _ManyControls[_P, _One, _V], Generic[_P, _One, _K, _V]
):
    """A decorated coroutine function of several keys.

    Of its four parameters the first two are those of a call and those of the methods that take one
    key in the place of all.
    """

    __name__: str
    __qualname__: str
    __module__: str
    __wrapped__: Callable[..., Coroutine[Any, Any, Mapping[_K, _V]]]
    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> Coroutine[Any, Any, dict[_K, _V]]: ...
    def cache_warm(
        self,
        keys: Iterable[Any] | AsyncIterable[Any],
        /,
        *args: Any,
        concurrency: int = 10,
        on_progress: OnProgress | None = None,
        on_error: OnError | None = None,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, WarmUp]:
        """Load the values of many keys that are not in the cache, before anybody asks for them.

        The function is called with `max_batch` keys at a time, or 100, and the further arguments.
        The counts are those of keys.

        Args:
            keys: What to load, in order.
            concurrency: How many runs of the function may be under way at a time.
            on_progress: Called with a `WarmUp` whenever keys are over.
            on_error: Called with the keys that failed together and their exception.

        Returns:
            How many were loaded, were in the cache already, and failed.

        Raises:
            ExceptionGroup: When all is done, of what the loads raised.
        """
    @overload
    def __get__(self, instance: None, owner: type | None = None, /) -> Self: ...
    @overload
    def __get__(
        self: CachedManyFunction[Concatenate[Any, _Q], Concatenate[Any, _Rest], _L, _W],
        instance: object,
        owner: type | None = None,
        /,
    ) -> BoundManyFunction[_Q, _Rest, _L, _W]: ...
    def __set_name__(self, owner: type, name: str, /) -> None: ...
    def __reduce__(self) -> str: ...
    @classmethod
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

CachedManyClassMethod = CachedManyFunction

@final
class BoundManyFunction(
    BoundFunction[_One, dict[_K, _V]], _ManyControls[_P, _One, _V], Generic[_P, _One, _K, _V]
):
    """A decorated function of several keys bound to an instance or a class."""

    def __call__(  # type: ignore[override]
        self, *args: _P.args, **kwargs: _P.kwargs
    ) -> Coroutine[Any, Any, dict[_K, _V]]: ...
    def cache_warm(
        self,
        keys: Iterable[Any] | AsyncIterable[Any],
        /,
        *args: Any,
        concurrency: int = 10,
        on_progress: OnProgress | None = None,
        on_error: OnError | None = None,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, WarmUp]: ...

@final
class _Timer:
    """A cache's clock, which stands still while it is used as a context manager."""

    def __new__(cls, timer: Callable[[], Any]) -> Self: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __enter__(self) -> Any: ...
    def __exit__(self, *_exc: object) -> None: ...
    def __copy__(self) -> Self: ...

@final
class _StatsAttribute:
    """What a cache counted since it was made, unless the instance has an attribute of this name."""

    @overload
    def __get__(self, cache: None, _owner: Any = None, /) -> Self: ...
    @overload
    def __get__(self, cache: Cache[Any, Any], _owner: Any = None, /) -> Stats: ...

@disjoint_base
class Cache(MutableMapping[_K, _V]):
    """A mapping of limited size, the base class of all native caches; evicts what came first.

    Args:
        maxsize: What the sizes of the entries may add up to; each counts 1 without `getsizeof`.
        getsizeof: The size of a value.
        timer: The clock of the entries that `set` gives a time to live; `time.monotonic` unless
            given.
        removal_listener: Called with key, value and `RemovalCause` of every entry that leaves, when
            the change is complete; it may use the cache.  What it raises goes to
            `sys.unraisablehook`.  Nobody is told of what a cache holds when it goes away itself.
            A copy of the cache has the same listener, a pickle has none.
    """

    def __init__(
        self,
        maxsize: float,
        getsizeof: Callable[[_V], float] | None = None,
        *,
        timer: Callable[[], Any] | None = None,
        removal_listener: Callable[[_K, _V, RemovalCause], object] | None = None,
    ) -> None: ...
    def __getitem__(self, key: _K, /) -> _V: ...
    def __setitem__(self, key: _K, value: _V, /) -> None: ...
    def __delitem__(self, key: _K, /) -> None: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __missing__(self, key: _K) -> _V: ...
    def __iter__(self) -> Iterator[_K]: ...
    def __len__(self) -> int: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: dict[int, Any]) -> Self: ...
    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...
    @overload
    def get(self, key: _K, default: None = None) -> _V | None: ...
    @overload
    def get(self, key: _K, default: _V | _T) -> _V | _T: ...
    @overload
    def pop(self, key: _K) -> _V: ...
    @overload
    def pop(self, key: _K, default: _V | _T) -> _V | _T: ...
    @overload
    def setdefault(self: Cache[_K, _T | None], key: _K, default: None = None) -> _T | None: ...
    @overload
    def setdefault(self, key: _K, default: _V) -> _V: ...
    def set(
        self, key: _K, value: _V, *, ttl: float | timedelta | None = None, weight: float | None = None
    ) -> None:
        """Store a value with a time to live or a weight of its own.

        Args:
            key: As for `cache[key]`.
            value: As for `cache[key]`.
            ttl: For how many seconds from now the entry lives, in place of what the cache says.
            weight: What it counts towards `maxsize`, in place of `getsizeof`.

        Raises:
            ValueError: A weight greater than `maxsize`, or not finite, or a negative number.
        """
    @property
    def maxsize(self) -> float:
        """What the sizes of the entries may add up to."""
    @property
    def currsize(self) -> float:
        """What the sizes of the entries add up to."""
    @property
    def removal_listener(self) -> Callable[[_K, _V, RemovalCause], object] | None:
        """What is told of every entry that leaves."""
    @removal_listener.setter
    def removal_listener(self, listener: Callable[[_K, _V, RemovalCause], object] | None) -> None: ...
    stats: _StatsAttribute
    @staticmethod
    def getsizeof(value: Any) -> float:
        """The size of a value."""

class FIFOCache(Cache[_K, _V]):
    """Evicts what was stored longest ago."""

class LRUCache(Cache[_K, _V]):
    """Evicts what was used longest ago."""

class LFUCache(Cache[_K, _V]):
    """Evicts what was used least often."""

class TinyLFUCache(Cache[_K, _V]):
    """Evicts by adaptive W-TinyLFU (Einziger, Friedman, Manes, ACM ToS 2017; Middleware 2018)."""

class RRCache(Cache[_K, _V]):
    """Evicts at random.

    Args:
        maxsize: What the sizes of the entries may add up to.
        choice: Picks the key to evict from a sequence of all; `random.choice` by default.
        getsizeof: The size of a value.
        timer: The clock of the entries that `set` gives a time to live.
        removal_listener: Called with key, value and `RemovalCause` of every entry that leaves.
    """

    def __init__(
        self,
        maxsize: float,
        choice: Callable[[Sequence[Any]], Any] = ...,
        getsizeof: Callable[[_V], float] | None = None,
        *,
        timer: Callable[[], Any] | None = None,
        removal_listener: Callable[[_K, _V, RemovalCause], object] | None = None,
    ) -> None: ...
    @property
    def choice(self) -> Callable[[Sequence[_K]], _K]:
        """What picks the key to evict."""

class _TimedCache(Cache[_K, _V]):
    """What caches whose entries expire have in common."""

    @property
    def timer(self) -> _Timer:
        """The cache's clock."""
    def expire(self, time: Any = None) -> list[tuple[_K, _V]]:
        """Remove what has expired, by `time` if it is given, and return the pairs in order of expiry."""

class TTLCache(_TimedCache[_K, _V]):
    """Least recently used, and each entry lives for the same time.

    Args:
        maxsize: What the sizes of the entries may add up to.
        ttl: How long an entry lives, in the timer's unit: seconds, or a timedelta.
        timer: The clock; `time.monotonic` by default.
        getsizeof: The size of a value.
        removal_listener: Called with key, value and `RemovalCause` of every entry that leaves.
    """

    def __init__(
        self,
        maxsize: float,
        ttl: Any,
        timer: Callable[[], Any] = ...,
        getsizeof: Callable[[_V], float] | None = None,
        *,
        removal_listener: Callable[[_K, _V, RemovalCause], object] | None = None,
    ) -> None: ...
    @property
    def ttl(self) -> Any:
        """How long an entry lives."""

class TLRUCache(_TimedCache[_K, _V]):
    """Least recently used, and each entry says how long it lives.

    Args:
        maxsize: What the sizes of the entries may add up to.
        ttu: Called with key, value and the present time, returns when the entry expires.
        timer: The clock; `time.monotonic` by default.
        getsizeof: The size of a value.
        removal_listener: Called with key, value and `RemovalCause` of every entry that leaves.
    """

    def __init__(
        self,
        maxsize: float,
        ttu: Callable[[_K, _V, Any], Any],
        timer: Callable[[], Any] = ...,
        getsizeof: Callable[[_V], float] | None = None,
        *,
        removal_listener: Callable[[_K, _V, RemovalCause], object] | None = None,
    ) -> None: ...
    @property
    def ttu(self) -> Callable[[_K, _V, Any], Any]:
        """What says how long an entry lives."""

@final
class InstanceKey:
    """Stands for one instance (or class) in a key, by identity."""

@final
class FunctionKey:
    """Stands for a decorated function in keys, or for a default value that has no hash."""

    def __new__(cls, name: str) -> Self: ...

@final
class Flight:
    """One load under way: the callback of its task."""

    def __call__(self, task: Task[Any]) -> None: ...

@final
class Hit(Coroutine[Any, Any, _R_co]):
    """The coroutine that a hit returns."""

    def __await__(self) -> Generator[Any, Any, _R_co]: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...
    def send(self, value: Any, /) -> Any: ...
    def throw(self, *args: Any) -> Any: ...
    def close(self) -> None: ...

@final
class Miss(Coroutine[Any, Any, _R_co]):
    """The coroutine that a miss returns, and the future that its task waits for."""

    __name__: str
    __qualname__: str
    _asyncio_future_blocking: bool | None
    def __await__(self) -> Generator[Any, Any, _R_co]: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...
    def send(self, value: Any, /) -> Any: ...
    def throw(self, *args: Any) -> Any: ...
    def close(self) -> None: ...
    def get_loop(self) -> AbstractEventLoop: ...
    def add_done_callback(
        self, callback: Callable[[Any], object], /, *, context: Context | None = None
    ) -> None: ...
    def cancel(self, msg: Any = None) -> bool: ...
    def result(self) -> Any: ...
    def done(self) -> bool: ...

@final
class Trace:
    """A sequence of key numbers, to be replayed."""

    def __new__(cls, accesses: Sequence[int]) -> Self: ...
    def __len__(self) -> int: ...
    def hits(self, policy: str, size: int, progress: Callable[[int], object]) -> int: ...
    def optimal_hits(self, size: int, progress: Callable[[int], object]) -> int: ...

def policy_names() -> list[str]: ...
def decorate(
    function: Callable[..., Any],
    *,
    name: str,
    signature: Iterable[Parameter],
    ignore: frozenset[str],
    typed: bool,
    key: Callable[..., Any] | None,
    cache: Any,
    resolved: bool,
    class_method: bool,
    lock: Any,
    condition: Any,
    on_abandon: Literal["cancel", "finish"],
    parameters: dict[str, Any],
    loader: Callable[..., Any] | None = None,
    many: tuple[int | None, str, list[Any]] | None = None,
    listener: Listener | None = None,
    freshness: Freshness | None = None,
) -> Any: ...
def _time_out(flight: Flight) -> None: ...
def _stop_waiting(call: Coroutine[Any, Any, Any]) -> None: ...
def _launch(batch: Flight) -> None: ...
def after_fork_in_child() -> None: ...
def before_collection(phase: str, info: dict[str, Any]) -> None: ...
def _restore(cache: Cache[Any, Any], state: tuple[Any, ...]) -> None: ...
def _validate(cache: Cache[Any, Any]) -> None: ...
def invalidate_tags(names: list[str]) -> None: ...
def _known_tags() -> int: ...
