"""The keys of a log as they lie in a home: `log` and `log-…`, `clock` and `clock-…`, `mark` and `mark-…`.

All log keys are held: those that are open sign together. Of the clock and mark keys the root in force names the one that counts.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ledger.engine.signing import SequencerKeys, clock_vkey

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth.keystore import KeyStore
    from ledger.core.keys import PrivateKey
    from ledger.core.root import Root

LOG, CLOCK, MARK = "log", "clock", "mark"


def names_of(keys: KeyStore, kind: str) -> list[str]:
    """Return the names of the keys of that kind."""
    return [name for name in keys.names() if name == kind or name.startswith(f"{kind}-")]


def load_sequencer_keys(keys: KeyStore, root: Root | None = None) -> SequencerKeys | None:
    """Return what a log is signed with under `root`; None in a home without a log key. Raises as `KeyStore.load` does."""
    log = tuple(keys.load(name) for name in names_of(keys, LOG))
    if not log:
        return None

    def is_clock(key: PrivateKey) -> bool:
        return root is not None and clock_vkey(root.origin, key) in root.clock_keys

    def is_mark(key: PrivateKey) -> bool:
        return root is not None and key.public in root.mark_keys

    return SequencerKeys(log, _choose(keys, CLOCK, is_clock), _choose(keys, MARK, is_mark), partial(load_sequencer_keys, keys))


def _choose(keys: KeyStore, kind: str, counts: Callable[[PrivateKey], bool]) -> PrivateKey | None:
    """Return the key of that kind that counts, else the first."""
    held = [keys.load(name) for name in names_of(keys, kind)]
    return next((key for key in held if counts(key)), held[0] if held else None)
