"""Tiles and entry bundles of C2SP tlog-tiles: their paths, their bytes, and the framing of entries.

A path is taken only in its one spelling, so nothing that is not a tile of this log can be named by one.
Spec: https://c2sp.org/tlog-tiles
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from ledger.core.errors import FormatError, NotFoundError
from ledger.core.limits import LIMITS
from ledger.core.merkle import MAX_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ledger.core.merkle import HashReader

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
MAX_LEVEL = 63

_MAX_INDEX = MAX_SIZE >> TILE_HEIGHT
_PATH = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")
_LENGTH = 2


@dataclass(frozen=True, slots=True)
class TilePath:
    """Names tile `index` of `level`, or an entry bundle when `level` is None; partial when `width` is below 256.

    FormatError when the parts name none.
    """

    level: int | None
    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        if self.level is not None and not 0 <= self.level <= MAX_LEVEL:
            raise FormatError(f"tile levels are 0 to {MAX_LEVEL}")
        if not 0 <= self.index <= _MAX_INDEX:
            raise FormatError(f"no log has tile {self.index}")
        if not 1 <= self.width <= TILE_WIDTH:
            raise FormatError(f"tiles are 1 to {TILE_WIDTH} wide")

    @property
    def start(self) -> int:
        """Return the first node, or entry, that it holds, counted in its level."""
        return self.index << TILE_HEIGHT

    @property
    def end(self) -> int:
        """Return the node, or entry, after the last that it holds."""
        return self.start + self.width

    @property
    def text(self) -> str:
        """Return the path below the log's prefix, without a slash at its ends."""
        level = "entries" if self.level is None else str(self.level)
        digits = str(self.index)
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        number = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{number}{partial}"


def parse_tile_path(text: str) -> TilePath:
    """Return the tile that `text` names. FormatError unless `.text` gives `text` back."""
    match = _PATH.fullmatch(text)
    if match is None:
        raise FormatError("this is not the path of a tile")
    level, number, width = match.groups()
    index = int(number.replace("/", "").replace("x", ""))
    path = TilePath(None if level == "entries" else int(level), index, TILE_WIDTH if width is None else int(width))
    if path.text != text:
        raise FormatError("this path of a tile is not in its one spelling")
    return path


def tile_hashes(reader: HashReader, path: TilePath, size: int) -> bytes:
    """Return the bytes of a hash tile of the tree of `size`. NotFoundError when that tree has not all of it."""
    if path.level is None:
        raise FormatError("an entry bundle holds no hashes")
    level = TILE_HEIGHT * path.level
    if path.end > size >> level:
        raise NotFoundError(f"a tree of size {size} has no {path.text}")
    return b"".join([reader.read(level, index) for index in range(path.start, path.end)])


def entry_bundles(start: int, end: int, size: int) -> Iterator[TilePath]:
    """Yield the bundles that hold entries `start … end-1` of the log of `size`, as wide as that log has them."""
    if start < min(end, size):
        for index in range(start >> TILE_HEIGHT, ((min(end, size) - 1) >> TILE_HEIGHT) + 1):
            yield TilePath(None, index, min(TILE_WIDTH, size - (index << TILE_HEIGHT)))


def frame(entries: Iterable[bytes]) -> bytes:
    """Return entries, each behind its 2-byte length. FormatError for one that is too long."""
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > LIMITS.entry:
            raise FormatError(f"an entry has at most {LIMITS.entry} bytes")
        parts += (len(entry).to_bytes(_LENGTH), entry)
    return b"".join(parts)


def unframe(raw: bytes, most: int = LIMITS.page) -> list[bytes]:
    """Return the entries framed in `raw`. FormatError unless they fill it exactly and are at most `most`."""
    entries = list(islice(_entries(raw), most + 1))
    if len(entries) > most:
        raise FormatError(f"there are more than {most} entries")
    return entries


def _entries(raw: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(raw):
        start = at + _LENGTH
        at = start + int.from_bytes(raw[at:start])
        if start > len(raw) or at > len(raw):
            raise FormatError("the last entry is cut off")
        yield raw[start:at]
