"""Policies as people hand them in: a JSON object, an array, or one object a line; from files or standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ledger.core.canonical import JSON, load
from ledger.core.errors import FormatError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

MARK = b"\xef\xbb\xbf"  # that some editors put at the beginning of UTF-8


def read_source(name: str, most: int = -1) -> bytes:
    """Return what the file holds, its first `most` bytes if given, or standard input for `-`. UsageError when it cannot be read."""
    if name == "-":
        return sys.stdin.buffer.read(most)
    try:
        with Path(name).open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}", advice="Check the path; - reads standard input.") from error


def parse_document(content: bytes, name: str) -> JSON:
    """Return the one JSON value in `content`. FormatError names the file."""
    try:
        return load(content.removeprefix(MARK))
    except FormatError as error:
        raise FormatError(f"{name}: {error.message}") from error


def parse_documents(content: bytes, name: str) -> list[JSON]:
    """Return the policies in `content`. FormatError names the file, and the line where lines are read."""
    content = content.removeprefix(MARK)
    if not content.strip():
        raise FormatError(f"{name} holds no policy")
    lines = [(number, line.strip()) for number, line in enumerate(content.split(b"\n"), 1) if line.strip()]
    if len(lines) > 1 and _is_object(lines[0][1]):
        return [parse_document(line, f"{name}, line {number}") for number, line in lines]
    whole = parse_document(content, name)
    return whole if isinstance(whole, list) else [whole]


def _is_object(line: bytes) -> bool:
    """Tell whether a first line is an object of its own, so that the others are, too."""
    if not line.startswith(b"{") or not line.endswith(b"}"):
        return False
    try:
        load(line)
    except FormatError:
        return line.count(b"{") == line.count(b"}")  # broken, but not the beginning of a longer object
    return True


def read_documents(names: Sequence[str]) -> list[JSON]:
    """Return the policies of all sources, in order. UsageError when standard input is named twice."""
    if list(names).count("-") > 1:
        raise UsageError("standard input can be read once", advice="Name - once.")
    return [policy for name in names for policy in parse_documents(read_source(name), name)]
