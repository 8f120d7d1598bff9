"""What tests know of a network of peers, be it a real one or the stand-in: how to reach it, whom to be, and what may befall its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from blockchain_adapters.hyperledger.peer import Profile

CHANNEL = "ledger"
CHAINCODE = "metaledger"
MSP = "Org1MSP"
WRITER = "writer"
POLICY = b'{"admin":[{"msp":"Org1MSP"}],"append":[{"msp":"Org1MSP"},{"msp":"Org2MSP"}]}'


class FabricNetwork(Protocol):
    """One channel with the chaincode committed and its policy set.

    Parts are named `peer0`, `orderer0`, `chaincode0` and so on; `parts` lists those that this network has as processes of their own.
    What is frozen neither answers nor dies (SIGSTOP) until it is thawed. `start` returns once the part listens.
    """

    is_real: bool
    channel: str
    chaincode: str

    @property
    def parts(self) -> Sequence[str]:
        """Return the names of its processes."""
        ...

    @property
    def peers(self) -> Sequence[str]:
        """Return the peers' addresses."""
        ...

    def profile(self, user: str = WRITER, peer: int = 0) -> Profile:
        """Return how `user` of the peer's organisation reaches a peer."""
        ...

    def add_user(self, name: str, *, valid: timedelta | None = None, attributes: Mapping[str, str] | None = None) -> None:
        """Make a member of the first organisation; `valid` from now, below zero it has expired."""
        ...

    def kill(self, part: str) -> None:
        """End a part by SIGKILL; return when it is gone."""
        ...

    def freeze(self, part: str) -> None:
        """Stop a part where it is (SIGSTOP)."""
        ...

    def thaw(self, part: str) -> None:
        """Let a frozen part go on."""
        ...

    async def start(self, part: str) -> None:
        """Start a part that was killed, on what it had kept."""
        ...
