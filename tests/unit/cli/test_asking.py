"""A person is asked before what cannot be taken back; a program is not."""

from __future__ import annotations

import click
import pytest

from ledger.cli.asking import confirm
from ledger.core.errors import UsageError


@pytest.mark.parametrize(("answer", "done"), [("y", True), ("n", False)])
def test_a_person_at_a_terminal_is_asked(monkeypatch: pytest.MonkeyPatch, answer: str, done: bool) -> None:
    asked: list[str] = []

    def reply(question: str, **_options: object) -> bool:
        asked.append(question)
        return answer == "y"

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "confirm", reply)
    if done:
        confirm("Revoke?", yes=False)
    else:
        with pytest.raises(UsageError, match="nothing was done"):
            confirm("Revoke?", yes=False)
    assert asked == ["Revoke?"]
    confirm("Again?", yes=True)
    assert asked == ["Revoke?"]


def test_a_program_is_taken_at_its_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    confirm("Revoke?", yes=False)
