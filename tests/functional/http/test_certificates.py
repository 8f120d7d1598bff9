"""Certificates over HTTPS: for a member's own name, revoked with the member."""

from __future__ import annotations

import asyncio
import stat
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from auth.pki import common_name, load_chain, make_request, new_tls_key, verify_chain
from ledger.core.errors import VerificationError

if TYPE_CHECKING:
    from tests.support.masters import Identity, Network, Reply

REQUEST = "application/pkcs10"


async def ask(network: Network, who: Identity, name: str, hosts: tuple[str, ...] = ("127.0.0.1", "node.test")) -> Reply:
    pem = make_request(new_tls_key(), name, hosts)
    return await network.call("POST", "/v1/certificates", who=who, headers={"Content-Type": REQUEST}, body=pem)


async def test_member_gets_a_certificate_of_its_name(network: Network) -> None:
    member = await network.enrol("node-1")
    reply = await ask(network, member, "node-1")
    assert reply.status == 201
    chain = load_chain(reply.json["certificate"].encode())
    assert common_name(chain[0].subject) == "node-1"
    anchors = load_chain(await asyncio.to_thread(network.home.ca_file.read_bytes))
    verify_chain(chain, anchors, network.clock.now())
    hosts = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert hosts.get_values_for_type(x509.DNSName) == ["node.test"]
    book = network.home.tls / "issued.jsonl"
    assert stat.S_IMODE((await asyncio.to_thread(book.stat)).st_mode) == 0o600


@pytest.mark.parametrize("name", ["master", "admin", "node-2", "NODE-1"])
async def test_certificate_of_another_name_is_refused(network: Network, name: str) -> None:
    member = await network.enrol("node-1")
    reply = await ask(network, member, name)
    assert (reply.status, reply.json["code"]) == (403, "not-allowed")


@pytest.mark.parametrize("body", [b"", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", b"x" * 20_000])
async def test_request_that_is_none_is_refused(network: Network, body: bytes) -> None:
    member = await network.enrol("node-1")
    reply = await network.call("POST", "/v1/certificates", who=member, headers={"Content-Type": REQUEST}, body=body)
    assert reply.status in {400, 413}


async def test_dropped_member_is_on_the_revocation_list(network: Network) -> None:
    member, stays = await network.enrol("node-1"), await network.enrol("node-2")
    member_id = next(iter(network.versions))
    kept = load_chain((await ask(network, stays, "node-2")).json["certificate"].encode())
    lost = load_chain((await ask(network, member, "node-1")).json["certificate"].encode())
    anchors = load_chain(await asyncio.to_thread(network.home.ca_file.read_bytes))
    before = (await network.get("/v1/crl")).body
    verify_chain(lost, anchors, network.clock.now(), crl=before)
    assert (await network.publish(network.drop("member", member_id))).status == 201
    after = (await network.get("/v1/crl")).body
    verify_chain(kept, anchors, network.clock.now(), crl=after)
    with pytest.raises(VerificationError):
        verify_chain(lost, anchors, network.clock.now(), crl=after)
    assert (await ask(network, member, "node-1")).status == 401


async def test_certificate_needs_a_member(network: Network) -> None:
    reply = await network.call("POST", "/v1/certificates", headers={"Content-Type": REQUEST}, body=b"x")
    assert reply.status == 401
