"""The mirrors of a master's log: `mirrors.json` of its home. People change it by commands, the running master takes changes up."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ledger.core.canonical import is_hex64
from ledger.core.errors import CorruptError, NotFoundError
from ledger.home.files import read_text, write_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger.home.home import Home

FILE = "mirrors.json"
EVERY_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """One mirror: its ledger URL, the key file in `keys/` that pays, the least seconds between two transactions, and what a day may cost.

    `max_gas_per_day` is None for no limit. `chain` names the chain that the contract was looked at on: another is never
    written to. None takes the one that the URL leads to. `tries` grows when an operator wants what was given up tried again.
    """

    url: str
    key: str
    chain: int | str | None = None
    every: float = EVERY_SECONDS
    max_gas_per_day: int | None = None
    paused: bool = False
    tries: int = 0

    def is_named(self, text: str) -> bool:
        """Tell whether that is its URL, or the last part of it."""
        return text.lower() in (self.url.lower(), self.url.lower().rpartition("/")[2])


def read_mirrors(home: Home) -> tuple[Mirror, ...]:
    """Return the mirrors of a home, none without the file (blocking). CorruptError for a file that nobody wrote so."""
    path = home.path / FILE
    try:
        return tuple(_checked(Mirror(**one)) for one in json.loads(read_text(path)))
    except NotFoundError:
        return ()
    except (ValueError, TypeError, RecursionError) as error:
        raise CorruptError(f"{path} does not say where the log is mirrored", advice="Delete it, and add the mirrors again.") from error


def _checked(mirror: Mirror) -> Mirror:
    texts = isinstance(mirror.url, str) and isinstance(mirror.key, str)
    numbers = isinstance(mirror.every, int | float) and isinstance(mirror.max_gas_per_day, int | None)
    if not texts or not numbers or not _is_chain(mirror.chain):
        raise TypeError(mirror)
    return mirror


def _is_chain(named: object) -> bool:
    """Tell whether that names a chain: a number, or the hash of a first block."""
    return isinstance(named, int | None) or (isinstance(named, str) and is_hex64(named))


def write_mirrors(home: Home, mirrors: Iterable[Mirror]) -> None:
    """Write the mirrors of a home anew, whole or not at all (blocking)."""
    write_file(home.path / FILE, json.dumps([asdict(one) for one in mirrors], indent=1).encode() + b"\n")
