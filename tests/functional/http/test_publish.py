"""Publishing over HTTPS: an acknowledgement is proof, and what cannot stand is refused, never logged."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from auth.keystore import generate_key
from ledger.core.checkpoint import parse_checkpoint
from ledger.core.fold import present_root
from ledger.core.note import good_lines, parse_note, parse_vkey
from ledger.core.receipt import parse_receipt, verify_proof
from tests.support.masters import ENVELOPE, LINES, Identity

if TYPE_CHECKING:
    from ledger.core.canonical import JSONObject
    from ledger.core.envelope import Envelope
    from tests.support.masters import Network, Reply


async def size_of(network: Network) -> int:
    return parse_checkpoint(parse_note((await network.get("/checkpoint")).body).text).size


async def check_receipt(network: Network, text: str, envelope: Envelope) -> int:
    """Check a receipt with the log keys of the root alone; return its index."""
    receipt = parse_receipt(text.encode())
    root = await network.master.store.read(lambda snapshot: present_root(snapshot.state()))
    assert root is not None
    note = parse_note(receipt.note)
    assert good_lines(note, [parse_vkey(key.vkey) for key in root.log_keys])
    assert good_lines(note, [parse_vkey(key) for key in root.clock_keys])
    assert receipt.entry == envelope.entry
    assert verify_proof(receipt).size > receipt.index
    return receipt.index


async def publish_lines(network: Network, lines: list[bytes], headers: dict[str, str] | None = None) -> Reply:
    body = b"\n".join(lines)
    return await network.call("POST", "/v1/entries", who=network.admin, headers={"Content-Type": LINES, **(headers or {})}, body=body)


async def test_publish_answers_with_a_receipt_that_holds(network: Network) -> None:
    before = await size_of(network)
    envelope = network.put("site", {"name": "one"})
    reply = await network.publish(envelope)
    assert reply.status == 201
    assert reply.json.keys() == {"index", "id", "digest", "receipt"}
    assert reply.json["id"] == envelope.statement.id
    assert reply.json["digest"] == envelope.statement.digest
    assert reply.json["index"] == await check_receipt(network, reply.json["receipt"], envelope) >= before
    assert reply.headers["Location"] == f"/v1/receipts/{envelope.statement.digest}"
    later = await network.get(reply.headers["Location"], who=network.admin)
    assert await check_receipt(network, later.body.decode(), envelope) == reply.json["index"]


async def test_publish_twice_has_one_effect(network: Network) -> None:
    envelope = network.put("site", {"name": "one"})
    first, second = await network.publish(envelope), await network.publish(envelope)
    assert first.json["index"] == second.json["index"]
    await check_receipt(network, second.json["receipt"], envelope)
    assert await size_of(network) <= first.json["index"] + 1


async def test_publish_takes_other_spellings_and_logs_the_one(network: Network) -> None:
    envelope = network.put("site", {"name": "spelt"})
    outer: dict[str, Any] = json.loads(envelope.entry)
    outer["payload"] = base64.urlsafe_b64encode(envelope.payload).decode()
    odd = json.dumps({"extra": [1], **dict(reversed(outer.items()))}, indent=2).encode()
    reply = await network.call("POST", "/v1/entries", who=network.admin, headers={"Content-Type": ENVELOPE}, body=odd)
    assert reply.status == 201
    await check_receipt(network, reply.json["receipt"], envelope)


async def test_publish_of_what_would_be_void_is_refused_and_not_logged(network: Network) -> None:
    envelope = network.put("site", {"name": "one"})
    await network.publish(envelope)
    size = await size_of(network)
    network.versions.clear()
    conflict = await network.publish(network.put("site", {"name": "two"}, policy_id=envelope.statement.id))
    assert conflict.status in {400, 409}
    stranger = Identity("admin", generate_key())
    forged = await network.publish(network.put("site", {"name": "forged"}, who=stranger), who=network.admin)
    assert forged.status == 403
    damaged = bytearray(network.put("site", {"name": "three"}).entry)
    at = damaged.rindex(b'"sig":"') + 10
    damaged[at : at + 2] = b"AA" if damaged[at : at + 2] != b"AA" else b"BB"
    bad = await network.call("POST", "/v1/entries", who=network.admin, headers={"Content-Type": ENVELOPE}, body=bytes(damaged))
    assert bad.status in {403, 422}
    assert await size_of(network) == size


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b"\xff", b'{"payload":1}', b"{" * 5000, b'{"payload":"e30=","payloadType":"x"}']
)
async def test_publish_of_no_envelope_is_400(network: Network, body: bytes) -> None:
    reply = await network.call("POST", "/v1/entries", who=network.admin, headers={"Content-Type": ENVELOPE}, body=body)
    assert (reply.status, reply.json["code"]) == (400, "format")


async def test_publish_many_answers_line_by_line(network: Network) -> None:
    good = [network.put("site", {"name": f"site-{n}"}) for n in range(40)]
    lines = [envelope.entry for envelope in good]
    lines[7:7] = [b'{"no":"envelope"}']
    reply = await publish_lines(network, [*lines, b"", lines[0]])
    assert reply.status == 200
    answers = [orjson.loads(line) for line in reply.body.splitlines()]
    assert len(answers) == 42
    refused = answers.pop(7)
    assert refused.keys() == {"error"}
    assert (refused["error"]["status"], refused["error"]["code"]) == (400, "format")
    assert answers[-1]["index"] == answers[0]["index"]
    for envelope, answer in zip(good, answers, strict=False):
        assert answer["index"] == await check_receipt(network, answer["receipt"], envelope)


async def test_publish_many_without_receipts(network: Network) -> None:
    envelope = network.put("site", {"name": "one"})
    reply = await publish_lines(network, [envelope.entry], {"Prefer": "return=minimal"})
    assert orjson.loads(reply.body).keys() == {"index", "id", "digest"}
    assert reply.headers["Preference-Applied"] == "return=minimal"


async def test_publish_too_many_is_refused_whole(network: Network) -> None:
    reply = await publish_lines(network, [b"{}"] * 1001)
    assert (reply.status, reply.json["code"]) == (413, "too-large")


async def test_if_match_is_compare_and_set_on_the_size(network: Network) -> None:
    size = await size_of(network)
    stale = await network.publish(network.put("site", {"name": "one"}), headers={"If-Match": f'"{size - 1}"'})
    assert (stale.status, stale.json["code"]) == (412, "size-mismatch")
    assert stale.json["size"] in {size, size + 1}, "a mark of the batch itself may be counted"
    assert (await network.publish(network.put("site", {"name": "two"}), headers={"If-Match": f'"{size}"'})).status == 201
    for odd in (str(size), '"x"', '"', '""', "*"):
        assert (await network.publish(network.put("site", {"name": "three"}), headers={"If-Match": odd})).status == 400


async def test_publish_from_many_tasks_at_once_gives_each_its_own_place(network: Network) -> None:
    envelopes = [network.put("site", {"name": f"site-{n}"}) for n in range(60)]
    await network.login(network.admin)
    replies = await asyncio.gather(*(network.publish(envelope) for envelope in envelopes))
    indices = [await check_receipt(network, reply.json["receipt"], one) for reply, one in zip(replies, envelopes, strict=True)]
    assert len(set(indices)) == 60


async def test_member_hands_in_for_another(network: Network) -> None:
    author, carrier = await network.enrol("author"), await network.enrol("carrier")
    reply = await network.publish(network.put("site", {"name": "relayed"}, who=author), who=carrier)
    assert reply.status == 201


async def test_invite_opens_the_door_for_its_own_member_only(network: Network) -> None:
    guest, key = Identity("guest", generate_key()), generate_key()
    common: JSONObject = {"name": "guest", "type": "node", "permissions": ["permissions.node"]}
    invite: JSONObject = {**common, "key": guest.key.public.text, "expires": "2099-01-01T00:00:00Z"}
    made = await network.publish(network.put("invite", invite, also=guest.key))
    assert made.status == 201, made.body
    assert (await network.ask_token(network.assertion(guest))).json["scope"] == "join"
    assert (await network.get("/v1/entries?start=0", who=guest)).status == 200
    other = await network.publish(network.put("site", {"name": "one"}, who=guest), who=guest)
    assert (other.status, other.json["code"]) == (403, "not-allowed")

    body: JSONObject = {**common, "key": key.public.text, "invite": made.json["id"]}
    joined = await network.publish(network.put("member", body, who=guest, also=key), who=guest)
    assert joined.status == 201, joined.body
    assert (await network.get("/v1/entries?start=0", who=guest)).status == 401, "the invite is used up"
    member = Identity("guest", key)
    assert (await network.publish(network.put("site", {"name": "first"}, who=member), who=member)).status == 201


async def test_state_shows_what_was_published(network: Network) -> None:
    envelope = network.put("site", {"name": "one", "n": 1})
    placed = (await network.publish(envelope)).json
    one = (await network.get(f"/v1/policies/{placed['id']}", who=network.admin)).json
    assert one["size"] > placed["index"]
    assert one["policy"] == {"site": {"name": "one", "n": 1, "id": placed["id"], "date": envelope.statement.iat, "ledger": "global"}}
    assert one["version"]["digest"] == placed["digest"]
    await network.publish(network.put("site", {"name": "one", "n": 2}, policy_id=placed["id"]))
    await network.publish(network.drop("site", placed["id"]))
    now = (await network.get(f"/v1/policies/{placed['id']}", who=network.admin)).json
    assert (now["policy"], now["version"]["live"]) == (None, False)
    then = (await network.get(f"/v1/policies/{placed['id']}?size={placed['index'] + 1}", who=network.admin)).json
    assert then["policy"]["site"]["n"] == 1
    history = (await network.get(f"/v1/policies/{placed['id']}/history", who=network.admin)).json
    assert [version["body"] and version["body"]["n"] for version in history["versions"]] == [1, 2, None]
    assert [version["until"] for version in history["versions"]] == [version["index"] for version in history["versions"][1:]] + [None]


async def test_pages_of_policies_answer_for_one_size(network: Network) -> None:
    lines = [network.put("site", {"name": f"site-{n}"}).entry for n in range(25)]
    assert (await publish_lines(network, lines)).status == 200
    seen, cursor, sizes = [], "", set()
    while True:
        path = "/v1/policies?kind=site&limit=10" + (f"&cursor={cursor}" if cursor else "")
        page = (await network.get(path, who=network.admin)).json
        seen += [policy["site"].get("name") for policy in page["policies"]]
        sizes.add(page["size"])
        await network.publish(network.put("site", {"name": f"meanwhile-{len(seen)}"}))
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [f"site-{n}" for n in range(25)]
    assert len(sizes) == 1


async def test_history_comes_in_pages(network: Network) -> None:
    policy_id = None
    for number in range(7):
        reply = await network.publish(network.put("site", {"n": number}, policy_id=policy_id or "site-1"))
        assert reply.status == 201, reply.body
        policy_id = str(reply.json["id"])
    seen: list[int] = []
    start: int | None = 0
    while start is not None:
        page = (await network.get(f"/v1/policies/{policy_id}/history?start={start}&limit=3", who=network.admin)).json
        assert len(page["versions"]) <= 3
        seen += [version["body"]["n"] for version in page["versions"]]
        start = page["next"]
    assert seen == list(range(7))
