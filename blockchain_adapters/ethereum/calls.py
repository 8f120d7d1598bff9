"""What is said to the contract, and what it answers, as bytes (the ABI of `contract/MetaLedger.json`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from ledger.core.errors import BadSourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blockchain_adapters.ethereum.artifact import Artifact
    from blockchain_adapters.transactions import Parcel

ANYWHERE: Final = 2**64 - 1
MAX_BATCH: Final = 126_976
MAX_NOTE: Final = 16_384
_STATUS: Final = ("uint64", "bytes32", "uint64", "bytes32", "uint64", "bool")


@dataclass(frozen=True, slots=True)
class Status:
    """What the contract says of itself: batches so far and the hash over them, the checkpoint anchored last, where reading starts."""

    count: int
    head: bytes
    size: int
    root: bytes
    deployed_at: int
    is_open: bool


class Calls:
    """The functions of the contract as call data."""

    def __init__(self, artifact: Artifact) -> None:
        self._artifact = artifact
        named = {one["name"]: one for one in artifact.abi if one["type"] == "function"}
        self._functions = {name: (_selector(one), _types(one)) for name, one in named.items()}
        [self._constructor] = [_types(one) for one in artifact.abi if one["type"] == "constructor"]

    def deployment(self, submitters: Sequence[str] | None) -> bytes:
        """Return the code that deploys a contract for these accounts, or an open one."""
        return self._artifact.bytecode + encode(self._constructor, [submitters is None, list(submitters or ())])

    def record(self, parcel: Parcel, batch: bytes, *, anywhere: bool = False) -> bytes:
        """Return the call that appends a batch, with the parcel's note if it has one; `anywhere` drops its condition."""
        expected = ANYWHERE if anywhere or parcel.expected is None else parcel.expected
        if not parcel.note:
            return self.call("append", expected, batch)
        return self.call("anchor", expected, parcel.start, parcel.size, parcel.root, batch, parcel.note)

    def call(self, name: str, *values: object) -> bytes:
        """Return the call of a function."""
        selector, types = self._functions[name]
        return selector + encode(types, values)


def read_status(answer: bytes) -> Status:
    """Return what `status()` answered. BadSourceError when it is no such answer."""
    try:
        return Status(*decode(_STATUS, answer))
    except (DecodingError, ValueError) as error:
        raise BadSourceError("what answers at the contract's address is another contract", advice="Compare the address.") from error


def _selector(function: dict[str, Any]) -> bytes:
    return keccak(text=f"{function['name']}({','.join(_types(function))})")[:4]


def _types(item: dict[str, Any]) -> list[str]:
    return [one["type"] for one in item["inputs"]]
