"""Who is at the other end of a connection, known before a byte of a request goes over it; and how the connection is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from ledger.core.errors import UnreachableError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from aiohttp.connector import Connection


class OtherServerError(Exception):
    """The connection leads to another server than the one before: nothing was sent over it."""

    def __init__(self, peer: str | None) -> None:
        super().__init__(peer)
        self.peer = peer


class AwayError(Exception):
    """The server is not there: nothing was sent. `error` is what to tell people."""

    def __init__(self, error: UnreachableError) -> None:
        super().__init__(error.message)
        self.error = error


class DistrustedError(AwayError):
    """The server's certificate is not trusted."""

    def __init__(self, base: str, error: aiohttp.ClientConnectorCertificateError) -> None:
        message = f"{base} shows a certificate that this home does not trust: {error.certificate_error}"
        super().__init__(UnreachableError(message, advice="Check the URL; if the network's CA changed long ago, join again."))


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


def common_name(certificate: Mapping[str, Any]) -> str | None:
    """Return the common name in what `getpeercert()` gave, or None."""
    names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return names[0] if len(names) == 1 else None


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for `url`, as curl reads it. Passwords of ~/.netrc are never sent."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
