"""Revocation lists as a client reads them."""

from __future__ import annotations

import pytest

from auth.pki import CertificateAuthority, Revoked
from auth.revocation import parse_list
from ledger.core.errors import FormatError, VerificationError

NOW = 1_795_000_000.0


@pytest.fixture(scope="module")
def ca() -> CertificateAuthority:
    return CertificateAuthority.create("network CA", NOW)


def test_a_list_of_the_ca_is_read_however_old_it_is(ca: CertificateAuthority) -> None:
    found = parse_list(ca.revocation_list([Revoked("ff", int(NOW)), Revoked("1", int(NOW))], NOW, 7), ca.certificate)
    assert (found.number, found.serials) == (7, frozenset({255, 1}))
    assert parse_list(ca.revocation_list([], NOW - 400 * 86_400, 8), ca.certificate).serials == frozenset()


def test_a_list_of_another_ca_of_the_same_name_counts_for_nothing(ca: CertificateAuthority) -> None:
    other = CertificateAuthority.create("network CA", NOW)
    with pytest.raises(VerificationError):
        parse_list(other.revocation_list([], NOW, 7), ca.certificate)
    assert parse_list(other.revocation_list([], NOW, 7), ca.certificate + other.certificate).number == 7


@pytest.mark.parametrize("pem", [b"", b"junk", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"])
def test_what_is_no_list_is_a_format_error(ca: CertificateAuthority, pem: bytes) -> None:
    with pytest.raises(FormatError):
        parse_list(pem, ca.certificate)
