"""A disk under SQLite that fails, loses power, or is looked at after a kill, at any step one names.

`Disk` is SQLite's own file layer with a hand on it: every write, sync, truncation and deletion below one directory is a *step* with a
number, and the real thing is done. A `Fault` makes one step (and, if it lasts, all after it) fail, before or after it was done. With
`keep`, what lies on disk before each step is copied: all that was written (a killed process leaves that), only what was synced (a power
cut at its worst), or what was synced and any part of the rest (a power cut as it comes).
"""

from __future__ import annotations

import random
import shutil
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Self

import apsw

if TYPE_CHECKING:
    from collections.abc import Callable

SECTOR = 512
NOT_KEPT = ("-shm", "lock")


class How(StrEnum):
    """In which way a step fails."""

    IO_BEFORE = "I/O error, nothing done"
    IO_AFTER = "I/O error, though it was done"
    FULL = "disk full, half of it written"
    DEAD = "I/O error, and every later step too"
    READ = "I/O error in reading"


class Left(StrEnum):
    """What a crash leaves of the steps before it."""

    KILL = "all that was written"
    CUT = "only what was synced"
    TORN = "what was synced and some of the rest"


@dataclass(frozen=True)
class Fault:
    """Step `number`, the first being 0, fails. For `How.READ` reads are the steps that count."""

    number: int
    how: How


@dataclass(frozen=True)
class Change:
    """A write (`content` at `offset`) or a truncation (no content, to `offset` bytes) that was not synced yet."""

    offset: int
    content: bytes | None

    def apply(self, to: bytearray) -> None:
        if self.content is None:
            del to[self.offset :]
            return
        to.extend(bytes(max(0, self.offset - len(to))))
        to[self.offset : self.offset + len(self.content)] = self.content

    def torn(self, chance: random.Random) -> Change | None:
        """Return what of it reached the disk: all, none, or its first sectors."""
        fate = chance.random()
        if fate < 0.4 or self.content is None:
            return self if fate < 0.7 else None
        return Change(self.offset, self.content[: SECTOR * chance.randrange(1 + len(self.content) // SECTOR)])


@dataclass
class Remembered:
    """One file: what is surely on disk, and what was written since."""

    synced: bytes | None = None
    changes: list[Change] = field(default_factory=list)


@dataclass(frozen=True)
class Image:
    """What a crash before step `number` leaves; `seen` is what the test knew at that time."""

    number: int
    step: str
    left: Left
    home: Path
    seen: object


class Disk(apsw.VFS):
    """SQLite's disk in this process while the block lasts, for files below `home`. Steps are counted from `arm` on."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.steps: list[str] = []
        self.reads = 0
        self.fault: Fault | None = None
        self.tripped = False
        self.images: list[Image] = []
        self._keep: tuple[Path, Left, Callable[[], object]] | None = None
        self._files: dict[str, Remembered] = {}
        self._guard = threading.RLock()
        self._chance = random.Random(4)
        super().__init__(f"disk {id(self)}", "unix", makedefault=True)

    def __enter__(self) -> Self:
        for path in self.home.iterdir():
            if path.is_file():
                self._files[str(path)] = Remembered(path.read_bytes())
        return self

    def __exit__(self, *_: object) -> None:
        self.unregister()

    def arm(self, fault: Fault | None) -> None:
        """Count from here; fail as the fault says."""
        self.steps, self.reads, self.fault, self.tripped = [], 0, fault, False

    def keep(self, folder: Path, left: Left, seen: Callable[[], object]) -> None:
        """Copy what a crash would leave, before each step from here on, into folders of `folder`."""
        self._keep = (folder, left, seen)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - apsw's name
        """See apsw."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        ours = path is not None and Path(path).is_relative_to(self.home)
        return _File(self, str(path), name, flags) if ours else apsw.VFSFile("unix", name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - apsw's name
        """See apsw."""
        self.step("delete", filename, lambda _part: super(Disk, self).xDelete(filename, syncdir), None)

    def step(self, kind: str, path: str, do: Callable[[bool], None], change: Change | None) -> None:
        """Do one step, or half of it, as the fault wants; remember what it changed."""
        with self._guard:
            number = len(self.steps)
            self.steps.append(f"{kind} {Path(path).name}")
            self._look(number)
            failing = self.fault is not None and self.fault.how is not How.READ and self._fails(number, self.fault)
            how = self.fault.how if self.fault is not None and failing else None
            if how in {How.IO_BEFORE, How.DEAD}:
                raise _error(kind)
            if how is How.FULL:
                if kind == "write":
                    do(True)
                raise apsw.exception_for(apsw.SQLITE_FULL)
            do(False)
            self._remember(kind, path, change)
            if how is How.IO_AFTER:
                raise _error(kind)

    def read(self) -> None:
        """Count a read, and fail if it is the one."""
        with self._guard:
            number, self.reads = self.reads, self.reads + 1
            if self.fault is not None and self.fault.how is How.READ and self._fails(number, self.fault):
                raise apsw.exception_for(apsw.SQLITE_IOERR_READ)

    def _fails(self, number: int, fault: Fault) -> bool:
        hit = number == fault.number or (fault.how is How.DEAD and number > fault.number)
        self.tripped = self.tripped or hit
        return hit

    def _remember(self, kind: str, path: str, change: Change | None) -> None:
        file = self._files.setdefault(path, Remembered())
        if change is not None:
            file.changes.append(change)
        elif kind == "sync":
            self._files[path] = Remembered(Path(path).read_bytes())
        else:
            del self._files[path]

    def _look(self, number: int) -> None:
        if self._keep is None:
            return
        folder, left, seen = self._keep
        image = Image(number, self.steps[number], left, folder / f"crash-{number}", seen())
        shutil.copytree(self.home, image.home, ignore=shutil.ignore_patterns(*(f"*{end}" for end in NOT_KEPT)))
        if left is not Left.KILL:
            self._lose(image)
        self.images.append(image)

    def _lose(self, image: Image) -> None:
        """Take back in a copy what was not synced, or a part of it."""
        for path, file in self._files.items():
            there = image.home / Path(path).relative_to(self.home)
            if there.name.endswith(NOT_KEPT):
                continue
            torn = [] if image.left is Left.CUT else [change.torn(self._chance) for change in file.changes]
            if file.synced is None and not torn:
                there.unlink(missing_ok=True)
                continue
            content = bytearray(file.synced or b"")
            for change in torn:
                if change is not None:
                    change.apply(content)
            there.write_bytes(content)


class _File(apsw.VFSFile):
    """One file on the disk."""

    def __init__(self, disk: Disk, path: str, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        self._disk = disk
        self._path = path

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - apsw's name
        """See apsw."""
        self._disk.read()
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - apsw's name
        """See apsw."""

        def do(part: bool) -> None:
            super(_File, self).xWrite(data[: len(data) // 2] if part else data, offset)

        self._disk.step("write", self._path, do, Change(offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - apsw's name
        """See apsw."""
        self._disk.step("truncate", self._path, lambda _part: super(_File, self).xTruncate(newsize), Change(newsize, None))

    def xSync(self, flags: int) -> None:  # noqa: N802 - apsw's name
        """See apsw."""
        self._disk.step("sync", self._path, lambda _part: super(_File, self).xSync(flags), None)


def _error(kind: str) -> Exception:
    codes = {"sync": apsw.SQLITE_IOERR_FSYNC, "truncate": apsw.SQLITE_IOERR_TRUNCATE, "delete": apsw.SQLITE_IOERR_DELETE}
    return apsw.exception_for(codes.get(kind, apsw.SQLITE_IOERR_WRITE))
