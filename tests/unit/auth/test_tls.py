"""TLS contexts: version and verification, and files that cannot be served."""

from __future__ import annotations

import inspect
import os
import ssl
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization

from auth import onlooker, tls
from auth.pki import CertificateAuthority, encode_tls_key, make_request, new_tls_key, parse_request
from auth.tls import ServerIdentity, client_context, connection_error
from ledger.core.errors import FormatError, NotFoundError, UnreachableError, UsageError, VerificationError
from ledger.home.files import create_file
from tests.support.identities import NOW

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def ca() -> CertificateAuthority:
    return CertificateAuthority.create("edge CA", NOW)


def files(ca: CertificateAuthority, place: Path) -> tuple[Path, Path]:
    key = new_tls_key()
    issued = ca.issue(parse_request(make_request(key, "master", ["localhost"])), NOW)
    create_file(place / "cert.pem", issued.chain, mode=0o644)
    create_file(place / "key.pem", encode_tls_key(key))
    return place / "cert.pem", place / "key.pem"


def test_client_verifies_and_speaks_only_tls_1_3(ca: CertificateAuthority) -> None:
    for context in (client_context(ca.certificate), client_context()):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_3
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.check_hostname


def test_client_trusts_the_given_cas_alone(ca: CertificateAuthority) -> None:
    assert client_context(ca.certificate).cert_store_stats()["x509_ca"] == 1
    second = CertificateAuthority.create("next CA", NOW)
    assert client_context(ca.certificate + second.certificate).cert_store_stats()["x509_ca"] == 2
    for junk in (b"", b"junk"):
        with pytest.raises(FormatError):
            client_context(junk)


def test_no_parameter_turns_verification_off() -> None:
    names = {name for module in (tls, onlooker) for _, function in inspect.getmembers(module, callable) for name in _parameters(function)}
    assert not {name for name in names if any(word in name for word in ("verify", "insecure", "check", "trust"))}


def _parameters(function: object) -> set[str]:
    if getattr(function, "__module__", "") not in (tls.__name__, onlooker.__name__) or not callable(function):
        return set()
    return set(inspect.signature(function).parameters)


def test_client_refuses_a_file_without_a_list(ca: CertificateAuthority, tmp_path: Path) -> None:
    create_file(tmp_path / "junk.pem", b"junk")
    for path in (tmp_path / "junk.pem", tmp_path / "none.pem"):
        with pytest.raises(UsageError):
            client_context(ca.certificate, crl=path)
    create_file(tmp_path / "crl.pem", ca.revocation_list([], NOW, 1))
    context = client_context(ca.certificate, crl=tmp_path / "crl.pem")
    assert context.verify_flags & ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    assert context.cert_store_stats()["crl"] == 1


def test_server_speaks_only_tls_1_3(ca: CertificateAuthority, tmp_path: Path) -> None:
    identity = ServerIdentity(*files(ca, tmp_path))
    assert identity.context.minimum_version == ssl.TLSVersion.TLSv1_3
    assert identity.expires == NOW + 90 * 86_400
    assert not identity.reload_if_changed()


def test_server_refuses_files_it_cannot_serve(ca: CertificateAuthority, tmp_path: Path) -> None:
    certificate, key = files(ca, tmp_path)
    other = tmp_path / "other.pem"
    create_file(other, encode_tls_key(new_tls_key()))
    locked = tmp_path / "locked.pem"
    best = serialization.BestAvailableEncryption(b"pw")
    create_file(locked, new_tls_key().private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, best))
    for wrong in ((certificate, other), (certificate, locked), (key, key), (certificate, certificate)):
        with pytest.raises(UsageError):
            ServerIdentity(*wrong)
    with pytest.raises(NotFoundError):
        ServerIdentity(certificate, tmp_path / "none.pem")
    key.chmod(0o640)
    with pytest.raises(UsageError, match="0640"):
        ServerIdentity(certificate, key)


def test_bad_renewal_is_an_error_and_tried_again(ca: CertificateAuthority, tmp_path: Path) -> None:
    certificate, key = files(ca, tmp_path)
    identity = ServerIdentity(certificate, key)
    good = certificate.read_bytes()
    certificate.write_bytes(b"junk")
    for _ in range(2):
        with pytest.raises(UsageError):
            identity.reload_if_changed()
    certificate.write_bytes(good)
    os.utime(certificate, ns=(1, 1))
    assert identity.reload_if_changed()
    certificate.unlink()
    with pytest.raises(NotFoundError):
        identity.reload_if_changed()


def test_connection_errors_are_told_apart() -> None:
    untrusted = ssl.SSLCertVerificationError(1, "no")
    untrusted.verify_message = "certificate has expired"
    assert isinstance(connection_error("host:1", untrusted), VerificationError)
    assert "certificate has expired" in connection_error("host:1", untrusted).message
    assert isinstance(connection_error("host:1", ssl.SSLError(1, "alert")), VerificationError)
    assert isinstance(connection_error("host:1", ConnectionRefusedError()), UnreachableError)
    assert isinstance(connection_error("host:1", TimeoutError()), UnreachableError)
