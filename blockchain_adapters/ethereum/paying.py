"""The account that pays for what a home writes: what it can do now, and what keeps what it sent from going on. Needs no passphrase."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from blockchain_adapters.ethereum.account import KEY_FILE, read_address
from blockchain_adapters.ethereum.mirroring import look
from blockchain_adapters.ethereum.nonces import NonceGapError, NonceUsedError
from blockchain_adapters.ethereum.refusals import NoFundsError
from blockchain_adapters.ethereum.sight import see
from blockchain_adapters.ethereum.ticket import parse_ticket
from blockchain_adapters.opening import unsettled
from ledger.core.errors import LedgerError, NotAllowedError

if TYPE_CHECKING:
    from blockchain_adapters.ethereum.backend import EthereumSource
    from blockchain_adapters.ethereum.sight import Sight
    from blockchain_adapters.ethereum.ticket import Ticket
    from ledger.core.ports import Clock
    from ledger.home.home import Home

NOTHING = "0 ether"
NOBODY = "Ask the contract's owner to allow the account (setSubmitter)."


async def describe_payer(source: EthereumSource, home: Home, clock: Clock) -> dict[str, object] | None:
    """Return the account of a home as `status` shows it; None in a home without one.

    `problem` and `advice` say what keeps it from writing, None when nothing does. Raises what keeps the chain from being asked.
    """
    path = home.keys / KEY_FILE
    address = await asyncio.to_thread(read_address, path) if await asyncio.to_thread(path.exists) else None
    if address is None:
        return None
    facts = await look(source, address)
    tickets = await underway(source, home, clock)
    sight: Sight = await source.rpc.ask(lambda provider: see(provider, address))
    problem = await _problem(source, facts, tickets, sight)
    return {
        "address": address,
        "allowed": facts["allowed"],
        "balance": facts["balance"],
        "nonce": sight.mined,
        "underway": len(tickets),
        "problem": None if problem is None else problem.message,
        "advice": None if problem is None else problem.hint,
    }


async def count_underway(source: EthereumSource, home: Home, clock: Clock) -> int:
    """Return how many transactions of a home are not final."""
    return len(await underway(source, home, clock))


async def underway(source: EthereumSource, home: Home, clock: Clock) -> list[Ticket]:
    """Return the transactions of a home that were sent and are not final."""
    return [parse_ticket(one.ticket) for one in await unsettled(home.journal, source.target, clock)]


async def _problem(source: EthereumSource, facts: dict[str, object], tickets: list[Ticket], sight: Sight) -> LedgerError | None:
    account = facts["account"]
    if not facts["allowed"]:
        return NotAllowedError(f"{account} may not append to the contract {source.rpc.contract}", advice=NOBODY)
    waiting = sorted(one.nonce for one in tickets if one.nonce >= sight.mined)
    if waiting and waiting[0] > sight.pending:
        return NonceGapError(f"{account} has no transaction of nonce {sight.pending}, and ours has nonce {waiting[0]}")
    for one in tickets:
        if one.nonce < sight.mined and not await _is_mined(source, one):
            return NonceUsedError(f"nonce {one.nonce} of {account} was used by another transaction than ours")
    if facts["balance"] == NOTHING and sight.base_fee:
        return NoFundsError(f"{account} has no funds on chain {facts['chain']}")
    return None


async def _is_mined(source: EthereumSource, ticket: Ticket) -> bool:
    return any(await source.rpc.call_many([("eth_getTransactionReceipt", (offer.hash,)) for offer in ticket.offers]))
