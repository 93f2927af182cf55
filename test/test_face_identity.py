"""Rule A1: a decorated function passes for the coroutine function that it wraps."""

import abc
import asyncio
import copy
import functools
import gc
import inspect
import pickle
import sys
import typing
import warnings
import weakref
from unittest import mock

import pytest
from support import settle

from aiocachetools import cached, cachedmethod


class Session:
    """What a request would bring along."""


class Page(typing.NamedTuple):
    number: int = 1
    size: int = 20


FIRST_PAGE = Page()


@cached(ignore=("session",))
async def dependency(
    session: "Session", user_id: "int", page: "Page" = FIRST_PAGE, *, full: "bool" = False
) -> "str":
    """Loads a user."""
    return f"user {user_id}"


@cached
async def plain(x: int) -> int:
    return x


class Service:
    def __init__(self, name="service"):
        self.name = name
        self.cache = {}

    def __eq__(self, other):
        return True

    __hash__ = None

    @cachedmethod(lambda self: self.cache)
    async def load(self, key: str, limit: int = 10) -> list[str]:
        """Loads a key."""
        return [key] * limit

    @cached(ignore=("self",))
    async def shared(self, key: str) -> str:
        return key

    @classmethod
    @cached
    async def make(cls, name: str) -> str:
        return name

    @cached
    @classmethod
    async def build(cls, name: str) -> str:
        return name

    @staticmethod
    @cached
    async def parse(text: str) -> str:
        return text


CALLABLES = {
    "function": lambda: plain,
    "with_options": lambda: dependency,
    "bound": lambda: Service().load,
    "bound_cached": lambda: Service().shared,
    "unbound": lambda: Service.load,
    "classmethod_outside": lambda: Service.make,
    "classmethod_inside": lambda: Service.build,
    "staticmethod": lambda: Service.parse,
    "staticmethod_of_instance": lambda: Service().parse,
    "partial": lambda: functools.partial(plain, 1),
    "partial_of_bound": lambda: functools.partial(Service().load, "key"),
}


@pytest.mark.parametrize("name", CALLABLES)
def test_A1_is_a_coroutine_function(name):
    function = CALLABLES[name]()
    assert callable(function)
    assert inspect.iscoroutinefunction(function)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert asyncio.iscoroutinefunction(function)


@pytest.mark.parametrize("name", CALLABLES)
def test_A1_is_no_generator_function(name):
    function = CALLABLES[name]()
    assert not inspect.isgeneratorfunction(function)
    assert not inspect.isasyncgenfunction(function)
    assert not inspect.isclass(function)


def test_A1_signature_is_the_functions_own():
    assert inspect.signature(dependency) == inspect.signature(dependency.__wrapped__)
    assert str(inspect.signature(plain)) == "(x: int) -> int"
    assert list(inspect.signature(Service.load).parameters) == ["self", "key", "limit"]


@pytest.mark.parametrize(
    ("get", "parameters"),
    [
        (lambda: Service().load, ["key", "limit"]),
        (lambda: Service().shared, ["key"]),
        (lambda: Service.make, ["name"]),
        (lambda: Service.build, ["name"]),
        (lambda: Service().build, ["name"]),
        (lambda: Service.parse, ["text"]),
        (lambda: functools.partial(Service().load, "key"), ["limit"]),
    ],
)
def test_A1_signature_leaves_out_what_is_bound(get, parameters):
    assert list(inspect.signature(get()).parameters) == parameters


def test_A1_bound_signature_keeps_defaults_and_annotations():
    signature = inspect.signature(Service().load)
    assert signature.parameters["limit"].default == 10
    assert signature.parameters["key"].annotation is str
    assert signature.return_annotation == list[str]


def test_A1_dependency_injection_can_resolve_string_annotations():
    """As FastAPI does: the parameters of the signature, evaluated in the function's globals."""
    hints = {
        parameter.name: eval(parameter.annotation, dependency.__globals__)
        for parameter in inspect.signature(dependency).parameters.values()
    }
    assert hints == {"session": Session, "user_id": int, "page": Page, "full": bool}
    assert typing.get_type_hints(dependency) == {**hints, "return": str}
    assert inspect.get_annotations(dependency, eval_str=True) == {**hints, "return": str}


def asgi_get(app, path):
    """The body that an ASGI application answers to a GET."""
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [],
    }
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    async def main():
        await app(scope, receive, send)
        return b"".join(message.get("body", b"") for message in sent)

    return main()


def fastapi_app(fastapi, calls):
    app = fastapi.FastAPI()

    @cached(ignore=("request",))
    async def current_user(request: "fastapi.Request", user_id: "int", limit: "int" = 3):
        calls.append(user_id)
        return {"id": user_id, "limit": limit}

    current_user.__globals__["fastapi"] = fastapi

    @app.get("/direct")
    @cached
    async def direct(user_id: int):
        calls.append(user_id)
        return user_id

    @app.get("/user")
    async def user(found: dict = fastapi.Depends(current_user)):  # noqa: B008
        return found

    return app


def test_A1_fastapi_injects_and_awaits_cached_dependencies(run):
    fastapi = pytest.importorskip("fastapi")
    calls = []
    app = fastapi_app(fastapi, calls)

    async def main():
        for _ in range(2):
            assert await asgi_get(app, "/user?user_id=7") == b'{"id":7,"limit":3}'
            assert await asgi_get(app, "/user?user_id=7&limit=4") == b'{"id":7,"limit":4}'
            assert await asgi_get(app, "/direct?user_id=9") == b"9"

    run(main())
    assert calls == [7, 7, 9]


def test_A1_carries_the_functions_attributes():
    async def original(x: int, y: str = "y", *, z: bool = True) -> None:
        """The doc."""

    original.custom = [1]
    f = cached(original)
    assert f.__wrapped__ is original
    for name in ("__name__", "__qualname__", "__doc__", "__module__", "__annotations__"):
        assert getattr(f, name) == getattr(original, name)
    assert f.__globals__ is original.__globals__
    assert f.custom is original.custom
    assert f.__dict__["custom"] is original.custom
    assert inspect.unwrap(f) is original
    assert inspect.getdoc(f) == "The doc."
    assert "async def original" in inspect.getsource(f)


def test_A1_bound_methods_carry_them_too():
    service = Service()
    bound = service.load
    assert bound.__self__ is service
    assert bound.__wrapped__ is Service.load.__wrapped__
    assert (bound.__name__, bound.__qualname__) == ("load", "Service.load")
    assert (bound.__doc__, bound.__module__) == ("Loads a key.", __name__)


def test_A1_takes_attributes_of_its_own():
    @cached
    async def f(x):
        return x

    f.route = "/f"
    assert f.route == "/f"
    assert vars(f)["route"] == "/f"
    del f.route
    assert not hasattr(f, "route")


def test_A1_wraps_can_copy_it():
    """Another decorator's functools.wraps makes a plain function of a plain function."""

    @functools.wraps(plain)
    def wrapper(*args):
        return plain(*args)

    assert wrapper.__wrapped__ is plain
    assert wrapper.__name__ == "plain"
    assert inspect.signature(wrapper) == inspect.signature(plain)


def test_A1_repr_names_the_function():
    assert "plain" in repr(plain)
    assert "load" in repr(Service.load)
    assert "load" in repr(Service().load)


def test_A1_bound_methods_compare_and_hash_as_pythons_do():
    a, b = Service("a"), Service("b")
    for name in ("load", "shared"):
        first, again, other = getattr(a, name), getattr(a, name), getattr(b, name)
        assert first == again
        assert hash(first) == hash(again)
        assert first != other  # although a == b
        assert {first: 1}[again] == 1
        assert first != getattr(Service, name)
        assert first != "something else"
    assert a.load != a.shared


def test_A1_pickle_goes_by_qualified_name():
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        for function in (plain, dependency, Service.load, Service.parse):
            assert pickle.loads(pickle.dumps(function, protocol)) is function


def test_A1_pickled_bound_methods_are_bound_to_the_copy(run):
    service = Service("original")
    bound = pickle.loads(pickle.dumps(service.load))
    assert type(bound.__self__) is Service
    assert bound.__self__ is not service
    assert run(bound("a", 2)) == ["a", "a"]
    assert service.cache == {}


def test_A1_what_cannot_be_found_by_name_cannot_be_pickled():
    @cached
    async def local(x):
        return x

    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(local)


def test_A1_copies_are_the_function_itself():
    assert copy.copy(plain) is plain
    assert copy.deepcopy(plain) is plain
    assert copy.deepcopy({"f": [Service.load]})["f"][0] is Service.load


def test_A1_partial(run):
    calls = []

    @cached
    async def f(x, y=2, *, z=3):
        calls.append((x, y, z))
        return x + y + z

    async def main():
        assert await functools.partial(f, 1)() == 6
        assert await functools.partial(f, 1, z=3)(2) == 6
        assert await functools.partial(f, z=4)(1) == 7

    run(main())
    assert calls == [(1, 2, 3), (1, 2, 4)]


def test_A1_partialmethod(run):
    calls = []

    class Reports:
        def __init__(self):
            self.cache = {}

        @cachedmethod(lambda self: self.cache)
        async def report(self, kind, day):
            calls.append((kind, day))
            return f"{kind} of {day}"

        daily = functools.partialmethod(report, "daily")

    async def main():
        reports = Reports()
        assert await reports.daily("monday") == "daily of monday"
        assert await reports.report("daily", "monday") == "daily of monday"
        assert inspect.iscoroutinefunction(reports.daily)

    run(main())
    assert calls == [("daily", "monday")]


@pytest.mark.parametrize("outermost", ["abstractmethod", "cached", "cachedmethod"])
def test_A1_abstractmethod(run, outermost):
    async def original(self, x):
        raise NotImplementedError

    class Base(abc.ABC):
        if outermost == "abstractmethod":
            load = abc.abstractmethod(cached(original))
        elif outermost == "cached":
            load = cached(abc.abstractmethod(original))
        else:
            load = cachedmethod(lambda self: None)(abc.abstractmethod(original))

    class Concrete(Base):
        @cached
        async def load(self, x):
            return x

    assert Base.__abstractmethods__ == {"load"}
    with pytest.raises(TypeError, match="abstract"):
        Base()
    assert run(Concrete().load(1)) == 1


def test_A1_a_cached_method_that_is_not_abstract_is_not():
    class Base(abc.ABC):
        @cached
        async def load(self, x):
            return x

    assert Base.__abstractmethods__ == frozenset()
    Base()


def test_A1_mock_autospec_of_a_function(run):
    double = mock.create_autospec(plain, return_value=5)

    async def main():
        assert await double(1) == 5
        double.assert_awaited_once_with(1)
        with mock.patch.object(sys.modules[__name__], "plain", autospec=True) as patched:
            patched.return_value = 6
            assert await plain(3) == 6
            patched.assert_awaited_once_with(3)
        assert await plain(3) == 3

    run(main())


def test_A1_mock_autospec_of_a_class(run):
    service = mock.create_autospec(Service, instance=True)
    service.load.return_value = ["mocked"]

    async def main():
        assert await service.load("key", limit=1) == ["mocked"]
        service.load.assert_awaited_once_with("key", limit=1)
        assert not hasattr(service, "unknown")

    run(main())


def test_A1_weak_references():
    async def original(x):
        return x

    for decorate in (cached, cachedmethod(lambda self: {})):
        f = decorate(original)
        reference = weakref.ref(f)
        assert reference() is f
        del f
        gc.collect()
        assert reference() is None


def test_A1_class_attributes_are_found_through_inspection():
    members = dict(inspect.getmembers(Service, inspect.iscoroutinefunction))
    assert {"load", "shared", "make", "build", "parse"} <= set(members)


def test_A1_stacked_decorators_keep_their_own_state(run):
    calls, inner_cache, outer_cache = [], {}, {}

    @cached(inner_cache)
    async def inner(x):
        calls.append(x)
        return x

    outer = cached(outer_cache)(inner)
    assert outer.__wrapped__ is inner
    assert outer.cache is outer_cache
    assert inner.cache is inner_cache

    async def main():
        assert await outer(1) == 1
        outer.cache_clear()
        assert await outer(1) == 1
        await settle()

    run(main())
    assert calls == [1]
    assert (inner.cache_info()[:2], outer.cache_info()[:2]) == ((1, 1), (0, 1))
