"""HTTP/1.1 over TLS to one server, as aiohttp speaks it: one session, and its errors as this package's.

Nothing else of the client names aiohttp: `Transport` loads this module with its first request.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from ledger.client.bodies import Reply, read_body
from ledger.client.peer import AwayError, DistrustedError
from ledger.core.errors import InvalidError, OutcomeUnknown, UnreachableError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping

    from aiohttp.connector import Connection

CONNECT_SECONDS = 10.0
TOTAL_SECONDS = 60.0


class Connector(aiohttp.TCPConnector):
    """Shows whose certificate a connection has before a byte of a request goes over it."""

    def __init__(self, context: ssl.SSLContext, admit: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__(ssl=context, limit=64, keepalive_timeout=120)
        self._admit = admit

    async def connect(self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout) -> Connection:  # noqa: ASYNC109 - aiohttp's signature
        """Do as aiohttp does; close what leads to a peer that is not admitted."""
        connection = await super().connect(req, traces, timeout)
        try:
            transport = connection.transport
            self._admit((transport.get_extra_info("peercert") if transport else None) or {})
        except BaseException:
            connection.close()
            raise
        return connection


class Wire:
    """The connections to `base`. `admit` raises for the certificate of a server that is to hear nothing. Make it in an event loop."""

    def __init__(
        self, base: str, context: ssl.SSLContext, admit: Callable[[Mapping[str, Any]], None], *, total_seconds: float = TOTAL_SECONDS
    ) -> None:
        self._base = base
        self._session = aiohttp.ClientSession(
            connector=Connector(context, admit),
            timeout=aiohttp.ClientTimeout(total=total_seconds, sock_connect=CONNECT_SECONDS),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            proxy=proxy_for(base),
        )

    async def close(self) -> None:
        """Close the connections; what is under way breaks off."""
        await self._session.close()

    async def request(self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None) -> Reply:
        """Return the answer, whatever its status.

        Raises DistrustedError, AwayError (nothing was sent), OutcomeUnknown for a POST, UnreachableError for a GET without an answer.
        An answer to a POST that cannot be read is none; to a GET it is the FormatError or TooLargeError of `read_body`.
        """
        try:
            async with self._session.request(method, self._base + path, headers=headers, data=body, allow_redirects=False) as response:
                text, came = await read_body(response, headers.get("Accept-Encoding", ""))
                return Reply(response.status, {name.lower(): value for name, value in response.headers.items()}, text, came)
        except aiohttp.ClientConnectorCertificateError as error:
            raise DistrustedError(self._base, error.certificate_error) from error
        except aiohttp.ClientConnectorError as error:
            raise AwayError(UnreachableError(f"cannot connect to {self._base}: {error.strerror or error}")) from error
        except aiohttp.ConnectionTimeoutError as error:
            raise AwayError(UnreachableError(f"cannot connect to {self._base}: no answer within {CONNECT_SECONDS:.0f} s")) from error
        except InvalidError as error:
            if method != "POST":
                raise
            unknown = OutcomeUnknown(error.message, operation=path)
            unknown.context = {**error.context, **unknown.context}
            raise unknown from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if method == "POST":
                raise OutcomeUnknown(f"{self._base} did not answer: {_words(error)}", operation=path) from error
            raise UnreachableError(f"{self._base} did not answer: {_words(error)}") from error

    async def begin(self, path: str, *, headers: Mapping[str, str], idle_seconds: float) -> aiohttp.ClientResponse:
        """Return an answer that may go on for ever, of which only the head is read. To be used within `listening`."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=idle_seconds)
        return await self._session.get(self._base + path, headers=headers, timeout=timeout, allow_redirects=False)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Raise UnreachableError for an answer that breaks or stays silent too long."""
        try:
            yield
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnreachableError(f"{self._base} did not answer: {_words(error)}") from error


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for `url`, as curl reads it. Passwords of ~/.netrc are never sent."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
