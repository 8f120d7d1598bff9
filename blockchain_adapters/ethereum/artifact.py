"""The built contract: what deploys it, what talks to it, and the hash that tells it from any other.

`contract/MetaLedger.json` is what the pinned compiler makes of `contract/MetaLedger.sol`, byte for byte.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any

from eth_utils.crypto import keccak


@dataclass(frozen=True)
class Artifact:
    """The contract as compiled. `runtime` is the code that stands on a chain: it has no immutables, so it is the same on all."""

    compiler: str
    abi: list[dict[str, Any]]
    bytecode: bytes
    runtime: bytes

    @cached_property
    def runtime_hash(self) -> bytes:
        """Return the hash of the code on the chain, as EXTCODEHASH and `eth_getProof` give it."""
        return keccak(self.runtime)


def load_artifact() -> Artifact:
    """Read the artifact. It comes with the package, so nothing of it is checked again. Reads a file: not for an event loop."""
    text = files("blockchain_adapters.ethereum").joinpath("contract", "MetaLedger.json").read_text("utf-8")
    built = json.loads(text)
    return Artifact(built["compiler"], built["abi"], bytes.fromhex(built["bytecode"][2:]), bytes.fromhex(built["runtime"][2:]))
