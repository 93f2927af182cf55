"""The tier's own connection, over a server of a few lines that does what real ones rarely do."""

import asyncio
import gc
import weakref
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from support import in_child

from aiocachetools._core import RedisConnection
from aiocachetools.redis._address import Address
from aiocachetools.redis._errors import ReplyError
from aiocachetools.redis._native import NativeClient

PATIENCE = 30
GREETING = b"%0\r\n+OK\r\n+PONG\r\n"
ORIGIN = b"origin!!"


class Peer:
    """A server that greets, and then says what it is told to; None to say nothing at all."""

    def __init__(self, greeting=GREETING):
        self.greeting = greeting
        self.writers = []
        self.heard = asyncio.Queue()

    async def serve(self, reader, writer):
        self.writers.append(writer)
        if self.greeting is None:
            return
        await reader.read(1 << 16)
        writer.write(self.greeting)
        while data := await reader.read(1 << 16):
            self.heard.put_nowait(data)
        writer.close()

    def say(self, data):
        self.writers[-1].write(data)

    async def hear(self, wanted):
        """Wait until something was asked."""
        while wanted not in await self.heard.get():
            pass


@asynccontextmanager
async def connected(peer, *, deadline=PATIENCE, **options):
    """A client of a peer, what it was told, and the number of times it was connected."""
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    address = Address(port=server.sockets[0].getsockname()[1], host="127.0.0.1")
    client = NativeClient(
        address, deadline=deadline, channel=b"c", origin=ORIGIN, **{"max_bytes": 1 << 16, **options}
    )
    client.told = asyncio.Queue()
    client.on_push = client.told.put_nowait
    client.on_connect = lambda: client.told.put_nowait("connected")
    client.on_disconnect = lambda: client.told.put_nowait("disconnected")
    try:
        yield client
    finally:
        await client.aclose()
        server.close()
        for writer in peer.writers:
            writer.close()


def test_D3_pushes_are_told_before_what_came_after_them(run):
    async def test():
        peer = Peer()
        async with connected(peer) as client:
            await client.start()
            assert client.connected
            assert client.tracking
            assert await client.told.get() == "connected"
            answer = client.execute(b"GET", "key")
            answer.add_done_callback(lambda answer: client.told.put_nowait(answer.result()))
            await peer.hear(b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n")
            peer.say(
                b">2\r\n$10\r\ninvalidate\r\n*1\r\n$3\r\nkey\r\n$5\r\nvalue\r\n>2\r\n$10\r\ninvalidate\r\n_\r\n"
            )
            # The answer is set before the second push is told; its callbacks run on the loop, later.
            assert [await client.told.get() for _ in range(3)] == [[b"key"], None, b"value"]

    run(test())


def test_what_is_asked_in_one_round_is_sent_at_once(run):
    async def test():
        peer = Peer(GREETING + b":1\r\n:2\r\n-ERR no\r\n*2\r\n:3\r\n%1\r\n+k\r\n,1.5\r\n#t\r\n(12\r\n")
        peer.greeting, answers = GREETING, peer.greeting[len(GREETING) :]
        async with connected(peer) as client:
            await client.start()
            requests = [
                client.execute(b"A"),
                client.execute_many([(b"B", 7), (b"C",)]),
                client.execute_many([("D",), [b"E"], (b"F",)]),
                client.execute_many([]),
            ]
            sent = b""
            while sent.count(b"*") < 6:
                sent = await peer.heard.get()
            peer.say(answers)
            found = await asyncio.gather(*requests, return_exceptions=True)
            assert found[0] == 1
            assert isinstance(found[1], ReplyError)
            assert found[1].code == "ERR"
            assert found[2:] == [[[3, [b"k", 1.5]], True, b"12"], []]

    run(test())


@pytest.mark.parametrize("part", [None, 1.5, ["x"]])
def test_A4_a_part_of_a_command_of_another_type_is_told(run, part):
    async def test():
        peer = Peer()
        async with connected(peer) as client:
            await client.start()
            with pytest.raises(TypeError, match="must be bytes, str or int"):
                client.execute(b"GET", part)
            with pytest.raises(ValueError, match="at least a name"):
                client.execute_many([(b"GET", b"key"), ()])
            # Nothing of it was sent.
            answer = client.execute(b"PING")
            await peer.hear(b"*1\r\n$4\r\nPING\r\n")
            peer.say(b"+PONG\r\n")
            assert await answer == b"PONG"

    run(test())


def test_D4_an_answer_that_is_late_is_a_timeout_and_nothing_is_asked_meanwhile(run):
    async def test():
        peer = Peer()
        async with connected(peer, deadline=0.05) as client:
            await client.start()
            with pytest.raises(TimeoutError):
                await client.execute(b"GET", b"key")
            with pytest.raises(ConnectionError):
                await client.execute(b"GET", b"key")
            # It was only slow: the same connection goes on, and the late answer is nobody's.
            peer.say(b"$4\r\nlate\r\n")
            peer.say(b">2\r\n$10\r\ninvalidate\r\n_\r\n")
            assert await client.told.get() == "connected"
            assert await client.told.get() is None
            assert len(peer.writers) == 1

    run(test())


def made(owner, *, deadline):
    """A connection that has no transport yet."""
    return RedisConnection(
        owner,
        ReplyError,
        username=None,
        password=None,
        database=0,
        channel=b"",
        deadline=deadline,
        longest=1 << 16,
    )


def received(connection, data):
    """Give a connection what its transport has read."""
    connection.get_buffer(-1)[: len(data)] = data
    connection.buffer_updated(len(data))


class Recording:
    """A transport that keeps what is sent once the handshake is over."""

    def __init__(self, connection):
        self.connection = connection
        self.sent = []

    def write(self, data):
        if b"HELLO" in data:
            received(self.connection, GREETING)
        else:
            self.sent.append(data.count(b"PING"))

    def abort(self):
        self.connection.connection_lost(None)


def test_many_requests_of_one_round_are_sent_while_it_goes_on(run):
    async def test():
        owner = SimpleNamespace(ready=lambda *_: None, lost=lambda *_: None)
        connection = made(owner, deadline=PATIENCE)
        transport = Recording(connection)
        connection.connection_made(transport)
        transport.sent.clear()
        answers = [connection.execute(b"PING") for _ in range(120)]
        assert transport.sent == [50, 50]
        await asyncio.sleep(0)
        assert transport.sent == [50, 50, 20]
        received(connection, b"+PONG\r\n" * 120)
        assert await asyncio.gather(*answers) == [b"PONG"] * 120
        connection.abort()

    run(test())


class Clogged:
    """A transport over which nothing more can be sent once the handshake is over."""

    def __init__(self, connection):
        self.connection = connection

    def write(self, data):
        if b"HELLO" in data:
            received(self.connection, GREETING)
            self.connection.pause_writing()

    def abort(self):
        asyncio.get_running_loop().call_soon(self.connection.connection_lost, None)


def test_D4_what_cannot_be_sent_is_a_timeout_too(run):
    async def test():
        ended = asyncio.Event()
        owner = SimpleNamespace(ready=lambda *_: None, lost=lambda *_: ended.set())
        connection = made(owner, deadline=0.05)
        connection.connection_made(Clogged(connection))
        for _ in range(2):
            with pytest.raises(TimeoutError, match="within the deadline"):
                await connection.execute(b"GET", b"key")
            # It says something, and is silent again.
            received(connection, b">1\r\n+hello\r\n")
        # The heartbeat cannot be sent.
        await ended.wait()

    run(test())


def test_D4_a_server_that_gives_no_sign_of_life_is_given_up(run):
    async def test():
        peer = Peer()
        async with connected(peer, deadline=0.05) as client:
            await client.start()
            await peer.hear(b"PING")  # the heartbeat, which is not answered
            assert [await client.told.get() for _ in range(3)] == ["connected", "disconnected", "connected"]
            assert len(peer.writers) == 2

    run(test())


@pytest.mark.parametrize("trouble", [b"HTTP/1.1 400 Bad Request\r\n", b":1\r\n", b"!9999999\r\n", None])
def test_D4_a_connection_that_is_of_no_use_is_replaced(run, trouble):
    async def test():
        peer = Peer()
        async with connected(peer) as client:
            await client.start()
            if trouble is None:
                peer.writers[-1].transport.abort()
            else:
                peer.say(trouble)
            assert [await client.told.get() for _ in range(3)] == ["connected", "disconnected", "connected"]

    run(test())


def test_D4_who_waits_for_an_answer_hears_of_the_end(run):
    async def test():
        peer = Peer()
        async with connected(peer) as client:
            await client.start()
            answer, cancelled = client.execute(b"GET", b"key"), client.execute(b"GET", b"key")
            cancelled.cancel()
            await peer.hear(b"GET")
            peer.writers[-1].transport.abort()
            with pytest.raises(ConnectionError, match="the connection is lost"):
                await answer
            with pytest.raises(ConnectionError, match="no connection"):
                await client.execute(b"GET", b"key")

    run(test())


def test_D4_a_change_that_cannot_be_followed_ends_the_connection(run):
    async def test():
        peer = Peer()
        async with connected(peer) as client:
            await client.start()

            def fail(_keys):
                raise RuntimeError("no")

            client.on_push = fail
            peer.say(b">2\r\n$10\r\ninvalidate\r\n_\r\n")
            assert [await client.told.get() for _ in range(3)] == ["connected", "disconnected", "connected"]

    run(test())


def test_D4_a_connection_that_cannot_be_followed_from_the_beginning_is_replaced_by_one(run):
    async def test():
        peer = Peer()
        async with connected(peer) as client:
            on_connect = client.on_connect

            def fail():
                client.on_connect = on_connect
                raise RuntimeError("no")

            client.on_connect = fail
            with pytest.raises(RuntimeError, match="no"):
                await client.start()
            assert [await client.told.get() for _ in range(2)] == ["disconnected", "connected"]
            assert len(peer.writers) == 2

    run(test())


def test_D7_a_server_that_refuses_is_asked_again(run):
    async def test():
        peer = Peer(b"-WRONGPASS no\r\n")
        async with connected(peer) as client:
            with pytest.raises(ReplyError, match="WRONGPASS"):
                await client.start()
            peer.greeting = GREETING
            assert await client.told.get() == "connected"

    run(test())


def test_D3_without_tracking_what_is_published_is_heard(run):
    async def test():
        peer = Peer()
        subscribed = b">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n+PONG\r\n"
        peer.greeting = b"%0\r\n-ERR no tracking\r\n+PONG\r\n" + subscribed
        async with connected(peer) as client:
            await client.start()
            assert client.connected
            assert not client.tracking
            for origin in (ORIGIN, bytes(8)):
                message = origin + b"key"
                peer.say(b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$%d\r\n%b\r\n" % (len(message), message))
            assert await client.told.get() == "connected"
            assert await client.told.get() == [b"key"]

    run(test())


def test_D3_a_server_of_the_old_protocol_tells_of_nothing(run):
    async def test():
        peer = Peer(b"-ERR unknown command 'HELLO'\r\n+PONG\r\n")
        async with connected(peer) as client:
            await client.start()
            assert not client.connected
            answer = client.execute_many([(b"GET", b"key"), (b"PTTL", b"key")])
            await peer.hear(b"PTTL")
            peer.say(b"$-1\r\n:-2\r\n")
            assert await answer == [None, -2]

    run(test())


def test_a_client_that_is_closed_is_garbage(run):
    async def test():
        async with connected(Peer()) as client:
            await client.start()
            connection, found = weakref.ref(client.connection), weakref.ref(client)
        del client
        gc.collect()
        assert (connection(), found()) == (None, None)

    run(test())


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_D7_a_program_may_end_without_closing_its_tier(url, prefix, loop):
    printed = in_child(f"""
        import asyncio, gc, importlib, sys
        from aiocachetools import cached
        from aiocachetools.redis import RedisTier

        sys.unraisablehook = lambda unraisable: print(unraisable.exc_value)
        tier = RedisTier({url!r}, prefix={prefix!r}, deadline=30)

        @cached(tier=tier.using(name="f"))
        async def f(i: int) -> int:
            return i

        async def main():
            asyncio.get_running_loop().set_exception_handler(lambda _, context: print(context))
            await asyncio.gather(*map(f, range(100)))
            raise SystemError

        try:
            with asyncio.Runner(loop_factory=importlib.import_module({loop!r}).new_event_loop) as runner:
                runner.run(main())
        except SystemError:
            gc.collect()
            print("ended")
    """)
    assert printed == "ended\n"


def test_D8_a_forked_process_has_a_connection_of_its_own(url, prefix):
    printed = in_child(f"""
        import asyncio, os
        from aiocachetools import cached
        from aiocachetools.redis import RedisTier

        tier = RedisTier({url!r}, prefix={prefix!r}, deadline=30)
        runs = []

        @cached(tier=tier.using(name="f"))
        async def f(i: int) -> int:
            runs.append(i)
            return i

        async def read_again():
            f.cache_clear()
            assert await f(1) == 1
            assert tier.stats(f).hits == 1
            assert runs == [1]
            await tier.aclose()

        async def parent():
            await f(1)
            pid = os.fork()
            if pid == 0:
                try:
                    asyncio.run(read_again())
                    os._exit(0)
                finally:
                    os._exit(1)
            assert os.waitpid(pid, 0)[1] == 0
            await read_again()  # on a connection that is in step still
            print("done")

        asyncio.run(parent())
    """)
    assert printed == "done\n"


def test_D4_the_end_of_an_earlier_attempt_is_not_that_of_the_present_one(run):
    async def test():
        peer = Peer()
        async with connected(peer) as client:
            await client.start()
            earlier = client.connection
            client._outcome = asyncio.get_running_loop().create_future()
            client._attempt = object()
            client.lost(earlier, ConnectionError("too late"))
            assert not client._outcome.done()

    run(test())
