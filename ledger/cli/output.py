"""What people and scripts see: answers on stdout, everything for people on stderr. The only place that prints."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ledger.core.errors import LedgerError

MAX_CELL = 60


def answer(text: str) -> None:
    """Print one answer, as it is, on stdout."""
    click.echo(text)


def raw(content: bytes) -> None:
    """Write bytes to stdout unchanged."""
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def note(text: str) -> None:
    """Tell a person something, on stderr."""
    click.echo(text, err=True)


def as_json(value: object) -> str:
    """Return JSON for `-o json`: two-space indent, names in the order given."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def as_line(value: object) -> str:
    """Return JSON in one line for `-o jsonl`."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def failure(error: LedgerError) -> None:
    """Say what went wrong and what to do, one line each."""
    note(f"error: {_one_line(error.message)} [{error.code}]")
    note(f"  {_one_line(error.hint)}")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def cell(value: object) -> str:
    """Return one table cell: text as it is, the rest as short JSON."""
    text = value if isinstance(value, str) else "" if value is None else as_line(value)
    text = _one_line(text)
    return text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "…"


def table(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """Return rows as an aligned table with a heading, as kubectl prints them."""
    lines = [[name.upper() for name in columns], *([cell(row.get(name)) for name in columns] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    return "\n".join("   ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def rows(found: Sequence[Mapping[str, object]], columns: Sequence[str], form: str) -> str:
    """Return `found` in the form asked for: table, json, jsonl or id. Text without a last newline."""
    if form == "json":
        return as_json(list(found))
    if form == "jsonl":
        return "\n".join(map(as_line, found))
    if form == "id":
        return "\n".join(str(row.get("id", "")) for row in found)
    return table(columns, found)


def one(facts: Mapping[str, object], form: str) -> str:
    """Return one thing: JSON, its id, or a line a fact."""
    if form == "json":
        return as_json(dict(facts))
    if form == "jsonl":
        return as_line(dict(facts))
    if form == "id":
        return str(facts.get("id", ""))
    width = max((len(name) for name in facts), default=0)
    return "\n".join(f"{name.ljust(width)}  {value if isinstance(value, str) else as_line(value)}" for name, value in facts.items())


@contextmanager
def progress(length: int, label: str, *, show: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr while long work goes on; nothing when it is short or nobody looks."""
    if not show or not sys.stderr.isatty():
        yield lambda _steps: None
        return
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update
