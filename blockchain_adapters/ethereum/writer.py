"""Writing to the contract: transactions of one account, each looked up until it is final (`submit.Chain`).

A transaction is signed, written down, and only then sent. What is not in a block is sent again in the same bytes, which is safe whatever
happened to it, or replaced under the same nonce for more money, which is safe too: at most one of them is ever mined. Another transaction
for the same content is made only when the nonce was used by somebody else, in a block that is final.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from eth_utils.address import to_checksum_address

from blockchain_adapters.codec import encode_fitting
from blockchain_adapters.ethereum.calls import MAX_BATCH, MAX_NOTE, Calls, read_status
from blockchain_adapters.ethereum.fees import Caps, Fees, bumped, fresh
from blockchain_adapters.ethereum.nonces import NonceGapError, Nonces, NonceUsedError
from blockchain_adapters.ethereum.refusals import is_known, refusal
from blockchain_adapters.ethereum.rpc import RpcError, hash_of, octets, quantity
from blockchain_adapters.ethereum.sight import Sight, see
from blockchain_adapters.ethereum.ticket import Offer, Receipt, Ticket, parse_ticket
from blockchain_adapters.transactions import Landed, NonceTakenError, Prepared, Progress, Stage
from ledger.core.errors import (
    BadSourceError,
    BusyError,
    ConflictError,
    FormatError,
    LedgerError,
    NotAllowedError,
    OutcomeUnknown,
    SizeMismatchError,
    TooLargeError,
    UnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from blockchain_adapters.ethereum.account import Account
    from blockchain_adapters.ethereum.artifact import Artifact
    from blockchain_adapters.ethereum.calls import Status
    from blockchain_adapters.ethereum.rpc import Provider, Rpc
    from blockchain_adapters.transactions import Parcel
    from ledger.core.ports import Clock

    FinalHeight = Callable[[int], Awaitable[int]]

MOST_GAS: Final = 16_777_216  # of one transaction (EIP-7825)
MOST_BYTES: Final = 131_072  # of one signed transaction, in the pools
_AROUND: Final = 1_024  # bytes of a transaction beside batch and note, with room

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator allows a transaction: its gas, what a gas may cost, and how long it may stand still (seconds)."""

    gas: int = MOST_GAS
    caps: Caps = field(default_factory=Caps)
    stuck: float = 60.0


class Writer:
    """A `submit.Chain` for one contract and one account."""

    def __init__(
        self, rpc: Rpc, account: Account, artifact: Artifact, world: tuple[Clock, FinalHeight], limits: Limits | None = None
    ) -> None:
        """Write to `rpc.contract`. `world` is the clock, and what tells for a head the newest block that will not go (-1: none)."""
        self._rpc = rpc
        self._account = account
        self._artifact = artifact
        self._calls = Calls(artifact)
        self._clock, self._final_height = world
        self._nonces = Nonces()
        self._chain = 0
        self._raw: dict[str, bytes] = {}
        self.limits = Limits() if limits is None else limits

    # -- before the first write ----------------------------------------------------------------------------------

    async def resume(self, tickets: Sequence[bytes]) -> None:
        """Take up what is under way from before. Asks nobody: a start needs no chain."""
        parsed = [parse_ticket(one) for one in tickets]
        self._nonces.resume(one.nonce for one in parsed)

    async def check(self) -> Status:
        """Return what the contract says of itself, after a look whether it is ours and lets us write.

        BadSourceError for another contract or chain: every provider is held to the first one's chain id, genesis and code (`Rpc.admit`).
        NotAllowedError when the account may not append.
        """
        await self._identify()
        status = await self.status()
        if not status.is_open and not any(await self._view("isSubmitter", self._account.address)):
            raise NotAllowedError(
                f"{self._account.address} may not append to the contract {self._rpc.contract}",
                advice="Ask the contract's owner to allow the account (setSubmitter).",
            )
        return status

    async def status(self) -> Status:
        """Return what the contract says of itself."""
        return read_status(await self._view("status"))

    async def _identify(self) -> None:
        if self._chain:
            return
        await self._rpc.call("eth_chainId")  # asks who the provider is, first
        identity = self._rpc.identity
        if identity is None or identity.code != hashlib.sha256(self._artifact.runtime).hexdigest():
            raise BadSourceError(
                f"the code at {self._rpc.contract} is not that of this contract", advice="Compare the address and the chain."
            )
        self._chain = identity.chain

    # -- making a transaction ------------------------------------------------------------------------------------

    async def prepare(self, parcel: Parcel) -> Prepared:
        """Sign a transaction for a parcel, or for as many of its entries as one transaction holds.

        TooLargeError when not even one fits, SizeMismatchError when the contract's count is another than expected, NotAllowedError when the
        account may not append, FeeCapError above the caps.
        """
        await self._identify()
        if len(parcel.note) > MAX_NOTE:
            raise TooLargeError(f"a note has at most {MAX_NOTE} bytes")
        taken = len(parcel.entries)
        while True:
            room = min(MAX_BATCH, MOST_BYTES - _AROUND - len(parcel.note))
            batch, taken = await asyncio.to_thread(encode_fitting, parcel.entries[:taken], room)
            gas, sight = await self._estimate(parcel, batch)
            if gas <= self.limits.gas:
                break
            if taken <= 1:
                raise TooLargeError(f"one entry takes {gas} gas, and {self.limits.gas} are allowed")
            taken = max(1, min(taken - 1, taken * self.limits.gas * 9 // (gas * 10)))
        fees = fresh(sight.base_fee, sight.tip, self.limits.caps)
        nonce = self._nonces.take(sight.pending)
        ticket = Ticket(nonce, gas, self._calls.record(parcel, batch), (), parcel.expected)
        return Prepared(ticket.offering(self._sign(ticket, fees)).draft(), taken)

    async def _estimate(self, parcel: Parcel, batch: bytes) -> tuple[int, Sight]:
        """Return the gas to allow, what the node estimates with a sixth to spare, and what else the node says."""
        if parcel.expected is None:
            gas, sight = await asyncio.gather(self._gas(parcel, batch, anywhere=True), self._see())
            return gas, sight
        sight = await self._see()
        # While others of ours wait for their block, the condition cannot hold yet: then only the contract can check it.
        return await self._gas(parcel, batch, anywhere=sight.pending > sight.mined), sight

    async def _gas(self, parcel: Parcel, batch: bytes, *, anywhere: bool) -> int:
        call = {"from": self._account.address, "to": self._rpc.contract, "data": _hex(self._calls.record(parcel, batch, anywhere=anywhere))}
        try:
            estimate = await self._number("eth_estimateGas", call)
        except RpcError as error:
            raise await self._why(None if anywhere else parcel.expected, error) from error
        return estimate * 7 // 6 + 5_000

    async def _why(self, expected: int | None, error: RpcError) -> LedgerError:
        """Return the reason for a refusal that the contract itself gave; nodes do not agree on how to say it."""
        status = await self.check()
        if expected is not None and status.count != expected:
            return SizeMismatchError(f"the contract holds {status.count} batches, not {expected}")
        return refusal(error)

    def _sign(self, ticket: Ticket, fees: Fees) -> Offer:
        raw, name = self._signed(ticket, fees)
        self._raw[name] = raw
        return Offer(name, fees, self._clock.now())

    def _signed(self, ticket: Ticket, fees: Fees) -> tuple[bytes, str]:
        return self._account.sign(
            {
                "type": 2,
                "chainId": self._chain,
                "nonce": ticket.nonce,
                "to": to_checksum_address(self._rpc.contract),
                "value": 0,
                "gas": ticket.gas,
                "maxFeePerGas": fees.fee,
                "maxPriorityFeePerGas": fees.tip,
                "data": ticket.call,
            }
        )

    # -- sending it ----------------------------------------------------------------------------------------------

    async def send(self, ticket: bytes) -> None:
        """Send the newest form of a transaction. OutcomeUnknown when no node said what became of it; other errors say that none took it."""
        await self._identify()
        parsed = parse_ticket(ticket)
        newest = parsed.newest
        raw = self._raw.pop(newest.hash, None) or self._signed(parsed, newest.fees)[0]
        try:
            await self._rpc.call("eth_sendRawTransaction", _hex(raw))
        except RpcError as error:
            if is_known(error):
                return
            found = refusal(error)
            if isinstance(found, NonceTakenError) and await self._is_there(parsed):
                return  # by ourselves: an earlier attempt arrived although nobody said so
            raise found from error
        except (UnreachableError, BusyError) as error:
            raise OutcomeUnknown(f"nobody said whether {newest.hash} arrived: {error.message}", operation=newest.hash) from error

    async def _is_there(self, ticket: Ticket) -> bool:
        calls = [("eth_getTransactionByHash", (one.hash,)) for one in ticket.offers]
        return any(await self._rpc.call_many(calls))

    async def withdraw(self, ticket: bytes) -> None:
        """Give the nonce of a transaction back that certainly never left."""
        self._settle(parse_ticket(ticket))

    def _settle(self, ticket: Ticket) -> None:
        self._nonces.settle(ticket.nonce)
        for one in ticket.offers:
            self._raw.pop(one.hash, None)

    # -- looking after it ----------------------------------------------------------------------------------------

    async def look(self, tickets: Sequence[bytes]) -> list[Progress]:
        """Say of each transaction where it stands."""
        await self._identify()
        parsed = [parse_ticket(one) for one in tickets]
        calls = [("eth_getTransactionReceipt", (offer.hash,)) for one in parsed for offer in one.offers]
        sight, found = await asyncio.gather(self._see(), self._rpc.call_many(calls))
        answers = iter(found)
        receipts = [[next(answers) for _ in one.offers] for one in parsed]
        final = await self._final_height(sight.head)
        return [
            await self._judge(ticket, next((one for one in found if one is not None), None), sight, final)
            for ticket, found in zip(parsed, receipts, strict=True)
        ]

    async def _judge(self, ticket: Ticket, receipt: Any, sight: Sight, final: int) -> Progress:
        if receipt is not None:
            return await self._mined(ticket, receipt, final)
        if sight.mined > ticket.nonce:
            return await self._overtaken(ticket, final)
        if sight.mined < ticket.nonce:
            return Progress(Stage.WAITING, send=not await self._is_there(ticket), error=self._gap(ticket, sight))
        return await self._urge(ticket, sight)

    def _gap(self, ticket: Ticket, sight: Sight) -> LedgerError | None:
        """Say that a transaction waits for one that is not ours, and that may never come."""
        if self._nonces.holds(sight.mined):
            return None
        address = self._account.address
        return NonceGapError(f"{address} has no transaction of nonce {sight.mined}, and ours has nonce {ticket.nonce}")

    async def _mined(self, ticket: Ticket, receipt: Any, final: int) -> Progress:
        found = _receipt(receipt)
        settled = found.block <= final and await self._is_agreed(found)
        failure = await self._failure(ticket, found) if quantity(receipt.get("status")) == 0 else None
        if settled:
            self._settle(ticket)
        if failure is not None:
            return Progress(Stage.FAILED, error=failure, settled=settled)
        landed = Landed(found.transaction, found.block, found.block_hash)
        return Progress(Stage.FINAL if settled else Stage.INCLUDED, ticket.standing(found).draft(), landed=landed)

    async def _is_agreed(self, found: Receipt) -> bool:
        """Tell whether two providers, or the only one there is, show the transaction in that block, and that block at its height."""
        agreeing = 0
        for provider in self._rpc.providers:
            with suppress(UnreachableError, BusyError, BadSourceError, RpcError):
                await self._rpc.admit(provider)
                calls = [("eth_getTransactionReceipt", (found.transaction,)), ("eth_getBlockByNumber", (hex(found.block), False))]
                receipt, block = await provider.call_many(calls)
                hashes = [one.get(name) if isinstance(one, dict) else None for one, name in ((receipt, "blockHash"), (block, "hash"))]
                agreeing += hashes == [found.block_hash] * 2
        return agreeing >= min(2, len(self._rpc.providers))

    async def _failure(self, ticket: Ticket, receipt: Receipt) -> LedgerError:
        """Return why a transaction failed in its block."""
        if ticket.expected is not None:
            return SizeMismatchError("the contract's count was another when the transaction ran", expected=ticket.expected)
        try:
            await self.check()
        except NotAllowedError as error:
            return error
        return ConflictError(f"the transaction failed in block {receipt.block}", transaction=receipt.transaction)

    async def _overtaken(self, ticket: Ticket, final: int) -> Progress:
        """Judge a transaction whose nonce is used while none of its forms has a receipt.

        It is another's transaction, or the node is late: only finality decides.
        """
        if final < 0 or await self._number("eth_getTransactionCount", self._account.address, hex(final)) <= ticket.nonce:
            used = NonceUsedError(f"nonce {ticket.nonce} of {self._account.address} was used by another transaction than ours")
            return Progress(Stage.WAITING, error=used)
        if await self._anybody_knows(ticket):
            return Progress(Stage.WAITING)
        self._settle(ticket)
        return Progress(Stage.FAILED, error=NonceTakenError(f"nonce {ticket.nonce} was used by another transaction of this account"))

    async def _anybody_knows(self, ticket: Ticket) -> bool:
        """Ask every provider for a receipt, now that the nonce is used in a final block: one may have been behind when it was asked."""
        calls = [("eth_getTransactionReceipt", (offer.hash,)) for offer in ticket.offers]
        for provider in self._rpc.providers:
            with suppress(UnreachableError, BusyError, BadSourceError):
                await self._rpc.admit(provider)
                if any(await provider.call_many(calls)):
                    return True
        return False

    async def _urge(self, ticket: Ticket, sight: Sight) -> Progress:
        """Pay more for the transaction that everything waits for, if it is too cheap or stands still; send it again if no pool has it."""
        there = await self._is_there(ticket)
        slow = there and self._clock.now() - ticket.newest.made >= self.limits.stuck
        if slow or ticket.newest.fees.fee < sight.base_fee:
            return self._bump(ticket, sight)
        return Progress(Stage.WAITING, send=not there)

    def _bump(self, ticket: Ticket, sight: Sight) -> Progress:
        try:
            offer = self._sign(ticket, bumped(ticket.newest.fees, sight.base_fee, sight.tip, self.limits.caps))
        except LedgerError as error:
            return Progress(Stage.WAITING, error=error)
        return Progress(Stage.WAITING, ticket.offering(offer).draft(), send=True)

    async def _see(self) -> Sight:
        return await self._ask(lambda provider: see(provider, self._account.address))

    async def _number(self, method: str, *params: object) -> int:
        return await self._ask(lambda provider: _read(provider, quantity, method, params))

    async def _view(self, name: str, *values: object) -> bytes:
        call = {"to": self._rpc.contract, "data": _hex(self._calls.call(name, *values))}
        return await self._ask(lambda provider: _read(provider, octets, "eth_call", (call, "latest")))

    async def _ask(self, question: Callable[[Provider], Awaitable[Answer]]) -> Answer:
        """Ask the providers one after the other, until one gives an answer that can be read."""
        try:
            answer: Answer = await self._rpc.ask(question)
        except FormatError as error:
            raise BadSourceError(f"no provider answers as a node does: {error.message}") from error
        return answer


async def _read(provider: Provider, form: Callable[[object], Answer], method: str, params: Sequence[object]) -> Answer:
    return form(await provider.call(method, *params))


def _receipt(answer: Any) -> Receipt:
    try:
        gas, price = quantity(answer["gasUsed"]), quantity(answer["effectiveGasPrice"])
        return Receipt(hash_of(answer["transactionHash"]), quantity(answer["blockNumber"]), hash_of(answer["blockHash"]), gas, price)
    except (KeyError, TypeError, FormatError) as error:
        raise BadSourceError("a node's receipt is not one") from error


def _hex(raw: bytes) -> str:
    return "0x" + raw.hex()
