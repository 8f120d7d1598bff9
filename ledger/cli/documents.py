"""Policies as people hand them in: a JSON object, an array, or one object a line; from files or standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ledger.core.canonical import JSON, load
from ledger.core.errors import FormatError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


def read_source(name: str) -> bytes:
    """Return what the file holds, or standard input for `-`. UsageError when it cannot be read."""
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}") from error


def parse_documents(content: bytes, name: str) -> list[JSON]:
    """Return the policies in `content`. FormatError names the file, and the line where lines are read."""
    text = content.strip()
    if not text:
        raise FormatError(f"{name} holds no policy")
    try:
        whole = load(text)
    except FormatError as error:
        lines = text.split(b"\n")
        if len(lines) == 1 or not _is_lines(lines):
            raise FormatError(f"{name}: {error.message}") from error
    else:
        return whole if isinstance(whole, list) else [whole]
    return [_line(line, number, name) for number, line in enumerate(content.split(b"\n"), 1) if line.strip()]


def _is_lines(lines: Sequence[bytes]) -> bool:
    """Tell whether this looks like one object a line rather than one broken document."""
    first = next(line for line in lines if line.strip()).strip()
    return first.startswith(b"{") and first.endswith(b"}")


def _line(line: bytes, number: int, name: str) -> JSON:
    try:
        return load(line)
    except FormatError as error:
        raise FormatError(f"{name}, line {number}: {error.message}") from error


def read_documents(names: Sequence[str]) -> list[JSON]:
    """Return the policies of all sources, in order."""
    return [policy for name in names for policy in parse_documents(read_source(name), name)]
