"""A handshake that only looks: which certificates a server presents, before any of them is believed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from OpenSSL import SSL

from ledger.core.errors import UnreachableError, VerificationError

if TYPE_CHECKING:
    from cryptography import x509

PATIENCE = 10.0  # seconds for one look
MAX_HANDSHAKE = 262_144  # bytes that a server may send before it is through
_READ = 16_384


async def fetch_chain(host: str, port: int, *, patience: float = PATIENCE) -> list[x509.Certificate]:
    """Return the certificates that a server presents, leaf first. They prove nothing yet.

    Raises UnreachableError without an answer, VerificationError if it does not speak TLS 1.3.
    """
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                return await _look_at(reader, writer, host)
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError) as e:
        raise UnreachableError(f"{host}:{port} does not answer.") from e


async def _look_at(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> list[x509.Certificate]:
    connection = _onlooker(host)
    received = 0
    while not _step(connection, host):
        await _flush(connection, writer)
        chunk = await reader.read(_READ)
        received += len(chunk)
        if not chunk or received > MAX_HANDSHAKE:
            raise UnreachableError(f"{host} breaks off the handshake; it may not speak TLS 1.3.")
        connection.bio_write(chunk)
    with suppress(SSL.Error):
        connection.shutdown()
    await _flush(connection, writer)
    return list(connection.get_peer_cert_chain(as_cryptography=True) or [])


def _onlooker(host: str) -> SSL.Connection:
    """Return a handshake that only looks: nothing is sent over it and nothing it shows is believed."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    connection = SSL.Connection(context, None)
    if not host.replace(".", "").isdigit() and ":" not in host:
        connection.set_tlsext_host_name(host.encode("idna"))
    connection.set_connect_state()
    return connection


def _step(connection: SSL.Connection, host: str) -> bool:
    """Go on with the handshake; True when it is done."""
    try:
        connection.do_handshake()
    except SSL.WantReadError:
        return False
    except SSL.Error as e:
        raise VerificationError(f"{host} does not speak TLS 1.3.", advice="Check that the URL names a ledger's HTTPS port.") from e
    return True


async def _flush(connection: SSL.Connection, writer: asyncio.StreamWriter) -> None:
    with suppress(SSL.WantReadError):
        while True:
            writer.write(connection.bio_read(_READ))
    await writer.drain()
