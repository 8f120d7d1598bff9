"""From policies as people write them to statements, and back."""

from __future__ import annotations

import pytest

from ledger.client.answers import EntrySeen, Published, value_of
from ledger.client.authoring import Author, Wish, bind, parse_draft, put, seal, show
from ledger.core.errors import ConflictError, FormatError, NotAllowedError
from ledger.core.state import Record
from ledger.core.statement import derive_id
from tests.support.small_network import IAT, SmallNetwork, key


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ([], "one root key"),
        ({}, "one root key"),
        ({"a": {}, "b": {}}, "one root key"),
        ({"1a": {}}, "is no kind"),
        ({"a": []}, "holds no object"),
        ({"a": {"id": 5}}, "is no id"),
        ({"a": {"id": "a b"}}, "is no id"),
        ({"a": {"id": "../../x"}}, "is no id"),
    ],
)
def test_what_is_no_policy_is_refused(policy: object, said: str) -> None:
    with pytest.raises(FormatError, match=said):
        parse_draft(policy)  # type: ignore[arg-type]  # anything may come


def test_an_id_follows_from_the_content_unless_given() -> None:
    draft = parse_draft({"a": {"x": 1, "ledger": "global"}})
    assert draft.policy_id == derive_id("a", {"x": 1})
    assert put(draft) == Wish("put", "a", draft.policy_id, {"x": 1})
    assert parse_draft({"a": {"x": 1, "id": "me"}}).policy_id == "me"


def test_each_kind_has_its_author() -> None:
    member, admin = key("author"), key("admin")
    both = Author(member, admin)
    assert both.for_kind("site") == (member.public.keyid, member)
    assert both.for_kind("schema") == ("root", admin)
    assert both.for_kind("site", as_root=True) == ("root", admin)
    with pytest.raises(NotAllowedError, match="no member key"):
        Author(admin=admin).for_kind("site")
    for lacking in (Author(), Author(member)):
        with pytest.raises(NotAllowedError, match="no admin key"):
            lacking.for_kind("permissions")


def test_a_statement_is_signed_by_all() -> None:
    wish = Wish("put", "a", "me", {"x": 1})
    statement = bind(wish, ledger="0" * 64, prev=None, by=key("author").public.keyid, iat=IAT)
    envelope = seal(statement, [key("author"), key("new")])
    assert {one.keyid for one in envelope.signatures} == {key("author").public.keyid, key("new").public.keyid}


def test_a_shown_policy_has_id_date_and_ledger() -> None:
    record = Record("a", "me", True, "d" * 64, 4, 4, "", "k", IAT, {"x": 1})
    assert show(record) == {"a": {"x": 1, "id": "me", "date": IAT, "ledger": "global"}}
    dated = Record("a", "me", True, "d" * 64, 4, 4, "", "k", IAT, {"date": "2020-01-01T00:00:00Z"})
    assert value_of(show(dated, ledger="local")) == {"date": "2020-01-01T00:00:00Z", "id": "me", "ledger": "local"}


def test_entries_are_shown_whatever_they_hold() -> None:
    (entry, *_) = [envelope.entry for envelope in SmallNetwork().things(1)]
    good = EntrySeen(5, entry).facts(whole=True)
    assert (good["verdict"], good["body"], len(str(good["digest"]))) == ("accepted", {"name": "thing 0", "number": 0}, 64)
    void = EntrySeen(5, entry, "conflict", "the name is taken").facts()
    assert list(void)[:4] == ["index", "verdict", "code", "reason"]
    assert "body" not in void
    broken = EntrySeen(6, b"\x00\xff", "format", "no envelope").facts()
    assert (broken["entry"], broken["code"]) == ("00ff", "format")


def test_a_refusal_is_shown_with_its_error() -> None:
    facts = Published("i", "k", "refused", "d", error=ConflictError("taken")).facts()
    assert facts["error"] == {"code": "conflict", "message": "taken"}
    assert "error" not in Published("i", "k", "published", "d", 4).facts()
