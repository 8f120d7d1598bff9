"""What people and scripts see: answers on stdout, everything for people on stderr. The only place that prints.

What is shown may come from strangers: nothing in it reaches a terminal as a control character.
"""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ledger.core.errors import LedgerError

MAX_FAULTS = 40  # named to people; `-o json` and the library name all
MAX_CELL = 64  # a digest
# Control characters, and those that turn the direction of what stands around them.
UNSHOWN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def answer(text: str) -> None:
    """Print one answer, as it is, on stdout. A reader who has gone (`| head`) ends the command well."""
    raw(text.encode(errors="surrogateescape") + b"\n")


def raw(content: bytes) -> None:
    """Write bytes to stdout unchanged."""
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's last flush fails too
        raise click.exceptions.Exit(0) from error


def note(text: str) -> None:
    """Tell a person something, on stderr."""
    click.echo(_shown(text), err=True)


def _shown(text: str) -> str:
    return UNSHOWN.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def as_json(value: object) -> str:
    """Return JSON for `-o json`: two-space indent, names in the order given."""
    return _shown(json.dumps(value, indent=2, ensure_ascii=False))


def as_line(value: object) -> str:
    """Return JSON in one line for `-o jsonl`."""
    return _shown(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def as_text(lines: Sequence[str], separator: str) -> str:
    """Return text that is an answer: the separator as it is, and within the lines no control character but tab and line end."""
    return separator.join(UNSHOWN.sub(lambda found: found[0] if found[0] == "\t" else _escaped(found), line) for line in lines)


def failure(error: LedgerError, about: str = "") -> None:
    """Say what went wrong and what to do, one line each."""
    note(f"error: {about}{_one_line(error.message)} [{error.code}]")
    for line in _faults(error.context.get("policies")):
        note(f"  {line}")
    note(f"  {_one_line(error.hint)}")


def _faults(policies: object) -> Iterator[str]:
    """Yield a line for each fault of policies that break rules of their kinds, when there are more than the message names."""
    found = [one for one in policies if isinstance(one, dict)] if isinstance(policies, list) else []
    lines = [(one, fault) for one in found for fault in one.get("faults", ()) if isinstance(fault, dict)]
    for one, fault in lines[:MAX_FAULTS] if len(lines) > 1 else ():
        which = f"{one.get('kind')} {one.get('id')} " if len(found) > 1 else ""
        yield _one_line(f"{which}{fault.get('pointer')}: expected {fault.get('expected')}, found {fault.get('found')}")
    if len(lines) > MAX_FAULTS:
        yield f"and {len(lines) - MAX_FAULTS} more"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def line(text: str) -> str:
    """Return text in one line, whole, with nothing in it that acts on a terminal."""
    return _shown(_one_line(text))


def cell(value: object) -> str:
    """Return one table cell: text as it is, the rest as short JSON."""
    text = value if isinstance(value, str) else "" if value is None else as_line(value)
    text = _shown(_one_line(text))
    return text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "…"


def table(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """Return rows as an aligned table with a heading, as kubectl prints them."""
    lines = [[cell(name).upper() for name in columns], *([cell(row.get(name)) for name in columns] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    return "\n".join("   ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def rows(found: Sequence[Mapping[str, object]], columns: Sequence[str], form: str) -> None:
    """Print `found` in the form asked for: table, json, jsonl or id. Nothing found is `[]` in JSON and nothing in the other forms."""
    if form == "json":
        answer(as_json(list(found)))
    elif not found:
        return
    elif form == "jsonl":
        answer("\n".join(map(as_line, found)))
    elif form == "id":
        answer("\n".join(str(row["id"]) for row in found))
    else:
        answer(table(columns, found))


def one(facts: Mapping[str, object], form: str) -> None:
    """Print one thing: JSON, its id, or a line a fact."""
    if form == "json":
        answer(as_json(dict(facts)))
    elif form == "jsonl":
        answer(as_line(dict(facts)))
    elif form == "id":
        answer(str(facts["id"]))
    else:
        width = max((len(name) for name in facts), default=0)
        answer("\n".join(f"{name.ljust(width)}  {_fact(value)}".rstrip() for name, value in facts.items()))


def _fact(value: object) -> str:
    return _shown(_one_line(value)) if isinstance(value, str) else "-" if value is None else as_line(value)


@contextmanager
def progress(length: int, label: str, *, show: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr while long work goes on; nothing when it is short or nobody looks."""
    if not show or not sys.stderr.isatty():
        yield lambda _steps: None
        return
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update


@contextmanager
def arriving(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr for work that says `(done, whole)` as it goes on; nothing when it is short or nobody looks.

    Work that begins anew, with blocks behind it and entries before it say, gets another bar.
    """
    with ExitStack() as stack:
        advance: Callable[[int], None] | None = None
        before = 0

        def show(done: int, whole: int) -> None:
            nonlocal advance, before
            if done < before:
                stack.close()
                advance, before = None, 0
            if advance is None:
                advance = stack.enter_context(progress(whole, label, show=whole > done))
            advance(done - before)
            before = done

        yield show
