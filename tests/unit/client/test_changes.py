"""Changes read from a copy: every version once, whatever the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.client import changes
from ledger.client.changes import read_changes
from ledger.core.statement import derive_id
from tests.support.small_copy import small_log
from tests.support.small_network import SmallNetwork, key

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.core.canonical import JSONObject


@pytest.mark.parametrize("page", [3, 4, 5, 1000])
def test_every_version_is_told_once(tmp_path: Path, page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network = SmallNetwork()
    who: JSONObject = {"name": "new", "type": "user", "permissions": ["everything"]}
    invite: JSONObject = {**who, "key": key("invite").public.text, "expires": "2026-11-22T10:00:00Z"}
    member: JSONObject = {**who, "key": key("new").public.text, "invite": "the-invite"}
    joined = [
        network.signed("put", "invite", "the-invite", invite, extra=("invite",)),
        network.signed("put", "member", derive_id("member", member), member, "invite", extra=("new",)),
    ]
    turned = [network.put("one", n=1), network.put("one", n=2), network.signed("drop", "thing", "one", None)]
    log = small_log(tmp_path / "ledger.db", [*network.things(3), *joined, *turned], network=network)
    size = log.look(lambda snapshot: snapshot.head().size)
    monkeypatch.setattr(changes, "PAGE", page)
    told = [change for change in log.look(lambda snapshot: read_changes(snapshot, start=3, end=size)) if change.kind != "mark"]
    assert [change.op for change in told[:3]] == ["put"] * 3
    # The member's own put takes its invite out of force: one entry, two versions.
    assert told[3].id == "the-invite"
    assert {(change.op, change.id) for change in told[4:6]} == {("put", derive_id("member", member)), ("drop", "the-invite")}
    assert told[4].index == told[5].index
    assert [(change.op, change.id, change.policy is None) for change in told[6:]] == [
        ("put", "one", False),
        ("change", "one", False),
        ("drop", "one", True),
    ]
    assert log.look(lambda snapshot: read_changes(snapshot, start=size, end=size)) == []
