"""TLS 1.3 on both sides, always verified: there is no parameter that turns verification off.

`pin_ca` is how a newcomer comes to trust a private CA of which it knows the fingerprint only: look
at the chain that is presented (saying nothing, believing nothing), pick out the CA by fingerprint,
check the chain under it, then prove host and time by a second, ordinary handshake.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from auth.pairs import settle_pair
from auth.pki import fingerprint, load_chain, verify_chain
from auth.succession import successor_in
from ledger.core.errors import LedgerError, NotFoundError, UnreachableError, UsageError, VerificationError
from ledger.home.files import read_private_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryptography import x509

PATIENCE = 10.0  # seconds for one handshake


def client_context(ca: bytes | None = None, *, crl: Path | None = None) -> ssl.SSLContext:
    """Return a context that trusts the CAs of the PEM `ca` alone, or the system's if there is none.

    TLS 1.3, certificate and host name verified. With `crl` (a PEM file) a server whose certificate
    is on the list, or whose list is out of date, is refused. Raises FormatError for a PEM without
    certificates, UsageError for a file without a list.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and host from the start
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        pem = b"".join(link.public_bytes(Encoding.PEM) for link in load_chain(ca))
        context.load_verify_locations(cadata=pem.decode("ascii"))
    if crl is not None:
        try:
            context.load_verify_locations(cafile=crl)
        except OSError as e:
            raise UsageError(f"{crl} is no revocation list.") from e
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    return context


class ServerIdentity:
    """The certificate and key files of a server and the context that serves them.

    `reload_if_changed` lets new connections get a renewed certificate without a restart; those
    that stand keep theirs. It reads files, so call it in a thread.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        settle_pair(certificate, key)
        self._stamp = self._look()
        self.context = self._load()
        self._present = self.context
        self.context.sni_callback = self._choose  # called in every handshake, with or without a name

    @property
    def expires(self) -> int:
        """Return when the certificate in the file ends."""
        return int(load_chain(self._certificate.read_bytes())[0].not_valid_after_utc.timestamp())

    def reload_if_changed(self) -> bool:
        """Load the files again if they changed; True if so.

        Raises UsageError or NotFoundError if they cannot be used: the old certificate stays.
        """
        stamp = self._look()
        if stamp == self._stamp:
            return False
        self._present = self._load()
        self._stamp = stamp
        return True

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str, _context: ssl.SSLContext) -> None:
        connection.context = self._present

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        try:
            seen = [path.stat() for path in (self._certificate, self._key)]
        except OSError as e:
            raise NotFoundError(f"{e.filename} cannot be read: {e.strerror}.") from e
        return tuple((s.st_ino, s.st_mtime_ns, s.st_size) for s in seen)

    def _load(self) -> ssl.SSLContext:
        read_private_file(self._key)  # checks its mode
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        try:
            context.load_cert_chain(self._certificate, self._key, password=_no_passphrase)
        except (OSError, ValueError) as e:
            raise UsageError(f"{self._certificate} and {self._key} are no certificate and its key.") from e
        return context


def _no_passphrase() -> bytes:
    """Fail instead of letting OpenSSL ask on the terminal."""
    raise ValueError("The key of a server is not encrypted.")


async def pin_ca(host: str, port: int, expected: str, now: float, *, patience: float = PATIENCE) -> bytes:
    """Return the PEM of the CA whose SHA-256 is `expected`, once the server has proven to be under it.

    Raises VerificationError (no such CA in its chain, bad or expired chain, another host),
    UnreachableError.
    """
    from auth.onlooker import fetch_chain  # noqa: PLC0415 - 40 ms that an ordinary connection need not pay

    chain = await fetch_chain(host, port, patience=patience)
    found = [link for link in chain if fingerprint(link) == expected]
    if not found:
        last = fingerprint(chain[-1]) if chain else "nothing"
        raise VerificationError(
            f"{host}:{port} is not under the CA of the join token.",
            advice="Somebody may be in between. Compare the fingerprint with whoever made the token.",
            expected=expected,
            presented=last,
        )
    ca = await asyncio.to_thread(_ca_of, chain, found[0], now)
    await check_server(host, port, client_context(ca), patience=patience)
    return ca


def _ca_of(chain: Sequence[x509.Certificate], pinned: x509.Certificate, now: float) -> bytes:
    """Return the CA that the chain is under: the pinned one, or one that followed it. Raises VerificationError."""
    try:
        verify_chain(chain, [pinned], now)
    except VerificationError:
        followed = successor_in(chain, [pinned], now)
        if followed is None:
            raise
        return followed[0]
    return pinned.public_bytes(Encoding.PEM)


async def find_successor(place: tuple[str, int], ca: bytes, now: float) -> tuple[bytes, bytes] | None:
    """Look at the chain that the server at `place` shows, for a CA that followed the pinned one. None when there is none, or no answer.

    See `auth.succession.successor_in` for what is returned.
    """
    from auth.onlooker import fetch_chain  # noqa: PLC0415 - as above

    try:
        chain = await fetch_chain(*place)
        return await asyncio.to_thread(successor_in, chain, load_chain(ca), now)
    except LedgerError:
        return None


async def check_server(host: str, port: int, context: ssl.SSLContext, *, patience: float = PATIENCE) -> None:
    """Raise unless a full handshake with `context` succeeds: VerificationError or UnreachableError."""
    try:
        async with asyncio.timeout(patience):
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
    except (OSError, TimeoutError) as e:
        raise connection_error(f"{host}:{port}", e) from e


def connection_error(place: str, error: BaseException) -> LedgerError:
    """Return the domain error for what a connection attempt raised."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return VerificationError(f"{place} cannot be trusted: {error.verify_message}.", advice="Check the URL and the CA of this home.")
    if isinstance(error, ssl.SSLError):
        return VerificationError(f"{place} does not speak TLS 1.3.", advice="Check that the URL names a ledger's HTTPS port.")
    return UnreachableError(f"{place} does not answer.")
