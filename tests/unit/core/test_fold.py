"""The fold beside its vectors: reasons and codes, views that find too much, pinning, and the check that is passed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ledger.core.canonical import dump
from ledger.core.envelope import Envelope, parse_envelope
from ledger.core.errors import ConflictError, CryptoLibraryError, FormatError, NotAllowedError, SignatureError, VersionMismatchError
from ledger.core.fold import KNOWN_FOLD, Void, judge, present_root
from ledger.core.rights import rights_of
from ledger.core.state import Accepted, DictState, KeyRecord
from tests.support.fold_story import Story, key, member, permissions, root_body, sign_payload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger.core.keys import PublicKey

SCHEMA: dict[str, Any] = {"kind": "node", "unique": [["n"]], "refs": [{"attr": "on", "kind": "leaf", "drop": "refuse"}]}


@pytest.fixture
def story() -> Story:
    begun = Story("unit")
    begun.ok("root", "put", "root/root", root_body())
    begun.ok("p1", "put", "permissions/p1", permissions("p1", ["*", "member", "invite"], ["p1"]))
    begun.ok("m1", "put", "member/m1", member("m1", "p1"), "root", "m1")
    begun.ok("s1", "put", "schema/s1", SCHEMA)
    begun.ok("l1", "put", "leaf/l1", {}, "m1")
    begun.ok("n1", "put", "node/n1", {"n": 1, "on": "l1"}, "m1")
    return begun


def void(story: Story, envelope: Envelope | bytes) -> Void:
    outcome = judge(story.state, envelope, len(story.entries))
    assert isinstance(outcome, Void)
    return outcome


def test_present_root_is_none_until_version_1(story: Story) -> None:
    assert present_root(DictState()) is None
    root = present_root(story.state)
    assert root is not None
    assert (root.version, root.fold) == (1, KNOWN_FOLD)


def test_accepted_root_fixes_the_network_and_binds_its_keys() -> None:
    story = Story("unit")
    envelope = story.signed("put", "root/root", root_body(), "root")
    outcome = judge(story.state, envelope, 5)
    assert isinstance(outcome, Accepted)
    assert outcome.network == envelope.statement.digest
    assert outcome.keys == (KeyRecord(key("root").public.keyid, "root", 5), KeyRecord(key("mark").public.keyid, "mark", 5))
    assert outcome.records[0].owner == "root"


def test_join_spends_the_invite_in_the_same_entry(story: Story) -> None:
    story.ok("invite", "put", "invite/i1", member("ivy", "p1", key_of="i1", expires="2030-01-01T00:00:00Z"), "m1", "i1")
    envelope = story.signed("put", "member/", member("ivy", "p1", invite="i1"), "i1", "ivy")
    outcome = judge(story.state, envelope, 9)
    assert isinstance(outcome, Accepted)
    joined, spent = outcome.records
    assert joined.owner == joined.id == envelope.statement.id
    assert (spent.id, spent.live, spent.body, spent.owner, spent.first) == ("i1", False, None, "m1", 6)
    assert (spent.digest, spent.index, spent.by, spent.iat) == (joined.digest, 9, joined.by, joined.iat)
    assert outcome.keys == (KeyRecord(key("ivy").public.keyid, joined.id, 9),)


def test_key_of_an_invite_makes_no_second_version(story: Story) -> None:
    story.ok("invite", "put", "invite/i1", member("ivy", "p1", key_of="i1", expires="2030-01-01T00:00:00Z"), "m1", "i1")
    reason = void(story, story.signed("put", "member/m1", member("m1", "p1"), "i1")).reason
    assert reason == "the key of an invite only joins"


def test_schema_names_the_kinds_to_file_anew(story: Story) -> None:
    outcome = judge(story.state, story.signed("patch", "schema/s1", {"kind": "tab"}, "root"), 9)
    assert isinstance(outcome, Accepted)
    assert outcome.reindex == ("node", "tab")


@pytest.mark.parametrize(
    ("statement", "signers", "error", "reason"),
    [
        (("put", "node/n2", {"id": 1}), ("m1",), FormatError, "no member id or ledger"),
        (("put", "node/n2", {"n": 1}), ("m1",), ConflictError, "node n1 has the same n"),
        (("put", "node/n2", {"on": 1}), ("m1",), FormatError, "an id or a set of ids"),
        (("put", "node/n2", {"on": "l2"}), ("m1",), ConflictError, "refers to l2"),
        (("drop", "leaf/l1", None), ("m1",), ConflictError, "node n1 refers to it"),
        (("patch", "node/n2", {}), ("m1",), VersionMismatchError, "never accepted before"),
        (("drop", "leaf/n1", None), ("m1",), ConflictError, "of kind node for ever"),
        (("put", "schema/s2", SCHEMA), ("m1",), NotAllowedError, "by root only"),
        (("put", "schema/s2", SCHEMA), ("root",), ConflictError, "schema s1 is for the same kind"),
        (("put", "member/m2", member("m1", "p1", key_of="m2")), ("m1", "m2"), ConflictError, "has that name"),
        (("put", "member/m2", member("m2", "p1", key_of="m1")), ("root",), ConflictError, "bound to m1"),
        (("put", "member/m2", member("m2", "p2")), ("m1", "m2"), NotAllowedError, "grants p2"),
        (("put", "node/n2", {}), ("stranger",), NotAllowedError, "no key of a live member"),
        (("put", "node/n2", {}), ("m1", "root"), SignatureError, "may not sign this"),
        (("put", "member/m2", member("m2", "p1")), ("m1",), SignatureError, "not signed by the author"),
        (("put", "mark/mark", {"time": "2026-01-01T00:00:00Z", "state": None}), ("root",), NotAllowedError, "mark key"),
    ],
)
def test_void_says_why(
    story: Story, statement: tuple[str, str, Any], signers: tuple[str, ...], error: type[Exception], reason: str
) -> None:
    outcome = void(story, story.signed(*statement, *signers))
    assert type(outcome.error()) is error
    assert reason in outcome.reason
    assert outcome.error().code == outcome.code


def test_statement_that_does_not_follow_is_a_version_mismatch(story: Story) -> None:
    stale = story.signed("put", "node/n1", {}, "m1", prev="0" * 64)
    assert type(void(story, stale).error()) is VersionMismatchError


def test_former_key_of_a_member_is_told_so(story: Story) -> None:
    story.ok("new key", "patch", "member/m1", {"key": key("m1b").public.text}, "m1", "m1b")
    assert "former key" in void(story, story.signed("put", "node/n2", {}, "m1")).reason


def test_wrong_signature_is_void(story: Story) -> None:
    good = story.signed("put", "node/n2", {}, "m1")
    other = sign_payload(good.payload[::-1], "m1")
    bad = good.entry.replace(good.entry[-100:], other.entry[-100:])
    assert void(story, bad).code == "bad-signature"


def test_check_gets_each_key_signature_and_message(story: Story) -> None:
    seen: list[tuple[PublicKey, bytes, bytes]] = []

    def check(public: PublicKey, signature: bytes, message: bytes) -> bool:
        seen.append((public, signature, message))
        return public.verify(signature, message)

    envelope = story.signed("put", "member/m2", member("m2", "p1"), "m1", "m2")
    assert isinstance(judge(story.state, envelope, 9, check=check), Accepted)
    assert {public for public, _, _ in seen} == {key("m1").public, key("m2").public}
    assert isinstance(judge(story.state, envelope, 9, check=lambda *_: False), Void)


def test_broken_library_is_no_verdict(story: Story) -> None:
    def check(*_: object) -> bool:
        raise CryptoLibraryError("broken")

    with pytest.raises(CryptoLibraryError):
        judge(story.state, story.signed("put", "node/n2", {}, "m1"), 9, check=check)


def test_pinned_view_takes_its_own_root_only(story: Story) -> None:
    first = story.entries[0]
    network = parse_envelope(first).statement.digest
    assert isinstance(judge(DictState(network), first, 0), Accepted)
    outcome = judge(DictState("0" * 64), first, 0)
    assert isinstance(outcome, Void)
    assert "another network's" in outcome.reason


def test_nothing_is_accepted_before_the_root(story: Story) -> None:
    for entry in story.entries[1:]:
        outcome = judge(DictState(story.state.network), entry, 0)
        assert isinstance(outcome, Void)
        assert "before root version 1" in outcome.reason


class Overfull(DictState):
    """A view whose look-ups find every id, and one that is not there."""

    def filed(self, lookup: str) -> Iterable[str]:
        return ["nowhere", *(record.id for record in self.records())] if lookup else ()


def test_view_that_finds_too_much_gives_the_same_verdicts(story: Story) -> None:
    for extra in ("n2", "n3"):
        story.ok(extra, "put", f"node/{extra}", {"n": extra}, "m1")
    story.ok("leaf", "put", "leaf/l2", {}, "m1")
    story.ok("assignment to another", "put", "assignment/a1", {"members": ["m9"], "permissions": ["p1"]})
    story.ok("drop", "drop", "node/n3", None, "m1")
    story.ok("permissions of nobody", "put", "permissions/p2", permissions("p2", [], []))
    full = Overfull()
    for index, entry in enumerate(story.entries):
        outcome = judge(full, entry, index)
        assert isinstance(outcome, Accepted)
        full.apply(outcome)
    assert full.state_root() == story.state.state_root()
    size = len(story.entries)
    assert isinstance(judge(full, story.signed("put", "node/n4", {"n": 4}, "m1"), size), Accepted)
    assert isinstance(judge(full, story.signed("put", "node/n4", {"n": 1}, "m1"), size), Void)
    assert isinstance(judge(full, story.signed("drop", "leaf/l2", None, "m1"), size), Accepted)
    assert isinstance(judge(full, story.signed("drop", "leaf/l1", None, "m1"), size), Void)
    holder = full.record("m1")
    assert holder is not None
    assert [record.id for record in rights_of(full, holder)] == ["p1"]


def test_rights_come_from_body_and_assignments(story: Story) -> None:
    story.ok("p2", "put", "permissions/p2", permissions("p2", ["*"], []))
    story.ok("a1", "put", "assignment/a1", {"members": ["m1"], "permissions": ["p2", "p9", "n1"]})
    holder = story.state.record("m1")
    assert holder is not None
    assert sorted(record.id for record in rights_of(story.state, holder)) == ["p1", "p2"]
    story.ok("p1 gone", "drop", "permissions/p1")
    assert [record.id for record in rights_of(story.state, holder)] == ["p2"]


def test_patched_body_has_a_most_of_bytes(story: Story) -> None:
    body: dict[str, Any] = {"a": "x" * 15_000}
    story.ok("half", "put", "thing/t", body)
    rest = 31_744 - len(dump({**body, "b": ""}))
    story.no("one too many", "patch", "thing/t", {"b": "y" * (rest + 1)})
    story.ok("just", "patch", "thing/t", {"b": "y" * rest})
