"""Scopes: how they follow from the state, and what they open."""

from __future__ import annotations

import pytest

from auth.principal import JOIN, OPERATE, READ, SCOPES, WRITE, Principal, format_scopes, narrow, parse_scopes, scopes_of
from ledger.core.errors import NotAllowedError
from tests.support.identities import Members


def test_every_live_member_reads_and_writes() -> None:
    assert scopes_of(Members().add("bob")) == {READ, WRITE}


@pytest.mark.parametrize("right", ["admin", "service", "operate"])
def test_operate_follows_from_permissions(right: str) -> None:
    assert scopes_of(Members().add("bob", "node", right)) == {READ, WRITE, OPERATE}


@pytest.mark.parametrize("label", ["admin", "service", "operate"])
def test_type_is_a_label_and_gives_nothing(label: str) -> None:
    assert scopes_of(Members().add("bob", "user", kind=label)) == {READ, WRITE}


def test_invite_joins() -> None:
    assert scopes_of(Members().invite("edge7")) == {JOIN}


def test_join_includes_read_and_nothing_else() -> None:
    joiner = Principal("edge7", "k", frozenset({JOIN}))
    assert [scope for scope in sorted(SCOPES) if joiner.allows(scope)] == [JOIN, READ]


def test_require_names_the_scope() -> None:
    reader = Principal("bob", "k", frozenset({READ}))
    reader.require(READ)
    with pytest.raises(NotAllowedError, match="write") as caught:
        reader.require(WRITE)
    assert caught.value.context == {"scope": WRITE}
    with pytest.raises(NotAllowedError, match="none"):
        Principal("bob", "k", frozenset()).require(READ)


def test_scopes_as_text() -> None:
    assert parse_scopes("write  read ") == {READ, WRITE}
    assert parse_scopes("") == frozenset()
    assert format_scopes({WRITE, READ}) == "read write"
    for unknown in ("admin", "read,write", "READ", "read\twrite", "x" * 10_000):
        with pytest.raises(NotAllowedError) as caught:
            parse_scopes(unknown)
        assert len(caught.value.message) < 100


def test_narrow() -> None:
    member = frozenset({READ, WRITE})
    assert narrow(member, None) == member
    assert narrow(member, frozenset()) == member
    assert narrow(member, frozenset({READ})) == {READ}
    assert narrow(frozenset({JOIN}), frozenset({READ, JOIN})) == {READ, JOIN}
    with pytest.raises(NotAllowedError, match="operate"):
        narrow(member, frozenset({OPERATE}))
