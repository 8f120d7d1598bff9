"""docs/cli.md says what the program says."""

from __future__ import annotations

from tests.support.reference import PAGE, commands, page


def test_the_page_holds_the_help_of_every_command() -> None:
    text = PAGE.read_text()
    assert text == page(text), "run: python -m tests.support.reference"
    assert [path for path, _ in commands() if f"\n### {path.removeprefix('ledger-cli ')}\n" not in text] == []


def test_every_command_has_an_example_and_says_what_it_does() -> None:
    wanting = [path for path, command in commands() if "For example:\n  " not in (command.help or "")]
    assert wanting == []
