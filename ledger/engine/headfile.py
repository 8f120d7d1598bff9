"""`head.json`: the last size and root that left this home, kept outside the database.

It may lag the database, never lead it, and is never part of a backup: a database that is *older* than its head file
was restored, and signing on from it would fork the log (DESIGN 5, fork guard).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.core.errors import CorruptError, UnavailableError
from ledger.home.files import write_file

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 1_024
HEX = 64


@dataclass(frozen=True, slots=True)
class LeftHead:
    """The largest tree known to have left: its size and root hash."""

    size: int
    root: bytes


class HeadFile:
    """The file at `path`. Blocking; its owner calls it from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> LeftHead | None:
        """Return what the file says, None if there is none. CorruptError if it says nothing sensible."""
        try:
            with self.path.open("rb") as file:
                said = json.loads(file.read(MAX_BYTES))
            size, root = said["size"], bytes.fromhex(said["root"])
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnavailableError(f"cannot read {self.path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise CorruptError(f"{self.path} cannot be understood", advice="Treat this home as restored from a backup.") from error
        if type(size) is not int or size < 0 or len(root) * 2 != HEX:
            raise CorruptError(f"{self.path} cannot be understood", advice="Treat this home as restored from a backup.")
        return LeftHead(size, root)

    def write(self, head: LeftHead) -> None:
        """Replace the file, synced: after a crash it holds the old or the new head, whole. UnavailableError if it cannot."""
        write_file(self.path, json.dumps({"size": head.size, "root": head.root.hex()}).encode() + b"\n")
