"""Real TLS servers on loopback: who is trusted, who is not, and how a newcomer pins a CA."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import uvloop
from cryptography import x509

from auth.onlooker import fetch_chain
from auth.pki import CertificateAuthority, Revoked, common_name, encode_tls_key, fingerprint, make_request, new_tls_key, parse_request
from auth.tls import ServerIdentity, check_server, client_context, pin_ca
from ledger.core.errors import UnreachableError, VerificationError
from ledger.home.clock import SystemClock
from ledger.home.files import create_file, write_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HOST = "127.0.0.1"
DAY = 86_400
NOW = SystemClock().now()

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Site:
    """The files of one server and the CA that it is under."""

    ca: CertificateAuthority
    place: Path
    identity: ServerIdentity

    def renew(self, *hosts: str) -> None:
        key = new_tls_key()
        issued = self.ca.issue(parse_request(make_request(key, "master", hosts)), NOW)
        write_file(self.place / "key.pem", encode_tls_key(key))
        write_file(self.place / "cert.pem", issued.chain, mode=0o644)


def site(place: Path, *hosts: str, ca: CertificateAuthority | None = None, now: float = NOW, behind: bytes | None = None) -> Site:
    """Return a server for `hosts`; `behind` replaces the CA that its chain shows."""
    ca = ca or CertificateAuthority.create("edge CA", NOW - 200 * DAY)
    key = new_tls_key()
    issued = ca.issue(parse_request(make_request(key, "master", hosts or ("localhost", HOST))), now)
    leaf = issued.chain[: issued.chain.index(b"-----END CERTIFICATE-----\n") + 26]
    place.mkdir(exist_ok=True)
    create_file(place / "key.pem", encode_tls_key(key))
    create_file(place / "cert.pem", issued.chain if behind is None else leaf + behind, mode=0o644)
    return Site(ca, place, ServerIdentity(place / "cert.pem", place / "key.pem"))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def serving(context: ssl.SSLContext | None, answer: Answer = echo) -> AsyncIterator[int]:
    server = await asyncio.start_server(answer, HOST, 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(0.05)  # a server of Python 3.11 cannot be asked whether its last handshake has ended


@pytest.fixture
def good(tmp_path: Path) -> Site:
    return site(tmp_path / "good")


async def test_presented_chain_is_leaf_then_ca(good: Site) -> None:
    async with serving(good.identity.context) as port:
        leaf, ca = await fetch_chain(HOST, port)
    assert common_name(leaf.subject) == "master"
    assert fingerprint(ca) == good.ca.fingerprint


@pytest.mark.parametrize("host", [HOST, "localhost"])
async def test_pin_by_fingerprint(good: Site, host: str) -> None:
    async with serving(good.identity.context) as port:
        assert await pin_ca(host, port, good.ca.fingerprint, NOW) == good.ca.certificate


async def test_another_ca_of_the_same_name_is_not_pinned(good: Site, tmp_path: Path) -> None:
    impostor = await asyncio.to_thread(site, tmp_path / "impostor")
    async with serving(impostor.identity.context) as port:
        with pytest.raises(VerificationError, match="join token") as caught:
            await pin_ca(HOST, port, good.ca.fingerprint, NOW)
    assert caught.value.context == {"expected": good.ca.fingerprint, "presented": impostor.ca.fingerprint}


async def test_showing_the_true_ca_behind_a_false_leaf_does_not_help(good: Site, tmp_path: Path) -> None:
    """The CA's certificate is public: only its signature on the leaf counts."""
    impostor = await asyncio.to_thread(lambda: site(tmp_path / "impostor", behind=good.ca.certificate))
    async with serving(impostor.identity.context) as port:
        with pytest.raises(VerificationError, match="cannot be trusted"):
            await pin_ca(HOST, port, good.ca.fingerprint, NOW)


async def test_fingerprint_of_the_leaf_is_no_ca(good: Site) -> None:
    async with serving(good.identity.context) as port:
        leaf, _ = await fetch_chain(HOST, port)
        with pytest.raises(VerificationError):
            await pin_ca(HOST, port, fingerprint(leaf), NOW)


async def test_another_host_is_refused(tmp_path: Path) -> None:
    elsewhere = await asyncio.to_thread(site, tmp_path / "elsewhere", "edge.example", "127.0.0.2")
    async with serving(elsewhere.identity.context) as port:
        for host in (HOST, "localhost"):
            with pytest.raises(VerificationError, match="mismatch"):
                await pin_ca(host, port, elsewhere.ca.fingerprint, NOW)


async def test_name_in_the_subject_alone_is_no_host(tmp_path: Path) -> None:
    ca = CertificateAuthority.create("edge CA", NOW)
    unnamed = await asyncio.to_thread(lambda: site(tmp_path / "unnamed", "other.example", ca=ca))
    async with serving(unnamed.identity.context) as port:
        with pytest.raises(VerificationError):
            await check_server("localhost", port, client_context(ca.certificate))


async def test_expired_certificate_is_refused(tmp_path: Path) -> None:
    old = await asyncio.to_thread(lambda: site(tmp_path / "old", now=NOW - 100 * DAY))
    async with serving(old.identity.context) as port:
        with pytest.raises(VerificationError, match="expired"):
            await pin_ca(HOST, port, old.ca.fingerprint, NOW)
        with pytest.raises(VerificationError, match="expired"):
            await check_server(HOST, port, client_context(old.ca.certificate))


async def test_chain_is_judged_at_the_time_that_the_home_believes(good: Site) -> None:
    async with serving(good.identity.context) as port:
        with pytest.raises(VerificationError, match="expired"):
            await pin_ca(HOST, port, good.ca.fingerprint, NOW + 400 * DAY)


async def test_client_refuses_what_another_ca_signed(good: Site) -> None:
    other = CertificateAuthority.create("edge CA", NOW)
    async with serving(good.identity.context) as port:
        await check_server(HOST, port, client_context(good.ca.certificate))
        for context in (client_context(other.certificate), client_context()):
            with pytest.raises(VerificationError):
                await check_server(HOST, port, context)


@asynccontextmanager
async def old_server(good: Site) -> AsyncIterator[int]:
    """A server of TLS 1.2 that says so in an alert, as asyncio's does not."""

    def answer(listener: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(good.place / "cert.pem", good.place / "key.pem")
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(ssl.SSLError):
                    context.wrap_socket(connection, server_side=True).close()

    with socket.create_server((HOST, 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            await asyncio.to_thread(thread.join)


async def test_server_without_tls_1_3_is_refused(good: Site) -> None:
    async with old_server(good) as port:
        with pytest.raises(VerificationError, match=r"TLS 1\.3"):
            await fetch_chain(HOST, port)
        with pytest.raises(VerificationError, match=r"TLS 1\.3"):
            await pin_ca(HOST, port, good.ca.fingerprint, NOW)
        with pytest.raises(VerificationError, match=r"TLS 1\.3"):
            await check_server(HOST, port, client_context(good.ca.certificate))


async def test_our_server_refuses_a_client_without_tls_1_3(good: Site) -> None:
    context = ssl.create_default_context(cadata=good.ca.certificate.decode())
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(good.identity.context) as port:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(HOST, port, ssl=context)


async def test_what_is_no_tls_server_is_refused() -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.close()

    async with serving(None, talk) as port:
        with pytest.raises(VerificationError):
            await fetch_chain(HOST, port)
    async with serving(None, hang_up) as port:
        with pytest.raises(UnreachableError):
            await fetch_chain(HOST, port)
    with pytest.raises(UnreachableError):
        await fetch_chain(HOST, port)
    with pytest.raises(UnreachableError):
        await check_server(HOST, port, client_context())


async def test_silent_server_is_given_up() -> None:
    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with serving(None, wait) as port:
        with pytest.raises(UnreachableError):
            await fetch_chain(HOST, port, patience=0.2)
        with pytest.raises(UnreachableError):
            await check_server(HOST, port, client_context(), patience=0.2)


async def test_endless_handshake_is_given_up() -> None:
    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        record = b"\x16\x03\x03\x40\x00" + b"\x02\xff\xff\xff" + bytes(16_380)
        with suppress(OSError):
            for _record in range(64):
                writer.write(record)
                await writer.drain()
        writer.close()

    async with serving(None, flood) as port:
        with pytest.raises((VerificationError, UnreachableError)):
            await fetch_chain(HOST, port, patience=5)


async def test_revoked_server_is_refused_with_a_list(good: Site, tmp_path: Path) -> None:
    leaf = x509.load_pem_x509_certificates(await asyncio.to_thread((good.place / "cert.pem").read_bytes))[0]
    clean, revoked = tmp_path / "clean.pem", tmp_path / "revoked.pem"

    def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
        create_file(clean, good.ca.revocation_list([], NOW, 1))
        create_file(revoked, good.ca.revocation_list([Revoked(f"{leaf.serial_number:x}", int(NOW))], NOW, 2))
        return client_context(good.ca.certificate, crl=clean), client_context(good.ca.certificate, crl=revoked)

    trusting, refusing = await asyncio.to_thread(contexts)
    async with serving(good.identity.context) as port:
        await check_server(HOST, port, trusting)
        with pytest.raises(VerificationError, match="revoked"):
            await check_server(HOST, port, refusing)


async def serial(host: str, port: int) -> int:
    return (await fetch_chain(host, port))[0].serial_number


async def renewal(good: Site) -> None:
    """Renew while connections stand; they go on, new ones get the new certificate."""
    context = client_context(good.ca.certificate)
    async with serving(good.identity.context) as port:
        before = [await serial(host, port) for host in (HOST, "localhost")]
        reader, writer = await asyncio.open_connection(HOST, port, ssl=context)
        await asyncio.to_thread(good.renew, "localhost", HOST)
        assert [await serial(host, port) for host in (HOST, "localhost")] == before
        assert await asyncio.to_thread(good.identity.reload_if_changed)
        after = [await serial(host, port) for host in (HOST, "localhost")]
        assert len({*before, *after}) == 2
        await check_server(HOST, port, context)
        writer.write(b"still here\n")
        assert await reader.readline() == b"still here\n"
        writer.close()


async def test_renewed_certificate_is_served_without_a_restart(good: Site) -> None:
    await renewal(good)


def test_renewal_under_uvloop(good: Site) -> None:
    uvloop.run(renewal(good))
