"""The Backend port: where a log lives, whatever keeps it (DESIGN 7).

Contract for every implementation (tests/contract inherits one suite by traits):
- `append` is durable when it returns. One result an envelope, in order; a batch is not atomic.
  It raises `OutcomeUnknown` when it cannot tell, and only then.
- Appending one statement twice has one effect: a log answers with the first placement; a chain may
  hold both, and the fold voids the second.
- Safe for concurrent use by tasks of one event loop.
- Foreign exceptions never cross: they become domain errors, `from` the original.
- What `traits` denies raises `UnsupportedError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ledger.core.errors import LedgerError


@dataclass(frozen=True, slots=True)
class Traits:
    """What a backend can promise. Not `writable` is one that somebody else writes: a mirror."""

    compare_and_set: bool
    checkpoints: bool
    instant_finality: bool
    writable: bool = True


@dataclass(frozen=True, slots=True)
class ChainPosition:
    """Where a chain holds an entry. `place` counts events within the transaction, then entries within a batch."""

    block: int
    block_hash: str
    transaction: str
    place: tuple[int, int]
    final: bool


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the log: entries `0 … size-1`, of which `0 … final_size-1` will not be undone."""

    size: int
    final_size: int
    checkpoint: bytes | None = None
    position: ChainPosition | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A batch of a mirror as it stands on its chain, proven or not: entries from index `start` on, the note beside them, who sent it."""

    start: int
    entries: tuple[bytes, ...]
    note: bytes
    block: int
    transaction: str
    submitter: str


@dataclass(frozen=True, slots=True)
class Placed:
    """The entry stands at `index`: proven by a receipt (tlog-proof text), or by a chain position."""

    index: int
    digest: str
    receipt: bytes | None = None
    position: ChainPosition | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The entry was not taken, and why. Nothing was stored."""

    error: LedgerError


@dataclass(frozen=True, slots=True)
class Entries:
    """Event: entries from index `start` on."""

    start: int
    entries: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class NewHead:
    """Event: the head moved (size, finality or freshness)."""

    head: Head


@dataclass(frozen=True, slots=True)
class RolledBack:
    """Event: entries from `size` on are gone (chains only)."""

    size: int


LogEvent = Entries | NewHead | RolledBack


class Backend(Protocol):
    """A log that can be read, appended to and watched. See the module docstring for the contract."""

    @property
    def traits(self) -> Traits:
        """Return what this backend promises; constant for its life."""
        ...

    async def head(self) -> Head:
        """Return the present end of the log."""
        ...

    async def read(self, start: int, end: int) -> list[bytes]:
        """Return entries `start … end-1`; fewer if a page limit or the end of the log comes first, never none before the end."""
        ...

    async def append(self, envelopes: Sequence[bytes], *, expected_size: int | None = None) -> list[Placed | Refused]:
        """Append entries. With `expected_size`, only if the log has that size (`SizeMismatchError`)."""
        ...

    def watch(self, start: int) -> AsyncIterator[LogEvent]:
        """Yield what happens from index `start` on, catching up first. Ends only by `aclose`."""
        ...

    async def find(self, digest: str) -> Placed | None:
        """Return where the statement of that digest first stands, or None."""
        ...

    async def close(self) -> None:
        """Release everything; idempotent."""
        ...
