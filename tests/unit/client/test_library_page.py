"""docs/library.md says what the library does: its calls, and its numbers."""

from __future__ import annotations

import re

from ledger.client import copy, embedded, https, publishing, wire
from ledger.core.limits import LIMITS
from tests.support.api_reference import PAGE, calls, page


def test_the_page_holds_the_reference_of_every_call() -> None:
    text = PAGE.read_text()
    assert text == page(text), "run: python -m tests.support.api_reference"
    assert {"open", "publish", "get", "sync", "watch", "deliver"} <= {name for name, _ in calls()}


def test_the_times_on_the_page_are_those_of_the_program() -> None:
    table = PAGE.read_text().partition("## Time-outs")[2].partition("\n## ")[0]
    assert [float(number) for number in re.findall(r"\| ([\d.]+) \|$", table, re.MULTILINE)] == [
        wire.CONNECT_SECONDS,
        wire.TOTAL_SECONDS,
        2.5 * LIMITS.heartbeat_seconds,
        https.PATIENCE_SECONDS,
        copy.PATIENCE_SECONDS,
        embedded.LOCK_WAIT_SECONDS,
    ]
    assert f"the version that came first, {publishing.ATTEMPTS} times in all" in PAGE.read_text()
