"""Checkpoints: the note text that names a tree (C2SP tlog-checkpoint), here always of exactly three lines.

Spec: https://c2sp.org/tlog-checkpoint, FORMATS 9
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass

from ledger.core.errors import FormatError
from ledger.core.merkle import HASH_SIZE, MAX_SIZE
from ledger.core.note import parse_base64, parse_decimal

_ORIGIN = re.compile(r"[^\x00-\x1f\ud800-\udfff]{1,255}")
_LINES = 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tree of `size` leaves of the log `origin` has `root`. FormatError when one of them cannot be written."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not _ORIGIN.fullmatch(self.origin):
            raise FormatError("an origin is one line of 1 to 255 characters")
        if not 0 <= self.size <= MAX_SIZE:
            raise FormatError(f"{self.size} is no tree size")
        if len(self.root) != HASH_SIZE:
            raise FormatError(f"a root hash has {HASH_SIZE} bytes")

    @property
    def text(self) -> str:
        """Return the text to sign: three lines."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint in the text of a note. FormatError unless it has exactly the three lines."""
    lines = text.split("\n")
    if len(lines) != _LINES + 1 or lines[-1]:
        raise FormatError("a checkpoint has exactly three lines")
    return Checkpoint(lines[0], parse_decimal(lines[1]), parse_base64(lines[2]))
