"""The first entries of a new log: root version 1, and what its maker publishes with it."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from ledger.core.backend import Refused
from ledger.core.errors import ConflictError, UsageError
from ledger.engine.database import remove
from ledger.engine.sequencer import HEAD_FILE, Sequencer
from ledger.engine.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ledger.core.backend import Placed
    from ledger.core.envelope import Envelope
    from ledger.core.ports import Clock
    from ledger.engine.signing import SequencerKeys


def new_origin(name: str) -> str:
    """Return an origin that no log has yet, for one of the network `name` (docs/formats.md, section 9)."""
    return f"ledger.internal/{name}/{secrets.token_hex(8)}"


async def create_log(path: Path, envelopes: Sequence[Envelope], keys: SequencerKeys, clock: Clock) -> list[Placed]:
    """Make the ledger at `path` with these entries, the first of which is root version 1; its digest becomes the network id.

    One batch: all of them stand when this returns, or the file is gone again. Raises ConflictError when `path` exists, and the error of the
    first envelope that is refused.
    """
    if not envelopes or envelopes[0].statement.kind != "root":
        raise UsageError("a log begins with its root")
    store = await asyncio.to_thread(_open_new, path)
    placed = False
    try:
        results = await _write_first(store, envelopes, keys, clock)
        placed = True
    finally:
        await asyncio.to_thread(_close, store, keep=placed)
    return results


def _open_new(path: Path) -> Store:
    if path.with_name(HEAD_FILE).exists():
        raise ConflictError(f"{path.parent} has a {HEAD_FILE}: a log lived here", advice="Choose another directory, or restore that log.")
    return Store.open(path, create=True)


def _close(store: Store, *, keep: bool) -> None:
    """Close the store; unless it is to be kept, take back what a failed genesis made: nothing of it left this home."""
    store.close()
    if not keep:
        remove(store.path)
        store.path.with_name(HEAD_FILE).unlink(missing_ok=True)


async def _write_first(store: Store, envelopes: Sequence[Envelope], keys: SequencerKeys, clock: Clock) -> list[Placed]:
    network = envelopes[0].statement.digest
    await store.write(lambda transaction: transaction.pin(network))
    sequencer = Sequencer(store, keys, clock=clock)
    await sequencer.start()
    try:
        results = await sequencer.append(envelopes)
    finally:
        await sequencer.close()
    placed = []
    for one in results:
        if isinstance(one, Refused):
            raise one.error
        placed.append(one)
    return placed
