"""Certificates and keys as Fabric's own tools write them, for peers that are not there."""

from __future__ import annotations

import datetime as dt

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from blockchain_adapters.hyperledger.peer import Profile

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def self_made(name: str = "User1@org1.test") -> tuple[str, str]:
    """Return a certificate that nobody else signed, and its key (PKCS #8), as PEM texts."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "client")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(START)
        .not_valid_after(START + dt.timedelta(days=3_650))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM).decode(), pem.decode()


def lone_profile(peer: str, tls_ca: str | None = None) -> Profile:
    """Return a profile for a peer that knows nobody."""
    certificate, key = self_made()
    return Profile(peer, "Org1MSP", certificate, key, certificate if tls_ca is None else tls_ca, "ledger", "metaledger")
