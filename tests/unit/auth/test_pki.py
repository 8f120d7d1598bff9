"""The private CA: what it signs, what it refuses, and how chains and lists are judged."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from auth.pki import (
    CertificateAuthority,
    Issued,
    Revoked,
    common_name,
    decode_tls_key,
    encode_tls_key,
    fingerprint,
    load_chain,
    make_request,
    new_tls_key,
    parse_request,
    verify_chain,
)
from ledger.core.errors import FormatError, UsageError, VerificationError
from tests.support.identities import NOW

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400


@pytest.fixture(scope="module")
def ca() -> CertificateAuthority:
    return CertificateAuthority.create("edge CA", NOW)


def issue(ca: CertificateAuthority, *hosts: str, now: float = NOW, days: int = 90) -> Issued:
    return ca.issue(parse_request(make_request(new_tls_key(), "master", hosts)), now, days=days)


def test_ca_is_a_ca_for_ten_years(ca: CertificateAuthority) -> None:
    (certificate,) = load_chain(ca.certificate)
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(ca=True, path_length=0)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert usage.crl_sign
    assert (certificate.not_valid_after_utc.timestamp() - NOW) / DAY == 3_650
    assert common_name(certificate.subject) == "edge CA"
    assert ca.fingerprint == certificate.fingerprint(hashes.SHA256()).hex()


def test_ca_loads_again_and_only_with_its_own_key(ca: CertificateAuthority) -> None:
    assert CertificateAuthority.load(ca.certificate, ca.encode_key()).fingerprint == ca.fingerprint
    for certificate, key in ((ca.certificate, encode_tls_key(new_tls_key())), (b"junk", ca.encode_key()), (ca.certificate, b"junk")):
        with pytest.raises(FormatError):
            CertificateAuthority.load(certificate, key)


def test_leaf_says_what_was_asked(ca: CertificateAuthority) -> None:
    issued = issue(ca, "localhost", "edge.example", "127.0.0.1", "::1")
    leaf, root = load_chain(issued.chain)
    assert fingerprint(root) == ca.fingerprint
    assert common_name(leaf.subject) == "master"
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "edge.example"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not leaf.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    assert f"{leaf.serial_number:x}" == issued.serial
    assert leaf.not_valid_after_utc.timestamp() == issued.expires == NOW + 90 * DAY
    assert leaf.not_valid_before_utc.timestamp() == NOW - 300
    verify_chain([leaf], [root], NOW)


@pytest.mark.parametrize(("days", "given"), [(1, 1), (90, 90), (91, 90), (10_000, 90), (0, 1)])
def test_leaf_lives_90_days_at_most(ca: CertificateAuthority, days: int, given: int) -> None:
    assert issue(ca, days=days).expires == NOW + given * DAY


def test_leaf_does_not_outlive_its_ca() -> None:
    short = CertificateAuthority.create("short", NOW, days=10)
    assert issue(short).expires == NOW + 10 * DAY
    with pytest.raises(UsageError, match="expired"):
        issue(short, now=NOW + 11 * DAY)


def test_serials_differ(ca: CertificateAuthority) -> None:
    assert issue(ca).serial != issue(ca).serial


def test_whoever_issues_may_narrow_the_request(ca: CertificateAuthority) -> None:
    request = parse_request(make_request(new_tls_key(), "root", ["bank.example"]))
    (leaf, _) = load_chain(ca.issue(replace(request, name="edge7", hosts=()), NOW).chain)
    assert common_name(leaf.subject) == "edge7"
    with pytest.raises(x509.ExtensionNotFound):
        leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)


@pytest.mark.parametrize(
    "host", ["", "*.example", "Host", "a b", "a..b", "-a", "a-", "a\n", "https://a", "é.example", "127.0.0.1/8", "x" * 64, "a." * 127]
)
def test_hosts_that_are_none_are_refused(host: str) -> None:
    with pytest.raises(UsageError):
        make_request(new_tls_key(), "master", [host])


def test_names_and_counts_are_bounded() -> None:
    for name in ("", "x" * 65):
        with pytest.raises(UsageError):
            make_request(new_tls_key(), name, [])
    with pytest.raises(UsageError):
        make_request(new_tls_key(), "master", [f"h{n}" for n in range(33)])


def request_pem(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, *names: x509.GeneralName, common: int = 1
) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edge7")] * common)
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(serialization.Encoding.PEM)


def test_ed25519_and_p384_requests_are_taken(ca: CertificateAuthority) -> None:
    for key in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())):
        verify_chain(load_chain(ca.issue(parse_request(request_pem(key)), NOW).chain)[:1], load_chain(ca.certificate), NOW)


def test_hostile_requests_are_format_errors() -> None:
    key = new_tls_key()
    good = request_pem(key)
    hostile = [
        b"",
        b"junk",
        good[:-60],
        good + b"x" * 20_000,
        encode_tls_key(key),
        request_pem(rsa.generate_private_key(65_537, 2_048)),
        request_pem(ec.generate_private_key(ec.SECP521R1())),
        request_pem(key, common=0),
        request_pem(key, x509.DNSName("*.example")),
        request_pem(key, x509.RFC822Name("a@b.example")),
        request_pem(key, x509.UniformResourceIdentifier("https://a")),
        request_pem(key, *[x509.DNSName(f"h{n}") for n in range(40)]),
    ]
    for pem in hostile:
        with pytest.raises(FormatError):
            parse_request(pem)


def test_request_signed_by_another_key_is_refused() -> None:
    request = x509.load_pem_x509_csr(request_pem(new_tls_key()))
    der = bytearray(request.public_bytes(serialization.Encoding.DER))
    at = bytes(der).index(b"edge7")
    der[at : at + 5] = b"admin"
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(FormatError, match="own key"):
        parse_request(forged)


def test_chain_is_judged_at_the_given_time(ca: CertificateAuthority) -> None:
    chain, anchors = load_chain(issue(ca).chain), load_chain(ca.certificate)
    verify_chain(chain, anchors, NOW)
    verify_chain(chain, anchors, NOW + 90 * DAY - 1)
    for when, why in ((NOW - 301, "not yet valid"), (NOW + 90 * DAY + 1, "expired")):
        with pytest.raises(VerificationError, match=why):
            verify_chain(chain, anchors, when)


def test_chain_of_another_ca_of_the_same_name_is_refused(ca: CertificateAuthority) -> None:
    other = CertificateAuthority.create("edge CA", NOW)
    for anchors in (load_chain(other.certificate), []):
        with pytest.raises(VerificationError):
            verify_chain(load_chain(issue(ca).chain), anchors, NOW)
    with pytest.raises(VerificationError):
        verify_chain([], load_chain(ca.certificate), NOW)


def test_leaf_is_no_ca(ca: CertificateAuthority) -> None:
    """A member with a certificate cannot make certificates."""
    key = new_tls_key()
    chain = load_chain(ca.issue(parse_request(make_request(key, "eve", [])), NOW).chain)
    moment = datetime.fromtimestamp(NOW, UTC)
    forged = (
        x509.CertificateBuilder()
        .subject_name(chain[0].subject)
        .issuer_name(chain[0].subject)
        .public_key(new_tls_key().public_key())
        .serial_number(7)
        .not_valid_before(moment - timedelta(days=1))
        .not_valid_after(moment + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    with pytest.raises(VerificationError):
        verify_chain([forged, *chain], load_chain(ca.certificate), NOW)


def test_revoked_leaf_is_refused(ca: CertificateAuthority) -> None:
    good, bad = issue(ca), issue(ca)
    anchors = load_chain(ca.certificate)
    crl = ca.revocation_list([Revoked(bad.serial, NOW)], NOW, 2)
    verify_chain(load_chain(good.chain), anchors, NOW, crl=crl)
    with pytest.raises(VerificationError, match="revoked"):
        verify_chain(load_chain(bad.chain), anchors, NOW, crl=crl)
    verify_chain(load_chain(bad.chain), anchors, NOW, crl=ca.revocation_list([], NOW, 1))


def test_list_out_of_date_or_of_another_ca_is_refused(ca: CertificateAuthority) -> None:
    chain, anchors = load_chain(issue(ca).chain), load_chain(ca.certificate)
    crl = ca.revocation_list([], NOW, 1)
    verify_chain(chain, anchors, NOW + 30 * DAY, crl=crl)
    with pytest.raises(VerificationError, match="CRL"):
        verify_chain(chain, anchors, NOW + 31 * DAY, crl=crl)
    other = CertificateAuthority.create("edge CA", NOW).revocation_list([], NOW, 1)
    for wrong in (other, CertificateAuthority.create("other CA", NOW).revocation_list([], NOW, 1), b"junk", b""):
        with pytest.raises(VerificationError):
            verify_chain(chain, anchors, NOW, crl=wrong)


def test_tls_key_files() -> None:
    key = new_tls_key()
    assert decode_tls_key(encode_tls_key(key)).private_numbers() == key.private_numbers()
    ed = ed25519.Ed25519PrivateKey.generate()
    other = ed.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for junk in (b"", b"junk", other):
        with pytest.raises(FormatError):
            decode_tls_key(junk)


@pytest.mark.openssl
def test_openssl_agrees_on_chain_and_list(ca: CertificateAuthority, tmp_path: Path) -> None:
    good, bad = issue(ca, "localhost", "127.0.0.1"), issue(ca, "localhost")
    (tmp_path / "ca.pem").write_bytes(ca.certificate)
    (tmp_path / "crl.pem").write_bytes(ca.revocation_list([Revoked(bad.serial, NOW)], NOW, 1))

    def openssl(issued: Issued, *options: str) -> str:
        (tmp_path / "leaf.pem").write_bytes(issued.chain)
        command = [shutil.which("openssl") or "", "verify", "-x509_strict", "-crl_check", "-attime", str(NOW)]
        files = ["-CAfile", str(tmp_path / "ca.pem"), "-CRLfile", str(tmp_path / "crl.pem"), str(tmp_path / "leaf.pem")]
        done = subprocess.run([*command, *options, *files], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    assert openssl(good, "-verify_hostname", "localhost", "-purpose", "sslserver").endswith("OK\n")
    assert openssl(good, "-verify_ip", "127.0.0.1").endswith("OK\n")
    assert "mismatch" in openssl(good, "-verify_hostname", "elsewhere")
    assert "revoked" in openssl(bad)
