"""The private certificate authority of a network: CA, leaves, revocation list, checks of chains.

Keys are ECDSA P-256: no browser takes Ed25519 certificates, and the dashboard is for browsers.
The common name of a leaf is the name of the member that serves with it; hosts stand in the subject
alternative names, addresses as addresses. A leaf's file carries the CA behind the leaf, so that a
newcomer who only knows the CA's fingerprint can pick it out of the handshake.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ledger.core.errors import FormatError, UsageError, VerificationError
from ledger.core.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_REQUEST = 16_384  # bytes of a PEM
MAX_HOSTS = 32
CRL_DAYS = 30
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*\Z", re.ASCII)
_BROKEN = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, x509.InvalidVersion)

LeafKey = ec.EllipticCurvePublicKey | Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """What somebody wants certified. Whoever issues decides first which name and hosts are due."""

    name: str
    hosts: tuple[str, ...]
    key: LeafKey


@dataclass(frozen=True, slots=True)
class Issued:
    """A new certificate: the leaf and the CA in one PEM, its serial number (hex), when it ends."""

    chain: bytes
    serial: str
    expires: int


@dataclass(frozen=True, slots=True)
class Revoked:
    """A line of the revocation list: a serial number (hex) and when it was revoked."""

    serial: str
    at: int


def new_tls_key() -> ec.EllipticCurvePrivateKey:
    """Return a new key for TLS."""
    return ec.generate_private_key(ec.SECP256R1())


def encode_tls_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a TLS key as PKCS8 PEM, for a file of mode 0600."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def decode_tls_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Return the TLS key of a PKCS8 PEM; raises FormatError."""
    try:
        key = serialization.load_pem_private_key(pem, None)
    except _BROKEN as e:
        raise FormatError("That is no private key in plain PKCS8 PEM.") from e
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise FormatError("That is no ECDSA key.")
    return key


def make_request(key: ec.EllipticCurvePrivateKey, name: str, hosts: Sequence[str]) -> bytes:
    """Return a PEM certificate request for `name` at `hosts` (DNS names and addresses)."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(name))
    if hosts:
        builder = builder.add_extension(_alternatives(hosts), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def parse_request(pem: bytes) -> CertificateRequest:
    """Return what a PEM request asks for, once its own signature is checked; raises FormatError."""
    if len(pem) > MAX_REQUEST:
        raise FormatError(f"A certificate request has at most {MAX_REQUEST} bytes.")
    try:
        request = x509.load_pem_x509_csr(pem)
        if not request.is_signature_valid:
            raise FormatError("The certificate request is not signed by its own key.")
        name, hosts, key = common_name(request.subject), hosts_of(request.extensions), request.public_key()
    except (*_BROKEN, InvalidSignature) as e:
        raise FormatError("That is no certificate request that can be taken.") from e
    if isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name not in ("secp256r1", "secp384r1"):
            raise FormatError(f"The curve {key.curve.name} is not taken; use P-256.")
    elif not isinstance(key, Ed25519PublicKey):
        raise FormatError("Only ECDSA and Ed25519 keys are certified.")
    return CertificateRequest(name, hosts, key)


def common_name(subject: x509.Name) -> str:
    """Return the one common name of a subject; raises FormatError."""
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1:
        raise FormatError("The subject must have one common name.")
    return str(names[0].value)


def _subject(name: str) -> x509.Name:
    if not 0 < len(name) <= 64:  # noqa: PLR2004 - X.520's upper bound of a common name
        raise UsageError(f"A common name has 1 to 64 characters: {name[:80]!r}.")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternatives(hosts: Sequence[str]) -> x509.SubjectAlternativeName:
    """Return hosts as alternative names; raises UsageError for one that is no host."""
    if len(hosts) > MAX_HOSTS:
        raise UsageError(f"A certificate names at most {MAX_HOSTS} hosts.")
    return x509.SubjectAlternativeName([_host(host) for host in hosts])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not _HOST.match(host):
        raise UsageError(f"{host[:80]!r} is neither a host name nor an address.", advice="Names are lower case, without wildcards.")
    return x509.DNSName(host)


def hosts_of(extensions: x509.Extensions) -> tuple[str, ...]:
    """Return the host names and addresses that a request or a certificate names; raises FormatError for other kinds of names."""
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    hosts = tuple(str(name.value) for name in names if isinstance(name, x509.DNSName | x509.IPAddress))
    if len(hosts) != len(list(names)):
        raise FormatError("Only host names and addresses are certified.")
    try:
        _alternatives(hosts)
    except UsageError as e:
        raise FormatError(e.message) from e
    return hosts


class CertificateAuthority:
    """The CA of a network. Holds its private key; repr shows the fingerprint only.

    `former` (PEM) is shown behind what it issues: how this CA follows the one before (`auth.succession`).
    """

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, former: bytes = b"") -> None:
        self._certificate = certificate
        self._key = key
        self._former = former

    def __repr__(self) -> str:
        return f"CertificateAuthority({self.fingerprint})"

    @classmethod
    def create(cls, name: str, now: float, *, days: int = LIMITS.ca_days) -> CertificateAuthority:
        """Return a new CA of the common name `name`, good for ten years."""
        key = new_tls_key()
        builder = _builder(_subject(name), _subject(name), key.public_key(), _validity(now, days))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(ca=True), critical=True)
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, certificate: bytes, key: bytes, former: bytes = b"") -> CertificateAuthority:
        """Return the CA of two PEMs, and of what to show of the CAs before; raises FormatError if they are none or no pair."""
        first = load_chain(certificate)[0]
        private = decode_tls_key(key)
        if first.public_key() != private.public_key():
            raise FormatError("The CA's certificate and key do not belong together.")
        return cls(first, private, former)

    @property
    def certificate(self) -> bytes:
        """Return the CA's certificate as PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def name(self) -> str:
        """Return the CA's common name."""
        return common_name(self._certificate.subject)

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of the CA's certificate, hex: what a join token pins."""
        return fingerprint(self._certificate)

    def encode_key(self) -> bytes:
        """Return the CA's private key as PEM, for a file of mode 0600."""
        return encode_tls_key(self._key)

    def issue(self, request: CertificateRequest, now: float, *, days: int = LIMITS.member_certificate_days) -> Issued:
        """Return a certificate for exactly what `request` says, for at most 90 days.

        Raises UsageError for hosts that are none and for a CA about to end.
        """
        start, end = _validity(now, max(1, min(days, LIMITS.member_certificate_days)))
        end = min(end, self._certificate.not_valid_after_utc)
        if end <= start:
            raise UsageError("The CA itself has expired.", advice="ledger-cli rotate ca")
        builder = _builder(_subject(request.name), self._certificate.subject, request.key, (start, end))
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(ca=False), critical=True)
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        builder = builder.add_extension(self._authority_id(), critical=False)
        if request.hosts:
            builder = builder.add_extension(_alternatives(request.hosts), critical=False)
        leaf = builder.sign(self._key, hashes.SHA256())
        chain = leaf.public_bytes(serialization.Encoding.PEM) + self.certificate + self._former
        return Issued(chain, f"{leaf.serial_number:x}", int(end.timestamp()))

    def link_to(self, new: CertificateAuthority, now: float, *, days: int = LIMITS.member_certificate_days) -> bytes:
        """Return the link by which `new` follows this CA (PEM): its key, certified as long as certificates of this CA may last."""
        subject, key = new._certificate.subject, new._key.public_key()
        builder = _builder(subject, self._certificate.subject, key, _validity(now, days))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(ca=True), critical=True).add_extension(self._authority_id(), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def revocation_list(self, revoked: Iterable[Revoked], now: float, number: int) -> bytes:
        """Return a signed list (PEM CRL), good for 30 days; `number` grows from list to list."""
        start, end = _validity(now, CRL_DAYS)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._certificate.subject).last_update(start).next_update(end)
        builder = builder.add_extension(self._authority_id(), critical=False).add_extension(x509.CRLNumber(number), critical=False)
        for line in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(int(line.serial, 16)).revocation_date(_moment(line.at))
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _authority_id(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def _validity(now: float, days: int) -> tuple[datetime, datetime]:
    """Return a span that begins a little earlier, for clocks that are behind."""
    return _moment(now - LIMITS.skew_seconds), _moment(now) + timedelta(days=days)


def _builder(subject: x509.Name, issuer: x509.Name, key: LeafKey, span: tuple[datetime, datetime]) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(span[0]).not_valid_after(span[1])
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate's DER, hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def load_chain(pem: bytes) -> list[x509.Certificate]:
    """Return the certificates of a PEM, at least one; raises FormatError."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except _BROKEN as e:
        raise FormatError("That is no certificate in PEM.") from e


def verify_chain(chain: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate], now: float, *, crl: bytes | None = None) -> None:
    """Check that `chain`, leaf first, leads to one of `anchors` at `now`, and that no link is bad.

    With `crl` (PEM) the leaf must also stand on no current list of its issuer, and without such a
    list it is refused. Raises VerificationError. Host names are checked by TLS itself.
    """
    if not chain:
        raise VerificationError("There is no certificate to check.")
    from OpenSSL import crypto  # noqa: PLC0415 - 20 ms that reading a certificate need not pay

    try:
        store = crypto.X509Store()
        for anchor in anchors:
            store.add_cert(crypto.X509.from_cryptography(anchor))
        flags = crypto.X509StoreFlags.X509_STRICT
        if crl is not None:
            store.add_crl(x509.load_pem_x509_crl(crl))
            flags |= crypto.X509StoreFlags.CRL_CHECK
        store.set_flags(flags)
        store.set_time(_moment(now))
        leaf, *rest = [crypto.X509.from_cryptography(link) for link in chain]
        crypto.X509StoreContext(store, leaf, rest).verify_certificate()
    except crypto.X509StoreContextError as e:
        raise VerificationError(f"The certificate cannot be trusted: {e}.") from e
    except (*_BROKEN, crypto.Error) as e:
        raise VerificationError("The certificate or the revocation list cannot be read.") from e
