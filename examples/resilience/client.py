"""An HTTP client that does next to nothing, so that the load measures the services and not itself."""

import asyncio
import re

CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Client:
    """Requests to one server on this machine, over connections that are kept."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_exc: object) -> None:
        for _, writer in self._idle:
            writer.close()
            await writer.wait_closed()

    async def request(self, path: str, method: str = "GET") -> tuple[int, bytes]:
        """The status and the body of a response that says how long it is."""
        connection = (
            self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
        )
        reader, writer = connection
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = CONTENT_LENGTH.search(head)
        assert length is not None
        body = await reader.readexactly(int(length[1]))
        self._idle.append(connection)
        return int(head.split(maxsplit=2)[1]), body
