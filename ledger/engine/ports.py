"""What others ask of a sequencer, in this process (`ledger.engine.sequencer`) or in one of its own (`master.signing.remote`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.core.backend import Placed, Refused
    from ledger.core.envelope import Envelope
    from ledger.core.errors import LedgerError
    from ledger.core.root import Root
    from ledger.engine.feed import Feed


class Appender(Protocol):
    """Where admitted envelopes go."""

    async def append(
        self, envelopes: Sequence[Envelope | bytes], *, expected_size: int | None = None, receipts: bool = True
    ) -> list[Placed | Refused]:
        """Order, judge, store and sign. One result an envelope, durable and out when this returns. Raises as `Sequencer.append`."""
        ...

    def require_room(self, count: int) -> None:
        """Raise `BusyError` when so many envelopes would be pushed back now."""
        ...


class Sequencing(Appender, Protocol):
    """The one owner of a tree: see `ledger.engine.sequencer.Sequencer`, whose words these are."""

    @property
    def feed(self) -> Feed:
        """Return what tells of every note that leaves."""
        ...

    @property
    def stopped(self) -> LedgerError | None:
        """Return why nothing is sequenced any more, None while it is."""
        ...

    @property
    def fork_risk(self) -> str | None:
        """Return why this home may not sign, None when it may."""
        ...

    @property
    def root(self) -> Root | None:
        """Return the root in force, None before there is one."""
        ...

    @property
    def waiting(self) -> int:
        """Return how many entries wait for their turn."""
        ...

    @property
    def clock_suspect(self) -> bool:
        """Tell whether the wall clock jumped ahead and is not signed."""
        ...

    async def start(self, *, accept: int | None = None) -> None:
        """Begin. Raises what is wrong in the home."""
        ...

    async def raise_fork_risk(self, reason: str, *, origin: str | None = None, clock: int = 0) -> None:
        """Sign nothing any more. See `Sequencer.raise_fork_risk`."""
        ...

    async def close(self) -> None:
        """Sequence what is queued, then stop. Idempotent."""
        ...
