"""A CA that follows another is found by the link that the old one signed, and by nothing else that a server may show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from auth.pki import CertificateAuthority, CertificateRequest, load_chain, new_tls_key, verify_chain
from auth.succession import anchors, is_under, still_good, successor_in
from ledger.core.errors import VerificationError

if TYPE_CHECKING:
    from cryptography import x509

NOW = 1_800_000_000.0
DAY = 86_400


@dataclass(frozen=True)
class Steps:
    """Three CAs, each following the one before, and what the homes of the last one keep."""

    cas: tuple[CertificateAuthority, ...]
    links: tuple[bytes, ...]

    def certs(self, number: int) -> list[x509.Certificate]:
        return load_chain(self.cas[number].certificate)


@pytest.fixture(scope="module")
def steps() -> Steps:
    cas = tuple(CertificateAuthority.create(f"net CA #{number}", NOW) for number in range(3))
    return Steps(cas, (cas[0].link_to(cas[1], NOW), cas[1].link_to(cas[2], NOW)))


def shown(ca: CertificateAuthority, *more: bytes) -> list[x509.Certificate]:
    """Return the chain of a server under `ca` that shows `more` behind it."""
    request = CertificateRequest("master", ("127.0.0.1",), new_tls_key().public_key())
    return load_chain(ca.issue(request, NOW).chain + b"".join(more))


def test_a_link_leads_from_the_pinned_ca_to_the_present_one(steps: Steps) -> None:
    chain = shown(steps.cas[1], steps.links[0], steps.cas[0].certificate)
    found = successor_in(chain, steps.certs(0), NOW)
    assert found is not None
    assert found[0] == steps.cas[1].certificate
    trusted = load_chain(anchors(found[0], found[1], NOW))
    assert trusted == [*steps.certs(1), *steps.certs(0)]
    verify_chain(shown(steps.cas[0]), trusted, NOW)
    verify_chain(chain, trusted, NOW)


def test_two_links_lead_over_a_ca_that_was_never_met(steps: Steps) -> None:
    former = steps.links[1] + steps.cas[1].certificate + steps.links[0] + steps.cas[0].certificate
    found = successor_in(shown(steps.cas[2], former), steps.certs(0), NOW)
    assert found is not None
    assert found[0] == steps.cas[2].certificate
    assert set(load_chain(anchors(*found, NOW))) == {*steps.certs(0), *steps.certs(1), *steps.certs(2)}


def test_the_old_ca_is_trusted_as_long_as_its_link(steps: Steps) -> None:
    former = steps.links[0] + steps.cas[0].certificate
    later = NOW + 91 * DAY
    assert load_chain(anchors(steps.cas[1].certificate, former, later)) == steps.certs(1)
    assert successor_in(shown(steps.cas[1], former), steps.certs(0), later) is None
    assert (still_good(former, NOW), still_good(former, later), still_good(b"", NOW)) == (former, b"", b"")
    assert load_chain(anchors(steps.cas[1].certificate, b"", NOW)) == steps.certs(1)


def test_what_no_pinned_ca_signed_leads_nowhere(steps: Steps) -> None:
    thief = CertificateAuthority.create("net CA #1", NOW)
    twin = CertificateAuthority.create("net CA #0", NOW)
    for more in (
        (),
        (steps.links[0], steps.cas[0].certificate),  # a link to another CA than the one shown
        (thief.link_to(thief, NOW), steps.cas[0].certificate),
        (twin.link_to(thief, NOW), twin.certificate),  # of one with the name of the pinned CA, and another key
    ):
        assert successor_in(shown(thief, *more), steps.certs(0), NOW) is None


def test_a_servers_certificate_is_no_link(steps: Steps) -> None:
    """A member whose certificate the old CA issued makes a CA of the same key: that must not count."""
    forged = CertificateAuthority.create("net CA #1", NOW)
    issued = steps.cas[0].issue(CertificateRequest("net CA #1", (), forged._key.public_key()), NOW)
    chain = shown(forged, load_chain(issued.chain)[0].public_bytes(Encoding.PEM), steps.cas[0].certificate)
    assert successor_in(chain, steps.certs(0), NOW) is None


def test_a_link_does_not_make_the_new_ca_an_issuer_under_the_old_one(steps: Steps) -> None:
    """Homes that know nothing of links refuse the chain: they look for one, and do not take it for a path."""
    chain = shown(steps.cas[1], steps.links[0])
    with pytest.raises(VerificationError):
        verify_chain(chain, steps.certs(0), NOW)


def test_who_issued_a_certificate_is_told(steps: Steps) -> None:
    chain = steps.cas[1].issue(CertificateRequest("n", (), new_tls_key().public_key()), NOW).chain
    assert is_under(chain, steps.cas[1].certificate)
    assert not is_under(chain, steps.cas[0].certificate)
    assert not is_under(b"", steps.cas[0].certificate)
