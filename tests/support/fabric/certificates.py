"""Members of an organisation, signed by the authority that `cryptogen` made, with what it has no option for: attributes and an expiry."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID, ObjectIdentifier

from ledger.home.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ATTRIBUTES = ObjectIdentifier("1.2.3.4.5.6.7.8.1")  # where Fabric CA puts attributes, as JSON
YEAR = dt.timedelta(days=365)
HOUR = dt.timedelta(hours=1)


def make_member(organisation: Path, name: str, valid: dt.timedelta | None, attributes: Mapping[str, str]) -> tuple[str, str]:
    """Return certificate and key (PKCS #8) as PEM texts. `valid` from now on; below zero it expired that long ago."""
    (certificate_file,) = (organisation / "ca").glob("*.pem")
    (key_file,) = (organisation / "ca").glob("*_sk")
    authority = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    signer = load_pem_private_key(key_file.read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    # Node organisational units: who is a client is said by its certificate.
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "client"), x509.NameAttribute(NameOID.COMMON_NAME, name)])
    until = dt.datetime.fromtimestamp(SystemClock().now(), dt.UTC) + (YEAR if valid is None else valid)
    # The authority is a few seconds old. Fabric takes no member that is older, but for one that has expired.
    begin = authority.not_valid_before_utc
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin if begin < until else until - HOUR)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if attributes:
        value = json.dumps({"attrs": dict(attributes)}).encode()
        made = made.add_extension(x509.UnrecognizedExtension(ATTRIBUTES, value), critical=False)
    text = made.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
    return text, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
