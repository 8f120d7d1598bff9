"""What the command line makes of words and of what it shows: time spans, documents, help, errors that nobody foresaw."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

import click
import pytest

from ledger.cli import output
from ledger.cli.documents import parse_documents
from ledger.cli.main import cli, main
from ledger.cli.members import Duration
from ledger.cli.output import arriving, cell, progress
from ledger.cli.policytable import taken_apart
from ledger.cli.verbs import laid_out, verb
from ledger.core.errors import FormatError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("1h", 3600), ("7d", 604_800), (60, 60)])
def test_time_spans_are_read(text: str | int, seconds: int) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "s", "1", "1w", "-1h", "0s", "1.5h", "٣h", "9" * 5000 + "s", "3651d"])
def test_other_time_spans_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Duration().convert(text, None, None)


@pytest.mark.parametrize(
    ("content", "count"),
    [(b'{"a": {}}', 1), (b'[{"a": {}}, {"b": {}}]', 2), (b'{"a": {}}\n\n{"a": {}}\n', 2), (b'\xef\xbb\xbf{\n"a": {}}', 1), (b"[]", 0)],
)
def test_documents_are_read(content: bytes, count: int) -> None:
    assert len(parse_documents(content, "f")) == count


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "f holds no policy"),
        (b" \n ", "f holds no policy"),
        (b'{"a": {}}\n{"a": \n', "f, line 2: "),
        (b'{"a": {}, "a": {}}\n{"a": {}}\n', "f, line 1: "),
        (b'{\n"a": {}\n', "f: "),
        (b'{"a": {"b": 1}\n}\n}', "f: "),
        (b"\xff", "f: "),
    ],
)
def test_broken_documents_say_where(content: bytes, said: str) -> None:
    with pytest.raises(FormatError) as raised:
        parse_documents(content, "f")
    assert raised.value.message.startswith(said)


def test_help_keeps_examples_and_wraps_the_rest() -> None:
    text = laid_out("One.\n\nTwo\nthree.\n\nFor example:\n  a b\n  c\n\n  alone\n")
    assert text == "One.\n\nTwo\nthree.\n\n\b\nFor example:\n  a b\n  c\n\n\b\n  alone"
    assert laid_out(None) is None
    group = click.Group("g")
    assert verb(group, "make", "Make.") is verb(group, "make", "Other.")


def test_cells_are_short_and_in_one_line() -> None:
    assert cell("a\n b\t c") == "a b c"
    assert cell("x" * 100) == "x" * 63 + "…"
    assert (cell(None), cell(True), cell({"a": [1]})) == ("", "true", '{"a":[1]}')
    assert cell("a\x1b[2Jb\x9bc\u202ed") == "a\\u001b[2Jb\\u009bc\\u202ed"


def test_a_policy_without_an_object_is_named() -> None:
    with pytest.raises(UsageError):
        taken_apart({"kind": 5})


class Terminal(io.StringIO):
    """Text that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_bar_is_shown_to_a_terminal_only() -> None:
    for stream, shows in ((Terminal(), True), (io.StringIO(), False)):
        with redirect_stderr(stream), progress(100, "publishing", show=True) as advance:
            advance(100)
        assert ("publishing" in stream.getvalue()) is shows
    terminal = Terminal()
    with redirect_stderr(terminal), progress(3, "publishing", show=False) as advance:
        advance(3)
    assert terminal.getvalue() == ""


@pytest.fixture
def breaking() -> Iterator[list[BaseException]]:
    """A command that raises what the test puts into the list."""
    raised: list[BaseException] = []

    @click.command("break")
    def command() -> None:
        raise raised[0]

    cli.add_command(command)
    yield raised
    del cli.commands["break"]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (RuntimeError("odd"), 1, "RuntimeError: odd [internal]"),
        (PermissionError(13, "Permission denied", "/x"), 4, "/x: Permission denied [unavailable]"),
        (OSError("strange"), 4, "strange [unavailable]"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.ClickException("plain"), 2, "plain [usage]"),
    ],
)
def test_what_nobody_foresaw_still_ends_in_lines_and_a_code(
    breaking: list[BaseException], error: BaseException, code: int, said: str
) -> None:
    breaking.append(error)
    stream = io.StringIO()
    with redirect_stderr(stream):
        assert main(["break"]) == code
    assert said in stream.getvalue()
    assert "Traceback" not in stream.getvalue()


def test_main_takes_its_words_from_the_command_line(capfd: pytest.CaptureFixture[str]) -> None:
    before, sys.argv = sys.argv, ["ledger-cli", "version"]
    try:
        with redirect_stdout(io.TextIOWrapper(io.BytesIO(), write_through=True)) as out:
            assert main() == 0
        assert isinstance(out.buffer, io.BytesIO)
        assert out.buffer.getvalue().startswith(b"metaledger")
    finally:
        sys.argv = before


@pytest.mark.parametrize(
    ("form", "shown"),
    [("json", '{\n  "id": "x",\n  "n": null\n}\n'), ("jsonl", '{"id":"x","n":null}\n'), ("id", "x\n"), ("table", "id  x\nn   -\n")],
)
def test_one_thing_in_every_form(form: str, shown: str) -> None:
    with redirect_stdout(io.TextIOWrapper(io.BytesIO(), write_through=True)) as out:
        output.one({"id": "x", "n": None}, form)
    assert isinstance(out.buffer, io.BytesIO)
    assert out.buffer.getvalue().decode() == shown


def test_a_bar_shows_how_much_has_arrived() -> None:
    terminal = Terminal()
    with redirect_stderr(terminal), arriving("syncing") as progress:
        for done in (1_000, 2_000, 2_500):
            progress(done, 2_500)
    assert "syncing" in terminal.getvalue()
    assert "100%" in terminal.getvalue()


def test_work_that_begins_anew_has_another_bar() -> None:
    terminal = Terminal()
    with redirect_stderr(terminal), arriving("syncing") as progress:
        for done, whole in ((40, 80), (80, 80), (1, 4), (4, 4)):
            progress(done, whole)
    assert terminal.getvalue().count("100%") == 2
    assert " 25%" in terminal.getvalue()


def test_what_arrives_at_once_has_no_bar() -> None:
    terminal = Terminal()
    with redirect_stderr(terminal), arriving("syncing") as progress:
        progress(3, 3)
    with redirect_stderr(terminal), arriving("syncing"):
        pass
    assert terminal.getvalue() == ""
