"""The ways to a server: TLS, sockets, users, databases, Sentinel and Cluster."""

import asyncio
import ssl
from contextlib import ExitStack, asynccontextmanager

import pytest
import redis.asyncio
import redis.asyncio.sentinel
import trustme
import valkey.asyncio
from servers import Server

from aiocachetools import cached
from aiocachetools.redis import RedisTier

PATIENCE = 30
NODES = 3
SLOTS = 16384


def function(tier, runs, **options):
    @cached(tier=tier.using(name="f", **options))
    async def f(x: int) -> int:
        runs.append(x)
        return x

    return f


async def check_sharing(server, other=None, *, tags=()):
    """Two processes' tiers on a server share values, and changes reach the other one."""
    first = RedisTier(server, prefix="p", deadline=PATIENCE)
    second = RedisTier(other or server, prefix="p", deadline=PATIENCE)
    runs = []
    f, g = function(first, runs, tags=tags), function(second, runs, tags=tags)
    assert await asyncio.gather(*map(f, range(20))) == list(range(20))
    assert await asyncio.gather(*map(g, range(20))) == list(range(20))
    assert sorted(runs) == list(range(20))
    assert first.stats(f).unshared == second.stats(g).unshared == 0
    await first.invalidate(f, 7)
    if tags:
        await first.invalidate_tags(tags[0])
    while g.cache_contains(7) or (tags and g.cache_contains(8)):
        await asyncio.sleep(0)
    assert await first.clear(f) in ((19, 20) if not tags else range(21))
    await first.aclose()
    await second.aclose()


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@asynccontextmanager
async def behind_tls(port, authority, folder):
    """A port of TLS in front of a server, and the file with the authority's certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(folder / "ca.pem")

    async def copy(reader, writer):
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(reader, writer):
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, to_writer), copy(to_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1], folder / "ca.pem"
    server.close()


def test_D7_tls(run, server, authority, tmp_path):
    async def test():
        async with behind_tls(server.port, authority, tmp_path) as (port, certificate):
            await check_sharing(f"rediss://localhost:{port}/1?ssl_ca_certs={certificate}")

    run(test())


def test_D7_a_certificate_of_somebody_else_is_refused(run, server, authority, tmp_path):
    async def test():
        async with behind_tls(server.port, authority, tmp_path) as (port, _):
            trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
            url = f"rediss://localhost:{port}?ssl_ca_certs={tmp_path / 'other.pem'}"
            tier = RedisTier(url, prefix="p", deadline=PATIENCE)
            f = function(tier, [])
            assert await f(1) == 1
            assert tier.stats(f).unshared == 1
            await tier.aclose()

    run(test())


def test_D7_a_unix_socket(run, tmp_path):
    path = tmp_path / "server.sock"
    with Server(unix_socket_path=path, port=0):
        run(check_sharing(f"unix://{path}?db=2"))


def test_D7_a_user_and_a_password_of_any_characters(run, own_server):
    with own_server.client() as control:
        control.execute_command("ACL", "SETUSER", "us:er@", "on", ">p:/ä%", "~*", "&*", "+@all")
        control.config_set("requirepass", "secret")
    port = own_server.port
    run(
        check_sharing(
            f"redis://us%3Aer%40:p%3A%2F%C3%A4%25@127.0.0.1:{port}", f"redis://:secret@127.0.0.1:{port}"
        )
    )


def test_D7_a_user_who_may_do_no_more_than_is_needed(run, own_server):
    rights = "+@read +@write +@scripting +@connection +publish ~p* &p!"
    with own_server.client() as control:
        control.execute_command("ACL", "SETUSER", "least", "on", ">pw", *rights.split())
    run(check_sharing(f"redis://least:pw@127.0.0.1:{own_server.port}", tags=["t"]))


def test_D7_databases_are_apart(run, own_server):
    async def test():
        runs = []
        for database in (0, 5):
            tier = RedisTier(f"{own_server.url}/{database}", prefix="p", deadline=PATIENCE)
            await function(tier, runs)(1)
            await tier.aclose()
        assert runs == [1, 1]
        with own_server.client(db=5) as control:
            assert control.dbsize() == 1

    run(test())


def test_D7_a_client_of_valkey_py(run, server):
    async def test():
        async with valkey.asyncio.Valkey.from_url(server.url) as client:
            await check_sharing(client)

    run(test())


def test_D7_an_own_client_beside_the_tier_s_connection(run, server):
    """Processes that hear of changes in different ways hear each other."""

    async def test():
        async with redis.asyncio.Redis.from_url(server.url) as client:
            await check_sharing(client, server.url, tags=["t"])
            await check_sharing(server.url, client, tags=["t"])

    run(test())


def test_D7_sentinel(run):
    async def test(port):
        sentinel = redis.asyncio.sentinel.Sentinel([("127.0.0.1", port)])
        client = sentinel.master_for("primary")
        await check_sharing(client, tags=["t"])
        await client.aclose()
        for one in sentinel.sentinels:
            await one.aclose()

    with ExitStack() as stack:
        primary = stack.enter_context(Server())
        monitor = {"sentinel": f"monitor primary 127.0.0.1 {primary.port} 1"}
        run(test(stack.enter_context(Server(sentinel=True, config=monitor)).port))


def test_D7_cluster(run):
    with ExitStack() as stack:
        nodes = [stack.enter_context(Server(config={"cluster-enabled": "yes"})) for _ in range(NODES)]
        controls = [stack.enter_context(node.client()) for node in nodes]
        bounds = [number * SLOTS // NODES for number in range(NODES + 1)]
        for number, control in enumerate(controls):
            control.execute_command("CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
            control.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[0].port)
        while not all(b"cluster_state:ok" in _info(control) for control in controls):
            pass

        async def test():
            async with redis.asyncio.RedisCluster(host="127.0.0.1", port=nodes[0].port) as client:
                await check_sharing(client, tags=["t", "u"])

        run(test())
        assert sum(control.dbsize() > 0 for control in controls) > 0


def _info(control):
    found = control.execute_command("CLUSTER", "INFO")
    return found if isinstance(found, bytes) else str(found).replace("': '", ":").encode()


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://localhost", "must be redis://, rediss:// or unix://"),
        ("localhost:6379", "must be redis://"),
        ("redis://localhost/first", "the database in the URL must be a number, not 'first'"),
        ("redis://localhost?db=-1", "the database"),
        ("redis://localhost:port", "the port in the URL must be a number"),
        ("redis://localhost?protocol=3&x=1", "options that are not known: protocol, x"),
        ("redis://localhost?ssl_ca_certs=x", "options that are not known: ssl_ca_certs"),
        ("rediss://localhost?ssl_cert_reqs=optional", "ssl_cert_reqs in the URL must be required or none"),
        (
            "rediss://localhost?ssl_check_hostname=maybe",
            "ssl_check_hostname in the URL must be true or false",
        ),
        ("unix://", "needs the path of a socket"),
    ],
)
def test_A4_a_url_that_says_nothing_names_the_way_out(url, complaint):
    with pytest.raises(ValueError, match=complaint):
        RedisTier(url)
