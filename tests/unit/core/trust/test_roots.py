"""Fetched roots: which signatures and members make one the next, and where it can stand in a tree."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.core import envelope
from ledger.core.root import Admin, Root
from ledger.core.statement import Statement
from ledger.core.trust.roots import Continues, FetchedRoot, PlacedRoot, new_continues, parse_continues, parse_next_root, place_fetched
from tests.property.trust.simulator import Master, first_root, next_root, root_entry, signer

MASTER = Master.create()
FIRST = MASTER.tree.last
NETWORK = MASTER.network


def admins(*names: str) -> tuple[Admin, ...]:
    return tuple(Admin(name.lower(), signer(name).public) for name in names)


def follows(root: Root, before: PlacedRoot = FIRST, signed: tuple[str, ...] = ("A1",)) -> bool:
    return parse_next_root(root_entry(root, before, NETWORK, signed), before, NETWORK) is not None


def test_first_root_is_the_one_whose_digest_is_the_network_id() -> None:
    entry = MASTER.tree.entries[0]
    found = parse_next_root(entry, None, NETWORK)
    assert found == FetchedRoot(entry, NETWORK, FIRST.root)
    assert parse_next_root(entry, None, "ab" * 32) is None


@pytest.mark.parametrize("changes", [{"version": 2}, {"admins": admins("A2")}])
def test_first_root_is_of_version_1_and_signed_by_its_own_admins(changes: dict[str, object]) -> None:
    entry = root_entry(first_root(**changes))
    network = envelope.parse_envelope(entry).statement.digest
    assert parse_next_root(entry, None, network) is None


def test_next_root_is_signed_by_the_threshold_of_both() -> None:
    both = replace(FIRST, root=first_root(admins=admins("A1", "A2"), threshold=2))
    handed = next_root(both.root, admins=admins("A3"), threshold=1)
    assert follows(handed, both, ("A1", "A2", "A3"))
    assert not follows(handed, both, ("A1", "A2"))
    assert not follows(handed, both, ("A1", "A3"))
    assert not follows(handed, both, ("A3",))
    assert not follows(handed, both, ("A1", "A2", "A3", "A4"))


@pytest.mark.parametrize("changes", [{"version": 3}, {"version": 1}, {"name": "other"}, {"fold": 3}])
def test_next_root_counts_on_and_keeps_its_name(changes: dict[str, object]) -> None:
    assert follows(next_root(FIRST.root))
    assert follows(next_root(FIRST.root, fold=2))
    assert not follows(replace(next_root(FIRST.root), **changes))  # type: ignore[arg-type] # any field


def test_next_root_names_the_network_and_the_statement_before() -> None:
    entry = root_entry(next_root(FIRST.root), FIRST, "ab" * 32)
    assert parse_next_root(entry, FIRST, NETWORK) is None
    entry = root_entry(next_root(FIRST.root), replace(FIRST, digest="ab" * 32), NETWORK)
    assert parse_next_root(entry, FIRST, NETWORK) is None


def test_signature_must_hold() -> None:
    signed = envelope.parse_envelope(root_entry(next_root(FIRST.root), FIRST, NETWORK))
    broken = envelope.seal(signed.payload, [replaced._replace(sig=bytes(64)) for replaced in signed.signatures])
    assert parse_next_root(broken.entry, FIRST, NETWORK) is None


@pytest.mark.parametrize("by", ["root", signer("A1").public.keyid])
def test_other_statements_are_no_root(by: str) -> None:
    kind = "operator" if by == "root" else "root"
    statement = Statement(
        NETWORK, "put", kind, "root" if kind == "root" else "x", FIRST.digest, by, "2026-11-21T10:00:00Z", next_root(FIRST.root).body
    )
    assert parse_next_root(envelope.sign(statement, [signer("A1")]).entry, FIRST, NETWORK) is None


@pytest.mark.parametrize("raw", [b"", b"{}", b"junk", MASTER.tree.entries[0][:-1]])
def test_bytes_that_are_no_envelope_are_no_root(raw: bytes) -> None:
    assert parse_next_root(raw, FIRST, NETWORK) is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        {},
        {"size": 1},
        {"size": -1, "root": "ab" * 32},
        {"size": True, "root": "ab" * 32},
        {"size": 1, "root": "AB" * 32},
        {"size": 1, "root": "ab" * 32, "x": 1},
    ],
)
def test_continues_of_another_form_has_no_meaning(value: object) -> None:
    assert parse_continues({"type": "log", "continues": value}) is None  # type: ignore[dict-item] # anything


def test_continues_is_new_once() -> None:
    first, second = Continues(3, bytes.fromhex("ab" * 32)), Continues(5, bytes.fromhex("ab" * 32))
    orders = [{"type": "log", "continues": {"size": one.size, "root": one.root.hex()}} for one in (first, second)]
    plain = {"type": "log"}
    roots = [first_root(order=order) for order in (plain, orders[0], orders[0], plain, orders[0], orders[1], orders[0])]
    assert new_continues(roots) == [None, first, None, None, None, second, None]
    assert new_continues([first_root(order=orders[0])]) == [None]
    assert parse_continues(None) is None


def fetched(*roots: Root) -> list[FetchedRoot]:
    return [FetchedRoot(b"", "", root) for root in roots]


def test_fetched_roots_get_the_last_places_of_the_tree() -> None:
    placed = place_fetched([FIRST], fetched(first_root(version=2), first_root(version=3)), 10)
    assert placed is not None
    assert [one.index for one in placed] == [0, 8, 9]
    assert place_fetched([FIRST], fetched(first_root(version=2)), 1) is None
    assert place_fetched([], fetched(first_root()), 0) is None
    assert place_fetched([FIRST], [], 10) == [FIRST]


def test_fetched_root_that_continues_stands_at_its_size() -> None:
    order = {"type": "log", "continues": {"size": 4, "root": "ab" * 32}}
    two, three = first_root(version=2), first_root(version=3, order=order)
    placed = place_fetched([FIRST], fetched(two, three, first_root(version=4, order=order)), 10)
    assert placed is not None
    assert [one.index for one in placed] == [0, 3, 4, 9]
    assert place_fetched([FIRST], fetched(two, three), 4) is None
