"""Certificates over HTTPS: for a member's own name, revoked with the member."""

from __future__ import annotations

import asyncio
import stat
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from auth.keystore import generate_key
from auth.pki import CertificateAuthority, common_name, load_chain, make_request, new_tls_key, parse_request, verify_chain
from auth.revocation import parse_list
from auth.succession import FORMER, anchors
from ledger.client.ownca import renew_own
from ledger.core.errors import VerificationError
from ledger.home.files import write_file
from master.certificates import MOST_A_DAY
from master.renewal import rotate_ca
from tests.support.live import eventually

if TYPE_CHECKING:
    from ledger.core.canonical import JSONObject
    from tests.support.masters import Identity, Network, Reply

REQUEST = "application/pkcs10"


async def ask(network: Network, who: Identity, name: str, hosts: tuple[str, ...] | None = None) -> Reply:
    pem = make_request(new_tls_key(), name, hosts or ("127.0.0.1", f"{who.name}.test"))
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
    assert hosts.get_values_for_type(x509.DNSName) == ["node-1.test"]
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


async def test_host_of_another_member_is_refused_until_that_member_is_gone(network: Network) -> None:
    first = await network.enrol("node-1")
    first_id = next(iter(network.versions))
    second = await network.enrol("node-2")
    assert (await ask(network, first, "node-1", ("site.example", "127.0.0.1"))).status == 201
    reply = await ask(network, second, "node-2", ("site.example",))
    assert (reply.status, reply.json["code"], reply.json["holder"]) == (409, "conflict", "node-1")
    assert (await ask(network, first, "node-1", ("site.example",))).status == 201
    assert (await network.publish(network.drop("member", first_id))).status == 201
    assert (await ask(network, second, "node-2", ("site.example",))).status == 201


async def test_host_of_the_master_is_refused(network: Network) -> None:
    def renew() -> None:
        ca = CertificateAuthority.load(network.home.ca_file.read_bytes(), (network.home.tls / "ca.key").read_bytes())
        request = parse_request(make_request(new_tls_key(), "master", ["ledger.example", "127.0.0.1"]))
        write_file(network.home.certificate_file, ca.issue(request, network.clock.now()).chain)

    member = await network.enrol("node-1")
    assert (await ask(network, member, "node-1", ("ledger.example",))).status == 201
    await asyncio.to_thread(renew)
    reply = await ask(network, member, "node-1", ("ledger.example",))
    assert (reply.status, reply.json["holder"]) == (409, "master")


async def test_certificate_ends_with_the_key_that_asked_for_it(network: Network) -> None:
    member = await network.enrol("node-1")
    member_id = next(iter(network.versions))
    lost = load_chain((await ask(network, member, "node-1")).json["certificate"].encode())
    key = generate_key()
    body: JSONObject = {"name": "node-1", "type": "node", "key": key.public.text, "permissions": ["permissions.node"]}
    assert (await network.publish(network.put("member", body, who=member, policy_id=member_id, also=key))).status == 201
    anchors = load_chain(await asyncio.to_thread(network.home.ca_file.read_bytes))
    with pytest.raises(VerificationError):
        verify_chain(lost, anchors, network.clock.now(), crl=(await network.get("/v1/crl")).body)


async def test_member_gets_a_few_certificates_a_day(network: Network) -> None:
    member = await network.enrol("node-1")
    for _ in range(MOST_A_DAY):
        assert (await ask(network, member, "node-1")).status == 201
    reply = await ask(network, member, "node-1")
    assert (reply.status, reply.json["code"]) == (503, "busy")
    assert 80_000 < reply.json["retry_after"] <= 86_400
    assert (await ask(network, await network.enrol("node-2"), "node-2")).status == 201
    network.clock.step = 86_400
    member.token = None
    assert (await ask(network, member, "node-1")).status == 201


async def test_revocation_list_is_made_once_while_nothing_changes(network: Network) -> None:
    member = await network.enrol("node-1")
    await ask(network, member, "node-1")
    lists = [(await network.get("/v1/crl")).body for _ in range(3)]
    assert lists[0] == lists[1] == lists[2]
    await ask(network, member, "node-1")
    assert (await network.get("/v1/crl")).body != lists[0]


async def test_certificate_by_the_former_ca_is_on_the_list_of_the_new_one_when_its_member_is_dropped(network: Network) -> None:
    member, home = await network.enrol("node-1"), network.home
    member_id = next(iter(network.versions))
    lost = load_chain((await ask(network, member, "node-1")).json["certificate"].encode())[0]
    old = await asyncio.to_thread(home.ca_file.read_bytes)
    await asyncio.to_thread(rotate_ca, home, network.clock)
    new = await asyncio.to_thread(home.ca_file.read_bytes)

    async def listed() -> bytes:
        return bytes((await network.get("/v1/crl")).body)

    async def by_the_new_ca() -> bool:
        return is_of(await listed(), new)

    await eventually(by_the_new_ca, "the master lists by the new CA")
    assert not is_of(await listed(), old)
    assert lost.serial_number not in parse_list(await listed(), new).serials
    assert (await network.publish(network.drop("member", member_id))).status == 201
    assert lost.serial_number in parse_list(await listed(), new).serials


def is_of(pem: bytes, ca: bytes) -> bool:
    try:
        parse_list(pem, ca)
    except VerificationError:
        return False
    return True


async def test_certificates_of_the_master_are_on_no_list_and_end_with_the_trust_in_their_ca(network: Network) -> None:
    """docs/security.md, Keys: what is done about a stolen TLS key of the master."""
    home = network.home
    before = load_chain(await asyncio.to_thread(home.certificate_file.read_bytes))
    old = load_chain(await asyncio.to_thread(home.ca_file.read_bytes))
    await asyncio.to_thread(renew_own, home, network.clock)
    serials = parse_list((await network.get("/v1/crl")).body, await asyncio.to_thread(home.ca_file.read_bytes)).serials
    assert before[0].serial_number not in serials
    verify_chain(before, old, network.clock.now())
    await asyncio.to_thread(rotate_ca, home, network.clock)
    new = await asyncio.to_thread(home.ca_file.read_bytes)
    former = await asyncio.to_thread((home.tls / FORMER).read_bytes)
    now = network.clock.now()
    verify_chain(before, load_chain(anchors(new, former, now)), now)
    with pytest.raises(VerificationError):  # ca-old.pem is deleted
        verify_chain(before, load_chain(anchors(new, b"", now)), now)
    verify_chain(load_chain(await asyncio.to_thread(home.certificate_file.read_bytes)), load_chain(new), now)
