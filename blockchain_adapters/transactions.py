"""What passes between the submit loop and a chain: parcels, transactions, and what becomes of them (DESIGN 7).

An adapter implements `Chain`. It knows transactions and nothing of operations.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

from ledger.core.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.core.errors import LedgerError
    from ledger.engine.submissions import Draft


class NonceTakenError(ConflictError):
    """Another transaction of the account took the place of this one: its content is not at fault."""


class Stage(Enum):
    """Where a transaction stands, as far as its chain says."""

    WAITING = auto()  # it may still be included; nothing is to be done, or what `Progress` says
    INCLUDED = auto()  # in a block that may still go
    FINAL = auto()  # in a block that will not go
    FAILED = auto()  # it was refused, or can never be included; see `Progress.settled`


@dataclass(frozen=True, slots=True)
class Landed:
    """Where a transaction stands on its chain."""

    transaction: str
    block: int
    block_hash: str


@dataclass(frozen=True, slots=True)
class Parcel:
    """What one transaction carries. `expected`: only if the chain's own count is this. `start`, `size`, `root`, `note`: of a mirror."""

    entries: tuple[bytes, ...]
    expected: int | None = None
    start: int = 0
    size: int = 0
    root: bytes = bytes(32)
    note: bytes = b""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A signed transaction that has not left, and how many entries of its parcel it took, from the front."""

    draft: Draft
    taken: int


@dataclass(frozen=True, slots=True)
class Progress:
    """What a look at a transaction gave. `draft`: what to write down in its place; `send`: then send it (again).

    `settled`: a failure that nothing can undo any more. `error` is the failure, or why a waiting one does not move.
    """

    stage: Stage
    draft: Draft | None = None
    send: bool = False
    landed: Landed | None = None
    settled: bool = True
    error: LedgerError | None = None


class Chain(Protocol):
    """What an adapter does for the loop. One task calls it, one call at a time."""

    async def resume(self, tickets: Sequence[bytes]) -> None:
        """Take up what is unsettled from before, oldest first; called once, before anything else."""
        ...

    async def prepare(self, parcel: Parcel) -> Prepared:
        """Sign a transaction for a parcel, or for as many entries of it as fit. InvalidError when its content is at fault."""
        ...

    async def send(self, ticket: bytes) -> None:
        """Send a transaction, for the first time or again. OutcomeUnknown when it may have left; any other error says that it did not."""
        ...

    async def look(self, tickets: Sequence[bytes]) -> list[Progress]:
        """Say of each unsettled transaction where it stands, oldest first."""
        ...

    async def withdraw(self, ticket: bytes) -> None:
        """Forget a transaction that certainly never left: the one prepared last."""
        ...
