"""Writing to the chaincode: transactions of one identity, each looked up until it stands in a block (`submit.Chain`).

A transaction is signed by the peers, written down, and only then sent. What is in no block is sent again, the same content under the same
id, through any peer: of an id one at most becomes valid. "Not found" is never taken for an answer: an orderer may hold what no block has.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from blockchain_adapters.codec import encode_fitting
from blockchain_adapters.hyperledger.peer import Endorsed
from blockchain_adapters.hyperledger.ticket import Ticket, parse_ticket
from blockchain_adapters.transactions import Landed, Prepared, Progress, Stage
from ledger.core.errors import BadSourceError, BusyError, LedgerError, NotReadyError, OutcomeUnknown, TooLargeError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from blockchain_adapters.hyperledger.peer import Committed
    from blockchain_adapters.hyperledger.source import FabricSource
    from blockchain_adapters.transactions import Parcel

MAX_BATCH: Final = 1 << 20  # bytes, as the chaincode takes them
MAX_NOTE: Final = 1 << 14
DUPLICATE: Final = "DUPLICATE_TXID"
CONFIGURE: Final = "Set its policy: docs/hyperledger.md, Who may append."


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: how long one look waits for a block, after how long a transaction is sent again, and the rest after an error."""

    look: float = 20.0
    stuck: float = 10.0
    rest: float = 0.5


@dataclass(slots=True)
class _Watched:
    """A transaction that is looked after: when it was sent last, and what became of it."""

    task: asyncio.Task[None]
    sent: float
    found: Committed | None = None
    refused: LedgerError | None = None
    trouble: LedgerError | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What the chaincode says of itself: how many anchors it took, the size of the last one, and how large batches may be."""

    anchors: int
    size: int
    policy: dict[str, Any] | None = field(default=None)


class Writer:
    """A `submit.Chain` for one chaincode. `stirred` is called when something became of a transaction."""

    def __init__(self, source: FabricSource, patience: Patience | None = None) -> None:
        """Write through the peers of `source`, whose file says what stands in blocks."""
        self._source = source
        self._patience = Patience() if patience is None else patience
        self._watched: dict[str, _Watched] = {}
        self.stirred: Callable[[], None] = lambda: None

    async def resume(self, tickets: Sequence[bytes]) -> None:
        """Take up what is under way from before. Asks nobody: a start needs no peer."""
        for one in map(parse_ticket, tickets):
            if one.block is None:
                self._watch(one.transaction, sent=-self._patience.stuck)

    async def close(self) -> None:
        """Look after nothing any more."""
        watched, self._watched = list(self._watched.values()), {}
        for one in watched:
            one.task.cancel()
        for one in watched:
            with suppress(asyncio.CancelledError):
                await one.task

    async def standing(self, *, configured: bool = False) -> Standing:
        """Return what the chaincode says of itself. NotReadyError when it must be `configured`, and nobody may append."""
        text = await self._source.ask(lambda provider: provider.peer.evaluate("Status"))
        try:
            said = json.loads(text)
            found = Standing(int(said["anchors"]), int(said["size"]), said["policy"])
        except (ValueError, KeyError, TypeError) as error:
            raise BadSourceError(f"the chaincode {self._source.chaincode} is not ours", advice="Compare channel and chaincode.") from error
        if configured and found.policy is None:
            raise NotReadyError(f"the chaincode {self._source.chaincode} has no policy yet: nobody may append", advice=CONFIGURE)
        return found

    # -- making a transaction ------------------------------------------------------------------------------------

    async def prepare(self, parcel: Parcel) -> Prepared:
        """Have a transaction signed for a parcel, or for as many of its entries as one transaction holds.

        TooLargeError when not even one fits, SizeMismatchError when another anchor came first, NotAllowedError when the identity may not.
        """
        if parcel.expected is not None:
            raise UnsupportedError("the chaincode orders appends without a common counter: no size can be expected")
        if len(parcel.note) > MAX_NOTE:
            raise TooLargeError(f"a note has at most {MAX_NOTE} bytes")
        batch, taken = await asyncio.to_thread(encode_fitting, parcel.entries, MAX_BATCH)
        name, arguments = ("Append", (batch,)) if not parcel.note else ("Anchor", await self._anchor(parcel, batch))
        endorsed = await self._source.ask(lambda provider: provider.peer.endorse(name, *arguments))
        return Prepared(Ticket(endorsed.transaction, endorsed.ticket).draft(), taken)

    async def _anchor(self, parcel: Parcel, batch: bytes) -> tuple[bytes, ...]:
        """Return the arguments of an anchor that counts only if the chaincode holds exactly what was read of it."""
        standing = await self._as_read()
        return (_number(standing.size), _number(parcel.start), _number(parcel.size), parcel.root, batch, parcel.note)

    async def _as_read(self) -> Standing:
        """Return what the chaincode says of itself, if all of it was read."""
        standing = await self.standing()
        if standing.anchors != await self._source.anchors():
            raise BusyError("the chaincode took an anchor that was not read yet", retry_after=1.0)
        return standing

    # -- sending it ----------------------------------------------------------------------------------------------

    async def send(self, ticket: bytes) -> None:
        """Send a transaction, for the first time or again. OutcomeUnknown when it may have left."""
        parsed = parse_ticket(ticket)
        try:
            endorsed = Endorsed(parsed.transaction, parsed.signed, b"")
            await self._source.ask(lambda provider: provider.peer.submit(endorsed))
        except OutcomeUnknown:
            self._watch(parsed.transaction, sent=time.monotonic())
            raise
        self._watch(parsed.transaction, sent=time.monotonic())

    async def withdraw(self, ticket: bytes) -> None:
        """Forget a transaction that certainly never left."""
        self._forget(parse_ticket(ticket).transaction)

    # -- looking after it ----------------------------------------------------------------------------------------

    async def look(self, tickets: Sequence[bytes]) -> list[Progress]:
        """Say of each transaction where it stands."""
        return [await self._judge(parse_ticket(one)) for one in tickets]

    async def _judge(self, ticket: Ticket) -> Progress:
        if ticket.block is not None:
            final = await self._source.is_final(ticket.transaction)
            return Progress(Stage.FINAL if final else Stage.INCLUDED, landed=_landed(ticket, ticket.block))
        watched = self._watched.get(ticket.transaction) or self._watch(ticket.transaction, sent=-self._patience.stuck)
        if watched.refused is not None:
            self._forget(ticket.transaction)
            return Progress(Stage.FAILED, error=watched.refused)
        if watched.found is not None:
            self._forget(ticket.transaction)
            return Progress(Stage.INCLUDED, ticket.standing(watched.found.block).draft(), landed=_landed(ticket, watched.found.block))
        if time.monotonic() - watched.sent < self._patience.stuck:
            return Progress(Stage.WAITING, error=watched.trouble)
        watched.sent = time.monotonic()
        return Progress(Stage.WAITING, send=True, error=watched.trouble)

    def _watch(self, transaction: str, *, sent: float) -> _Watched:
        watched = self._watched.get(transaction)
        if watched is None:
            watched = _Watched(asyncio.create_task(self._follow(transaction), name="commit"), sent)
            self._watched[transaction] = watched
        watched.sent = sent
        return watched

    def _forget(self, transaction: str) -> None:
        watched = self._watched.pop(transaction, None)
        if watched is not None:
            watched.task.cancel()

    async def _follow(self, transaction: str) -> None:
        """Wait until a block holds the transaction, whatever fails meanwhile."""
        await asyncio.sleep(0)  # the one who started this keeps it first
        watched = self._watched[transaction]
        while watched.found is None and watched.refused is None:
            try:
                watched.found = await self._source.ask(lambda provider: provider.peer.committed(transaction, self._patience.look))
                watched.trouble = None
            except LedgerError as error:
                if "validation" in error.context and error.context["validation"] != DUPLICATE:
                    watched.refused = error
                    break
                watched.trouble = error
                await asyncio.sleep(self._patience.rest)
        self.stirred()


def _landed(ticket: Ticket, block: int) -> Landed:
    return Landed(ticket.transaction, block, "")


def _number(number: int) -> bytes:
    return str(number).encode()


__all__ = ["Patience", "Standing", "Writer"]
