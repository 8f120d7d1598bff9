"""Receipts: what one proves, and every way in which it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ledger.client.receipts import ReceiptJudge, stored_receipt
from ledger.core.backend import ChainPosition, Placed
from ledger.core.envelope import parse_envelope
from ledger.core.errors import LedgerError, ProofError, SignatureError, VerificationError
from ledger.core.receipt import parse_receipt
from ledger.engine.signing import log_vkey, placed_roots
from tests.support.small_copy import SmallLog, small_log
from tests.support.small_network import ORIGIN, key

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.core.canonical import JSON, JSONObject


@pytest.fixture
def log(tmp_path: Path) -> SmallLog:
    return small_log(tmp_path / "ledger.db")


def receipt_of(log: SmallLog, index: int) -> bytes:
    entry = log.look(lambda snapshot: snapshot.entry(index))
    found = log.look(lambda snapshot: stored_receipt(snapshot, parse_envelope(entry).statement.digest))
    assert found is not None
    return found


def judge_of(log: SmallLog) -> ReceiptJudge:
    judge = ReceiptJudge()
    judge.learn(log.look(lambda snapshot: placed_roots(snapshot.connection)))
    return judge


def test_a_receipt_holds_by_roots_and_by_pinned_keys(log: SmallLog) -> None:
    raw = receipt_of(log, 4)
    for judge in (judge_of(log), ReceiptJudge(vkeys=[log_vkey(ORIGIN, key("log"))])):
        verified = judge.verify(raw)
        assert (verified.index, verified.kind, verified.policy) == (4, "thing", "not compared")
        assert judge.verify(raw) == verified  # and again, from what it knows


def test_without_keys_nothing_holds(log: SmallLog) -> None:
    with pytest.raises(SignatureError, match="has pinned no log key"):
        ReceiptJudge().verify(receipt_of(log, 4))


def test_a_receipt_signed_by_another_log_is_refused(log: SmallLog) -> None:
    with pytest.raises(LedgerError):
        ReceiptJudge(vkeys=[log_vkey(ORIGIN, key("other"))]).verify(receipt_of(log, 4))


def test_a_receipt_under_another_index_is_refused(log: SmallLog) -> None:
    receipt = parse_receipt(receipt_of(log, 4))
    with pytest.raises(VerificationError):
        judge_of(log).verify(replace(receipt, index=5).encode())
    with pytest.raises(VerificationError):
        judge_of(log).verify(replace(receipt, entry=parse_receipt(receipt_of(log, 5)).entry).encode())


def test_the_policy_of_a_receipt_is_compared(log: SmallLog) -> None:
    raw, judge = receipt_of(log, 4), judge_of(log)
    statement = parse_envelope(parse_receipt(raw).entry).statement
    body: JSONObject = dict(statement.body or {})
    assert judge.verify(raw, policy={"thing": {**body, "id": statement.id}}).policy == "the same"
    shown: JSON = {"thing": {**body, "id": statement.id, "date": "2026-01-01T00:00:00Z", "ledger": "global"}}
    assert judge.verify(raw, policy=shown).policy == "the same"
    others: list[JSON] = [
        {"thing": {**body, "id": statement.id, "more": 1}},
        {"thing": {**body, "id": "other"}},
        {"site": {**body, "id": statement.id}},
        {"thing": {**body, "id": statement.id, "date": "2026-01-01T00:00:00Z"}},
    ]
    for other in others:
        with pytest.raises(ProofError, match="of another policy"):
            judge.verify(raw, policy=other)


def test_a_placement_must_prove_what_it_says(log: SmallLog) -> None:
    raw, judge = receipt_of(log, 4), judge_of(log)
    envelope = parse_envelope(parse_receipt(raw).entry)
    digest = envelope.statement.digest
    judge.check(Placed(4, digest, raw), envelope)
    with pytest.raises(ProofError, match="the receipt is of index 4"):
        judge.check(Placed(5, digest, raw), envelope)
    with pytest.raises(ProofError, match="of another statement"):
        judge.check(Placed(5, digest, receipt_of(log, 5)), envelope)
    with pytest.raises(ProofError, match="neither a receipt nor a position"):
        judge.check(Placed(4, digest), envelope)
    judge.check(Placed(4, digest, position=ChainPosition(1, "0x", "0x", (0, 0), final=True)), envelope)


def test_notes_that_are_known_are_bounded(log: SmallLog) -> None:
    judge = judge_of(log)
    for index in range(3, 8):
        judge.verify(receipt_of(log, index))
    assert judge.verify(receipt_of(log, 3)).index == 3


def test_a_copy_without_the_entry_makes_no_receipt(log: SmallLog) -> None:
    assert log.look(lambda snapshot: stored_receipt(snapshot, "0" * 64)) is None
    entry = log.look(lambda snapshot: snapshot.entry(4))
    log.change("DELETE FROM checkpoint")
    assert log.look(lambda snapshot: stored_receipt(snapshot, parse_envelope(entry).statement.digest)) is None
