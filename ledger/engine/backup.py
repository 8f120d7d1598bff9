"""Online copies of `ledger.db`: one snapshot into one plain file, while whoever writes it goes on."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import apsw

from ledger.engine.database import domain_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAGES_AT_ONCE = 2_000


def copy_database(source: Path, target: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Copy the database at `source` to the new file `target`, durable when this returns (blocking).

    `progress` hears how many pages are left and how many there are; what it raises ends the copying. UnavailableError when the disk
    fails, CorruptError for what is no database.
    """
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        with (
            closing(apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)) as held,
            closing(apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READWRITE)) as written,
        ):
            _copy(held, written, progress)
    except apsw.Error as error:
        raise domain_error(error, f"{source} or its copy {target}") from error
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy(held: apsw.Connection, written: apsw.Connection, progress: Callable[[int, int], None] | None) -> None:
    held.execute("BEGIN")
    held.execute("SELECT count(*) FROM sqlite_master").fetchone()  # the snapshot that all steps copy begins here
    with written.backup("main", held, "main") as backup:
        while not backup.done:
            backup.step(PAGES_AT_ONCE)
            if progress is not None:
                progress(backup.remaining, backup.page_count)
    held.execute("ROLLBACK")
    written.pragma("journal_mode", "delete")  # one plain file, readable where nothing can be written
