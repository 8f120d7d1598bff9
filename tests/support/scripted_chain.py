"""A chain behind `submit.Chain` that a test drives: transactions, blocks, finality, reorgs, pools that forget, answers that never come.

What stands on it is what counts: `entries` are those of the present branch, in order.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from blockchain_adapters.transactions import Landed, NonceTakenError, Parcel, Prepared, Progress, Stage
from ledger.core.errors import InvalidError, LedgerError, OutcomeUnknown, SizeMismatchError
from ledger.engine.submissions import Draft

if TYPE_CHECKING:
    from collections.abc import Sequence

POISON = b"poison"


@dataclass(frozen=True)
class Transaction:
    """One transaction: a number that only one transaction can use, and what it carries."""

    nonce: int
    entries: tuple[bytes, ...]
    expected: int | None = None

    @property
    def name(self) -> str:
        return hashlib.sha256(self.text).hexdigest()

    @property
    def text(self) -> bytes:
        return json.dumps([self.nonce, [one.hex() for one in self.entries], self.expected]).encode()

    @classmethod
    def parse(cls, text: bytes) -> Transaction:
        nonce, entries, expected = json.loads(text)
        return cls(nonce, tuple(bytes.fromhex(one) for one in entries), expected)


@dataclass
class ScriptedChain:
    """The chain itself; it outlives the loops that write to it.

    `most`: entries a transaction. `silent`: what becomes of the next sends. `behind`: it counts the account's transactions wrong.
    """

    most: int = 1_000
    finality: int = 2
    pool: dict[int, Transaction] = field(default_factory=dict)
    blocks: list[list[Transaction]] = field(default_factory=list)
    branch: int = 0
    silent: list[bool] = field(default_factory=list)
    refuse: LedgerError | None = None
    behind: bool = False
    sends: int = 0

    @property
    def mined(self) -> list[Transaction]:
        return [one for block in self.blocks for one in block]

    @property
    def entries(self) -> list[bytes]:
        found: list[bytes] = []
        for count, one in enumerate(self.mined):
            if one.expected in (None, count):
                found += one.entries
        return found

    def mine(self, count: int = 1) -> None:
        """Let blocks come; the first takes what is in the pool, in the order of nonces, without gaps."""
        for _ in range(count):
            block: list[Transaction] = []
            while (ready := self.pool.pop(len(self.mined) + len(block), None)) is not None:
                block.append(ready)
            self.blocks.append(block)

    def reorg(self, depth: int, *, forget: bool) -> None:
        """Take the newest blocks away that are not final; their transactions wait again, unless they are forgotten."""
        depth = min(depth, self.finality, len(self.blocks))
        gone = [one for block in self.blocks[len(self.blocks) - depth :] for one in block]
        del self.blocks[len(self.blocks) - depth :]
        self.branch += 1
        if not forget:
            self.pool |= {one.nonce: one for one in gone}

    def take_nonce(self) -> None:
        """Let somebody else use the next nonce of the account."""
        nonce = len(self.mined)
        self.pool[nonce] = Transaction(nonce, ())
        self.mine()

    def place(self, transaction: Transaction) -> int | None:
        return next((height for height, block in enumerate(self.blocks) if transaction in block), None)

    def is_final(self, height: int) -> bool:
        return height < len(self.blocks) - self.finality


class ChainWriter:
    """A `submit.Chain` on a scripted chain; one a process."""

    def __init__(self, chain: ScriptedChain) -> None:
        self.chain = chain
        self.nonces: set[int] = set()

    async def resume(self, tickets: Sequence[bytes]) -> None:
        self.nonces = {Transaction.parse(one).nonce for one in tickets}

    async def prepare(self, parcel: Parcel) -> Prepared:
        if self.chain.refuse is not None:
            raise self.chain.refuse
        taken = parcel.entries[: self.chain.most]
        if any(POISON in one for one in taken):
            raise InvalidError("the chain does not like the content")
        nonce = max([len(self.chain.mined), *(one + 1 for one in self.nonces)])
        self.nonces.add(nonce)
        transaction = Transaction(nonce, taken, parcel.expected)
        return Prepared(Draft(transaction.name, transaction.text), len(taken))

    async def send(self, ticket: bytes) -> None:
        self.chain.sends += 1
        transaction = Transaction.parse(ticket)
        if self.chain.behind:
            raise NonceTakenError("the nonce is used")
        arrives = self.chain.silent.pop() if self.chain.silent else None
        if arrives is False:
            raise OutcomeUnknown("no answer", operation=transaction.name)
        if transaction.nonce < len(self.chain.mined):
            if transaction in self.chain.mined:
                return
            raise NonceTakenError("the nonce is used")
        self.chain.pool.setdefault(transaction.nonce, transaction)
        if arrives is True:
            raise OutcomeUnknown("no answer", operation=transaction.name)

    async def look(self, tickets: Sequence[bytes]) -> list[Progress]:
        return [self._look(Transaction.parse(one)) for one in tickets]

    def _look(self, transaction: Transaction) -> Progress:
        height = self.chain.place(transaction)
        if height is None:
            return self._missing(transaction)
        final = self.chain.is_final(height)
        if final:
            self.nonces.discard(transaction.nonce)
        if transaction.expected not in (None, self.chain.mined.index(transaction)):
            return Progress(Stage.FAILED, error=SizeMismatchError("another count"), settled=final)
        landed = Landed(transaction.name, height, f"{self.chain.branch}-{height}")
        return Progress(Stage.FINAL if final else Stage.INCLUDED, landed=landed)

    def _missing(self, transaction: Transaction) -> Progress:
        if transaction.nonce < len(self.chain.mined):
            rival = self.chain.mined[transaction.nonce]
            height = self.chain.place(rival)
            if height is None or not self.chain.is_final(height):
                return Progress(Stage.WAITING)
            self.nonces.discard(transaction.nonce)
            return Progress(Stage.FAILED, error=NonceTakenError("the nonce is used"))
        return Progress(Stage.WAITING, send=transaction not in self.chain.pool.values())

    async def withdraw(self, ticket: bytes) -> None:
        self.nonces.discard(Transaction.parse(ticket).nonce)
