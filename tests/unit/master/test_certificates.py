"""Whose a host is, and the book of what was issued."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import orjson
import pytest

from auth.pki import CertificateAuthority, make_request, new_tls_key, parse_request
from auth.principal import WRITE, Principal
from ledger.core.errors import ConflictError, CorruptError
from ledger.home.files import create_file
from master.certificates import HostRule, Issue, IssueBook, places
from tests.support.identities import NOW, Members, key_of

if TYPE_CHECKING:
    from pathlib import Path

OWN = ("ledger.example", "10.0.0.1", "localhost", "127.0.0.1", "::1")


@pytest.fixture
def members() -> Members:
    found = Members()
    for name in ("master", "node-1", "node-2"):
        found.add(name)
    return found


@pytest.fixture
def rule(tmp_path: Path, members: Members) -> HostRule:
    authority = CertificateAuthority.create("net CA", NOW)
    issued = authority.issue(parse_request(make_request(new_tls_key(), "master", OWN)), NOW)
    create_file(tmp_path / "cert.pem", issued.chain)
    return HostRule("master", tmp_path / "cert.pem", members)


def who(name: str) -> Principal:
    return Principal(name, key_of(name).public.keyid, frozenset({WRITE}), id=f"id-{name}")


def issue(name: str, *hosts: str, key: str | None = None) -> Issue:
    return Issue(f"id-{name}", name, "1", NOW, NOW + 100, key_of(key or name).public.keyid, hosts)


@pytest.mark.parametrize("host", ["ledger.example", "10.0.0.1", "::ffff:10.0.0.1", "::ffff:a00:1"])
def test_host_of_the_master_is_the_masters(rule: HostRule, host: str) -> None:
    with pytest.raises(ConflictError, match="is of master"):
        rule.require_free(["node-1.example", host], who("node-1"), rule.own(), [])
    rule.require_free([host], who("master"), rule.own(), [])


def test_host_belongs_to_the_first_member_that_has_it(rule: HostRule) -> None:
    book = [issue("node-2", "site.example", "10.0.0.7", "127.0.0.1")]
    for host in ("site.example", "10.0.0.7"):
        with pytest.raises(ConflictError, match="is of node-2"):
            rule.require_free([host], who("node-1"), frozenset(), book)
        with pytest.raises(ConflictError, match="is of node-2"):
            rule.require_free([host], who("master"), frozenset(), book)
        rule.require_free([host], who("node-2"), frozenset(), book)
    rule.require_free(["other.example", "10.0.0.8"], who("node-1"), frozenset(), book)


def test_host_is_free_when_its_member_is_gone_or_has_another_key(rule: HostRule, members: Members) -> None:
    book = [issue("node-2", "site.example")]
    members.rekey("node-2", key_of("new"))
    rule.require_free(["site.example"], who("node-1"), frozenset(), book)
    members.drop("node-2")
    rule.require_free(["site.example"], who("node-1"), frozenset(), book)


def test_member_of_the_same_name_is_another_member(rule: HostRule) -> None:
    book = [Issue("id-former", "node-2", "1", NOW, NOW + 100, key_of("node-2").public.keyid, ("site.example",))]
    rule.require_free(["site.example"], who("node-2"), frozenset(), book)


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_names_of_the_loopback_are_everybodys(rule: HostRule, host: str) -> None:
    assert places([host]) == frozenset()
    rule.require_free([host], who("node-1"), rule.own(), [issue("node-2", host)])


def test_book_is_read_again_as_it_was_written(tmp_path: Path) -> None:
    book, one = IssueBook(tmp_path / "book"), issue("node-1", "a.example", "10.0.0.1")
    book.add(one)
    assert IssueBook(tmp_path / "book").current(NOW) == [one]
    assert IssueBook(tmp_path / "book").current(NOW + 100) == []


def test_line_of_a_former_version_has_no_key_and_no_hosts(tmp_path: Path, rule: HostRule) -> None:
    former = {name: value for name, value in asdict(issue("node-1")).items() if name not in {"keyid", "hosts"}}
    create_file(tmp_path / "book", orjson.dumps(former) + b"\n")
    (found,) = IssueBook(tmp_path / "book").current(NOW)
    assert (found.keyid, found.hosts, rule.is_due(found)) == ("", (), True)


def test_half_a_line_at_the_end_is_dropped_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "book"
    IssueBook(path).add(issue("node-1"))
    with path.open("ab") as file:
        file.write(b'{"member":"id-node-2","na')
    book = IssueBook(path)
    assert [one.name for one in book.current(NOW)] == ["node-1"]
    book.add(issue("node-2"))
    assert [one.name for one in IssueBook(path).current(NOW)] == ["node-1", "node-2"]


@pytest.mark.parametrize("line", [b"x", b"[]", b"{}", b'{"member":"a","nonsense":1}'])
def test_line_that_cannot_be_read_stops_the_master(tmp_path: Path, line: bytes) -> None:
    create_file(tmp_path / "book", line + b"\n")
    with pytest.raises(CorruptError):
        IssueBook(tmp_path / "book")
