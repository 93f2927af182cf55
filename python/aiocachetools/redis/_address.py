"""Where a server is and who connects, by a URL."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

__all__ = ("Address",)

_PLAIN = ("redis", "valkey")
_SECURE = ("rediss", "valkeys")
_PORT = 6379
_SSL_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname", "ssl_cert_reqs")
_TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where a server is, and who connects to which of its databases.

    Attributes:
        path: Of a unix socket; empty for TCP.
        tls: The context of a TLS connection.
    """

    host: str = ""
    port: int = _PORT
    path: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    tls: ssl.SSLContext | None = None

    @classmethod
    def of(cls, url: str) -> "Address":
        """What a URL says.

        ``redis://``, ``rediss://`` (TLS), ``unix://`` or, for the first two, ``valkey://`` and
        ``valkeys://``; then ``username:password@host:port/database``, or for a socket
        ``username:password@/path?db=database``.  Of a TLS connection the query may say
        ``ssl_ca_certs``, ``ssl_certfile``, ``ssl_keyfile``, ``ssl_check_hostname=false`` and
        ``ssl_cert_reqs=none``.

        Raises:
            ValueError: For anything else.
        """
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        if parts.scheme not in (*_PLAIN, *_SECURE, "unix"):
            raise ValueError(
                f"RedisTier: the server must be redis://, rediss:// or unix:// and what follows, not {parts.scheme!r}"
            )
        is_socket = parts.scheme == "unix"
        tls = _tls_of(query) if parts.scheme in _SECURE else None
        database = query.pop("db", None) or ("" if is_socket else parts.path.strip("/")) or "0"
        if query:
            raise ValueError(f"RedisTier: the URL has options that are not known: {', '.join(sorted(query))}")
        if not (database.isascii() and database.isdigit()):
            raise ValueError(f"RedisTier: the database in the URL must be a number, not {database!r}")
        if is_socket and not parts.path:
            raise ValueError("RedisTier: unix:// needs the path of a socket: unix:///path/to/socket")
        return cls(
            host=parts.hostname or "localhost",
            port=_port_of(parts),
            path=unquote(parts.path) if is_socket else "",
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            database=int(database),
            tls=tls,
        )

    async def connect(self, protocol: Callable[[], asyncio.BufferedProtocol]) -> None:
        """Open a connection for a protocol.

        Raises:
            OSError: When that fails.
        """
        loop = asyncio.get_running_loop()
        if self.path:
            await loop.create_unix_connection(protocol, self.path)
        else:
            await loop.create_connection(protocol, self.host, self.port, ssl=self.tls)


def _port_of(parts: SplitResult) -> int:
    try:
        return parts.port or _PORT
    except ValueError as error:
        raise ValueError(f"RedisTier: the port in the URL must be a number: {error}") from error


def _tls_of(query: dict[str, str]) -> ssl.SSLContext:
    """The context of a TLS connection; what it is made of is taken out of the query."""
    given = {option: query.pop(option) for option in _SSL_OPTIONS if option in query}
    context = ssl.create_default_context(cafile=given.get("ssl_ca_certs"))
    if "ssl_certfile" in given:
        context.load_cert_chain(given["ssl_certfile"], given.get("ssl_keyfile"))
    required = given.get("ssl_cert_reqs", "required")
    if required not in ("required", "none"):
        raise ValueError(f"RedisTier: ssl_cert_reqs in the URL must be required or none, not {required!r}")
    checked = given.get("ssl_check_hostname", "true").lower()
    if checked not in _TRUTHS:
        raise ValueError(f"RedisTier: ssl_check_hostname in the URL must be true or false, not {checked!r}")
    context.check_hostname = _TRUTHS[checked] and required == "required"
    if required == "none":
        context.verify_mode = ssl.CERT_NONE
    return context
