"""Putting a new contract onto a chain, and what that costs before it is done."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from eth_utils.address import is_checksum_address, is_checksum_formatted_address, is_hex_address, to_checksum_address
from eth_utils.crypto import keccak
from rlp.codec import encode as rlp_encode  # type: ignore[import-untyped]  # the library says nothing of its types

from blockchain_adapters.ethereum.account import open_account, read_address
from blockchain_adapters.ethereum.artifact import load_artifact
from blockchain_adapters.ethereum.calls import Calls
from blockchain_adapters.ethereum.fees import Caps, Fees, fresh
from blockchain_adapters.ethereum.refusals import is_known, refusal
from blockchain_adapters.ethereum.rpc import Provider, RpcError, octets, quantity
from ledger.core.errors import BadSourceError, BusyError, FormatError, OutcomeUnknown, UnreachableError, UnsupportedError, UsageError
from ledger.home.url import parse_ledger_url

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from blockchain_adapters.ethereum.account import Account
    from blockchain_adapters.ethereum.artifact import Artifact

WAIT_SECONDS: Final = 180.0
_WEI: Final = 10**18
_ADDRESS: Final = re.compile(r"(?:^|/)0x[0-9a-fA-F]{40}/?$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Plan:
    """A deployment before it happens. Fees and costs are wei; `submitters` None is an open contract."""

    chain: int
    address: str
    account: str
    nonce: int
    gas: int
    fees: Fees
    base_fee: int
    balance: int
    submitters: tuple[str, ...] | None

    @property
    def most(self) -> int:
        """Return the most that it can cost."""
        return self.gas * self.fees.fee

    def facts(self) -> dict[str, object]:
        """Return what `-o json` shows."""
        return {
            "chain": self.chain,
            "contract": self.address,
            "account": self.account,
            "submitters": "anybody" if self.submitters is None else list(self.submitters),
            "gas": self.gas,
            "cost": _ether(self.gas * (self.base_fee + self.fees.tip)),
            "most": _ether(self.most),
            "balance": _ether(self.balance),
        }


@dataclass(frozen=True, slots=True)
class Deployed:
    """A contract that stands."""

    address: str
    transaction: str
    block: int
    gas: int
    cost: int

    def facts(self) -> dict[str, object]:
        """Return what `-o json` shows."""
        return {
            "contract": self.address,
            "transaction": self.transaction,
            "block": self.block,
            "gas": self.gas,
            "cost": _ether(self.cost),
        }


@dataclass(frozen=True, slots=True)
class Place:
    """Where a contract is to stand: a provider, named by a ledger URL without an address."""

    url: str

    @classmethod
    def of(cls, text: str) -> Place:
        """Return the place that a ledger URL names. UsageError when it names none, or a contract that stands."""
        parsed = parse_ledger_url(text)
        if parsed.scheme not in ("ethereum+http", "ethereum+https") or parsed.host is None or parsed.query:
            raise UsageError(f"{text} names no provider", advice="Write ethereum+http://HOST:PORT, or ethereum+https://HOST/PATH.")
        if _ADDRESS.search(parsed.path):
            raise UsageError(f"{text} names a contract already", advice="Leave the address out: the new contract gets one of its own.")
        return cls(text.removeprefix("ethereum+").rstrip("/"))

    def ledger(self, address: str) -> str:
        """Return the ledger URL of a contract there."""
        return f"ethereum+{self.url}/{address}"


async def plan_contract(place: Place, key: Path, submitters: Sequence[str] | None, max_fee: int) -> Plan:
    """Return what deploying would do and cost, for the account of a keystore file, which stays closed.

    No submitters means that account, None everybody. UsageError when the file does not name its address.
    """
    address = await asyncio.to_thread(read_address, key)
    if address is None:
        raise UsageError(f"{key} does not name its address", advice="Make the account anew: ledger-cli create account.")
    deployer = await _deployer(place, max_fee)
    try:
        return await deployer.plan(address, [address] if submitters == [] else submitters)
    finally:
        await deployer.close()


async def deploy_contract(place: Place, key: Path, passphrase: str, plan: Plan) -> Deployed:
    """Carry a plan out with the account of a keystore file. Raises as `open_account` and `Deployer.deploy`."""
    account = await asyncio.to_thread(open_account, key, passphrase)
    deployer = await _deployer(place, plan.fees.fee)
    try:
        if account.address != plan.account:
            raise UsageError(f"the key in {key} is that of {account.address}, not of {plan.account}")
        return await deployer.deploy(account, plan)
    finally:
        await deployer.close()
        await asyncio.to_thread(account.close)


async def _deployer(place: Place, max_fee: int) -> Deployer:
    artifact = await asyncio.to_thread(load_artifact)
    return Deployer(Provider(place.url), artifact, Caps(fee=max_fee))


class Deployer:
    """Deploys one kind of contract for one account, through one provider."""

    def __init__(self, provider: Provider, artifact: Artifact, caps: Caps | None = None) -> None:
        self._provider = provider
        self._artifact = artifact
        self._caps = Caps() if caps is None else caps

    async def close(self) -> None:
        """Close the connection."""
        await self._provider.close()

    async def plan(self, account: str, submitters: Sequence[str] | None) -> Plan:
        """Return what a deployment would do and cost. Nothing leaves but questions. FeeCapError above the caps."""
        allowed = None if submitters is None else tuple(map(_checksummed, submitters))
        code = Calls(self._artifact).deployment(allowed)
        calls: list[tuple[str, Sequence[object]]] = [
            ("eth_chainId", ()),
            ("eth_getBlockByNumber", ("latest", False)),
            ("eth_maxPriorityFeePerGas", ()),
            ("eth_getTransactionCount", (account, "pending")),
            ("eth_getBalance", (account, "latest")),
            ("eth_estimateGas", ({"from": account, "data": "0x" + code.hex()},)),
        ]
        try:
            chain, block, *rest = await self._provider.call_many(calls)
            base_fee = _base_fee(block)
            tip, nonce, balance, gas = map(quantity, rest)
            fees = fresh(base_fee, tip, self._caps)
            return Plan(quantity(chain), contract_address(account, nonce), account, nonce, gas * 11 // 10, fees, base_fee, balance, allowed)
        except RpcError as error:
            raise refusal(error) from error
        except FormatError as error:
            raise BadSourceError(f"{self._provider.name} does not answer as a node does: {error.message}") from error

    async def deploy(self, account: Account, plan: Plan) -> Deployed:
        """Carry a plan out; return when its block is there and holds the contract.

        OutcomeUnknown when nobody says within three minutes: the address in the plan tells later.
        """
        raw, name = account.sign(
            {
                "type": 2,
                "chainId": plan.chain,
                "nonce": plan.nonce,
                "value": 0,
                "gas": plan.gas,
                "maxFeePerGas": plan.fees.fee,
                "maxPriorityFeePerGas": plan.fees.tip,
                "data": Calls(self._artifact).deployment(plan.submitters),
            }
        )
        try:
            await self._provider.call("eth_sendRawTransaction", "0x" + raw.hex())
        except RpcError as error:
            if not is_known(error):
                raise refusal(error) from error
        except (UnreachableError, BusyError):
            pass  # it may have arrived: the receipt tells
        return await self._await(name, plan)

    async def _await(self, name: str, plan: Plan) -> Deployed:
        pause = 0.02
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while (receipt := await self._receipt(name)) is None:
                    await asyncio.sleep(pause)
                    pause = min(2.0, pause * 1.5)
        except TimeoutError as error:
            advice = f"Look for the contract at {plan.address} before you deploy another one."
            raise OutcomeUnknown(f"transaction {name} is in no block yet. {advice}", operation=name) from error
        code = octets(await self._provider.call("eth_getCode", plan.address, "latest"))
        if code != self._artifact.runtime:
            raise BadSourceError(f"the deployment {name} left another code at {plan.address} than was sent", transaction=name)
        gas, price = quantity(receipt["gasUsed"]), quantity(receipt["effectiveGasPrice"])
        return Deployed(plan.address, name, quantity(receipt["blockNumber"]), gas, gas * price)

    async def _receipt(self, name: str) -> dict[str, Any] | None:
        try:
            found = await self._provider.call("eth_getTransactionReceipt", name)
        except (UnreachableError, BusyError):
            return None
        return found if isinstance(found, dict) else None


def _checksummed(address: str) -> str:
    """Return an address in its one spelling. UsageError for what is none, and for a mixed spelling that has a mistake in it."""
    if not is_hex_address(address) or (is_checksum_formatted_address(address) and not is_checksum_address(address)):
        raise UsageError(f"{address} is no address", advice="Write 0x and 40 hex digits; if letters are mixed, their case is a checksum.")
    return str(to_checksum_address(address))


def contract_address(account: str, nonce: int) -> str:
    """Return the address of the contract that a transaction of this account and nonce makes."""
    return to_checksum_address(keccak(rlp_encode([bytes.fromhex(account[2:]), nonce]))[12:])


def _base_fee(block: Any) -> int:
    if not isinstance(block, dict):
        raise FormatError("there is no newest block")
    if "baseFeePerGas" not in block:
        raise UnsupportedError("this chain has no base fee: it is older than EIP-1559")
    return quantity(block["baseFeePerGas"])


def _ether(wei: int) -> str:
    return f"{wei / _WEI:.9f}".rstrip("0").rstrip(".") + " ether"
