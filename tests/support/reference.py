"""The command reference in docs/cli.md: made from the program's own help, between two marks of the page.

`python -m tests.support.reference` writes it anew; a test fails while it differs.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ledger.cli.main import cli
from ledger.cli.output import answer

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
START, END = "<!-- commands: made by `make docs`, do not edit -->\n", "<!-- end of commands -->\n"
WIDTH = 110
COMMON = {"home", "ledger", "verbose"}


def commands(command: click.Command = cli, path: str = "ledger-cli") -> Iterator[tuple[str, click.Command]]:
    """Yield every command that does something, with its words."""
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from commands(command.commands[name], f"{path} {name}")
    else:
        yield path, command


def render() -> str:
    """Return the reference of all commands in Markdown."""
    return "\n".join(_section(path, command) for path, command in commands())


def _section(path: str, command: click.Command) -> str:
    context = click.Context(command, info_name=path, max_content_width=WIDTH, terminal_width=WIDTH)
    shown = [p for p in command.get_params(context) if p.name not in COMMON and p.name != "help"]
    before, command.params = command.params, [p for p in command.params if p in shown]
    try:
        text = command.get_help(context)
    finally:
        command.params = before
    lines = [line.rstrip() for line in text.splitlines() if "Show this message and exit." not in line]
    while lines and lines[-1] in ("", "Options:"):
        lines.pop()
    return f"### {path.removeprefix('ledger-cli ')}\n\n```text\n" + "\n".join(lines) + "\n```\n"


def page(text: str) -> str:
    """Return the page with its reference made anew."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return before + START + "\n" + render() + "\n" + END + after


def documented_shapes() -> list[tuple[str, list[str]]]:
    """Return command and JSON keys of each row in the page's table of shapes."""
    table = PAGE.read_text().partition("## Shapes of `-o json`")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| `")]
    return [(cells[0].strip("|` "), re.findall(r"`([^`]+)`", cells[1])) for cells in rows]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
    answer(f"{PAGE.name}: {len(list(commands()))} commands")
    sys.exit(0)
