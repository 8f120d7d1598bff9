"""A contract as the mirror of a master's log: what it would cost, and the account that writes it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from blockchain_adapters.codec import encode
from blockchain_adapters.ethereum.account import read_address
from blockchain_adapters.ethereum.artifact import load_artifact
from blockchain_adapters.ethereum.calls import Calls, read_status
from blockchain_adapters.ethereum.refusals import refusal
from blockchain_adapters.ethereum.rpc import RpcError, octets, quantity
from blockchain_adapters.ethereum.ticket import parse_ticket
from blockchain_adapters.hometarget import HomeTarget
from blockchain_adapters.mirroring import Survey
from ledger.core.errors import BadSourceError, FormatError, NotAllowedError, UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import apsw

    from blockchain_adapters.ethereum.backend import AccountWriting, EthereumSource
    from blockchain_adapters.transactions import Parcel

WEI = 10**18
KEPT_SECONDS = 2 * 86_400
TABLE = "CREATE TABLE IF NOT EXISTS spent(submission INTEGER PRIMARY KEY, made REAL NOT NULL, gas INTEGER NOT NULL)"


class EthereumTarget(HomeTarget):
    """`mirroring.Target` for a contract: its transactions cost gas."""

    def __init__(self, source: EthereumSource, writing: AccountWriting, clock: Callable[[], float]) -> None:
        super().__init__(source, writing, _block_of, partial(_facts, source, writing.account.address), clock)
        self._counted = 0.0

    async def spent(self, since: float) -> int:
        """See Target. A transaction that is in no block counts with all the gas that it may use."""
        target, counted = self._writing.submitter.target, self._counted

        def work(connection: apsw.Connection) -> tuple[int, float]:
            connection.execute(TABLE)
            rows = list(
                connection.execute(
                    "SELECT number, created, changed, ticket FROM submission WHERE target=? AND changed>=?", (target, counted)
                )
            )
            for number, made, _, text in rows:
                ticket = parse_ticket(text)
                gas = ticket.gas if ticket.receipt is None else ticket.receipt.gas
                connection.execute("INSERT OR REPLACE INTO spent VALUES(?,?,?)", (number, made, gas))
            connection.execute("DELETE FROM spent WHERE made<?", (since - KEPT_SECONDS,))
            [(total,)] = connection.execute("SELECT coalesce(sum(gas), 0) FROM spent WHERE made>=?", (since,))
            return int(total), max((row[2] for row in rows), default=counted)

        total, self._counted = await self._writing.journal.database.write(work)
        return total


def _block_of(ticket: bytes) -> int | None:
    receipt = parse_ticket(ticket).receipt
    return None if receipt is None else receipt.block


async def _facts(source: EthereumSource, account: str) -> dict[str, object]:
    providers = len(source.rpc.providers)
    return {**await look(source, account), "providers": providers, "believed": providers == 1}


async def look(source: EthereumSource, account: str) -> dict[str, object]:
    """Return what the chain says of a contract and the account that is to write to it."""
    calls = Calls(await asyncio.to_thread(load_artifact))
    contract = source.rpc.contract

    def view(name: str, *values: object) -> tuple[str, tuple[object, ...]]:
        return ("eth_call", ({"to": contract, "data": "0x" + calls.call(name, *values).hex()}, "latest"))

    asked = [view("status"), view("isSubmitter", account), ("eth_getBalance", (account, "latest"))]
    status, allowed, balance = await source.rpc.call_many(asked)
    try:
        said = read_status(octets(status))
        may = said.is_open or any(octets(allowed))
        funds = quantity(balance)
    except FormatError as error:
        raise BadSourceError(f"no provider answers as a node does: {error.message}") from error
    return {
        "chain": source.here["chain"],
        "contract": contract,
        "account": account,
        "allowed": may,
        "balance": _ether(funds),
        "batches": said.count,
    }


async def survey(source: EthereumSource, key: Path, parcel: Parcel) -> Survey:
    """Return what writing a parcel would cost, and what stands in its way."""
    address = await asyncio.to_thread(read_address, key)
    if address is None:
        raise UsageError(f"{key} does not name its address", advice="Make the account anew: ledger-cli create account.")
    facts = await look(source, address)
    if not facts["allowed"]:
        advice = "Ask the contract's owner to allow the account (setSubmitter)."
        return Survey(facts, NotAllowedError(f"{address} may not append to the contract {source.rpc.contract}", advice=advice))
    call = Calls(await asyncio.to_thread(load_artifact)).record(parcel, encode(parcel.entries) if parcel.entries else b"")
    asked = {"from": address, "to": source.rpc.contract, "data": "0x" + call.hex()}
    try:
        gas, price = map(quantity, await source.rpc.call_many([("eth_estimateGas", (asked,)), ("eth_gasPrice", ())]))
    except RpcError as error:
        return Survey(facts, refusal(error))
    cost = gas * price
    facts |= {"entries": len(parcel.entries), "gas": gas, "cost": _ether(cost)}
    poor = str(facts["balance"]) == _ether(0) and price > 0
    problem = UnavailableError(f"{address} has no funds", advice="Send it some, on that chain.") if poor else None
    return Survey(facts, problem)


def _ether(wei: int) -> str:
    return f"{wei / WEI:.9f}".rstrip("0").rstrip(".") + " ether"
