"""The export file: one ledger as one file that anybody can check offline (docs/formats.md, "Export file").

Writing goes page by page over a log that may grow meanwhile; reading takes hostile bytes, and holds a page at a time.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, BinaryIO, Self

import zstandard

from ledger.client.reader import all_voids
from ledger.core.canonical import JSON, encode, is_hex64, parse
from ledger.core.envelope import parse_envelope
from ledger.core.errors import ConflictError, FormatError, NotFoundError, UsageError, VerificationError
from ledger.core.limits import LIMITS, MIB
from ledger.core.merkle import tree_root
from ledger.core.tiles import frame
from ledger.engine.signing import placed_roots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ledger.engine.snapshot import Snapshot
    from ledger.engine.store import Store

MAGIC = b"metaledger-export-1\n"
HEADER_BYTES = 16 * MIB
MOST_ROOTS = 10_000
WINDOW = 8 * MIB
LENGTH = 2


@dataclass(frozen=True, slots=True)
class Header:
    """What the file says of itself. Nothing of it is believed: the entries must make it."""

    network: str
    size: int
    root: str
    state_root: str
    note: int
    roots: int
    void: tuple[int, ...]

    def encode(self) -> bytes:
        """Return the first two lines of the file."""
        void: list[JSON] = list(self.void)
        facts: dict[str, JSON] = {name: getattr(self, name) for name in ("network", "size", "root", "state_root", "note", "roots")}
        return MAGIC + encode({**facts, "void": void}) + b"\n"


def parse_header(line: bytes) -> Header:
    """Return the header in the second line. FormatError for anything else."""
    value = parse(line)
    names = {"network", "size", "root", "state_root", "note", "roots", "void"}
    if not isinstance(value, dict) or set(value) != names:
        raise FormatError("the header of the export has other members than it should")
    size, note, roots, void = (value[name] for name in ("size", "note", "roots", "void"))
    texts = [value[name] for name in ("network", "root", "state_root")]
    if not all(isinstance(text, str) and is_hex64(text) for text in texts):
        raise FormatError("the header of the export holds a hash that is none")
    if type(size) is not int or type(note) is not int or type(roots) is not int or not isinstance(void, list):
        raise FormatError("the header of the export holds a number that is none")
    voids = tuple(one for one in void if type(one) is int)
    if len(voids) != len(void) or any(one >= two for one, two in pairwise((-1, *voids, size))):
        raise FormatError("the header of the export lists void entries that cannot be")
    if not (0 < size <= LIMITS.number and 0 < note <= LIMITS.note and 0 < roots <= min(size, MOST_ROOTS)):
        raise FormatError("the header of the export holds a number that cannot be")
    network, root, state_root = map(str, texts)
    return Header(network, size, root, state_root, note, roots, voids)


class ExportFile:
    """An export file, open for reading from its beginning to its end (blocking). Close it, or use it as a context manager.

    FormatError for what is no export file; VerificationError for one that is damaged or cut off.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}", advice="Check the path.") from error
        try:
            self._begin()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()

    def _begin(self) -> None:
        reader = zstandard.ZstdDecompressor(max_window_size=WINDOW).stream_reader(self._file, read_across_frames=True, closefd=False)
        self._stream = io.BufferedReader(reader, MIB)
        try:
            if self._stream.readline(len(MAGIC)) != MAGIC:
                raise FormatError(f"{self.path} is no export of a ledger")
            line = self._stream.readline(HEADER_BYTES)
        except (zstandard.ZstdError, MemoryError) as error:
            raise FormatError(f"{self.path} is no export of a ledger") from error
        self.header = parse_header(line.removesuffix(b"\n"))
        self.note = self._exactly(self.header.note)
        self.roots = [self._entry() for _ in range(self.header.roots)]
        self.position = 0

    def rewind(self) -> None:
        """Go back to entry 0."""
        self._file.seek(0)
        self._begin()

    def page(self, most: int = LIMITS.page) -> list[bytes]:
        """Return the next entries, at most `most`; none at the end, where nothing may follow."""
        wanted = min(most, self.header.size - self.position)
        found = [self._entry() for _ in range(wanted)]
        self.position += wanted
        if not wanted and self._read(1):
            raise VerificationError(f"{self.path} goes on after its last entry")
        return found

    def pages(self) -> Iterator[list[bytes]]:
        """Yield the rest of the entries page by page."""
        while page := self.page():
            yield page

    def _entry(self) -> bytes:
        return self._exactly(int.from_bytes(self._exactly(LENGTH)))

    def _exactly(self, size: int) -> bytes:
        found = self._read(size)
        if len(found) != size:
            raise VerificationError(f"{self.path} is cut off")
        return found

    def _read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except (zstandard.ZstdError, MemoryError) as error:
            raise VerificationError(f"{self.path} is damaged: it cannot be unpacked") from error


async def write_export(store: Store, sink: Callable[[bytes], object], progress: Callable[[int], None] | None = None) -> Header:
    """Write the log in `store`, as it is now, to `sink`. `progress` hears how many entries each page had.

    NotFoundError when there is no signed checkpoint to show for it; ConflictError when the log goes back meanwhile.
    """
    header, note, roots = await store.read(_beginning)
    packer = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    sink(packer.compress(header.encode() + note + frame(roots)))
    start = 0
    while start < header.size:
        page = await store.read(lambda snapshot, at=start: snapshot.entries(at, header.size))  # type: ignore[misc] # at is bound now
        if not page:
            raise ConflictError("the log went back while it was written out", advice="Try again.")
        sink(packer.compress(frame(page)))
        start += len(page)
        if progress is not None:
            progress(len(page))
    if await store.read(lambda snapshot: tree_root(header.size, snapshot).hex()) != header.root:
        raise ConflictError("the log went back while it was written out", advice="Try again.")
    sink(packer.flush())
    return header


def _beginning(snapshot: Snapshot) -> tuple[Header, bytes, list[bytes]]:
    head, state = snapshot.head(), snapshot.state()
    note = snapshot.checkpoint(head.size)
    if note is None or state.network is None:
        raise NotFoundError("there is no signed checkpoint here yet", advice="Sync first.")
    roots = [snapshot.entry(one.index) for one in placed_roots(snapshot.connection)]
    void = tuple(one.index for one in all_voids(snapshot))
    header = Header(state.network, head.size, head.root.hex(), state.state_root(), len(note), len(roots), void)
    return header, note, roots


def root_version(entry: bytes) -> int | None:
    """Return which version of the root an entry states, None when it states none."""
    try:
        statement = parse_envelope(entry).statement
    except FormatError:
        return None
    version = None if statement.kind != "root" or statement.body is None else statement.body.get("version")
    return version if type(version) is int else None
