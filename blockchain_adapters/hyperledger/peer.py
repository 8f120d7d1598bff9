"""One peer of a channel, reached through the bridge with one identity: the calls of bridge-java/README.md, with types.

A connection lives in the bridge's process. When that was started again, the next call opens the connection anew: keys and certificates
are kept here, in memory.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from blockchain_adapters.hyperledger.faults import ReopenError, TimeUpError
from ledger.core.errors import BadSourceError, OutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blockchain_adapters.hyperledger.bridge import Bridge

PAGE: Final = 1_000
_DEADLINES: Final = ("evaluate_ms", "endorse_ms", "submit_ms")
_SEQUENCE: Final = 0x30
_INTEGER: Final = 0x02
_OCTETS: Final = 0x04
_LONG: Final = 0x80


@dataclass(frozen=True, slots=True)
class Profile:
    """How a peer is reached: its address (HOST:PORT), whom to be, and what to talk to. All certificates and the key are PEM texts.

    `authority` is the name in the peer's TLS certificate, when that is not its host; `patience` how many seconds the peer has to evaluate,
    endorse or order, when that is not what the bridge gives it.
    """

    peer: str
    msp: str
    certificate: str
    key: str = field(repr=False)
    tls_ca: str = field(repr=False)
    channel: str
    chaincode: str
    authority: str | None = None
    patience: float | None = None

    def fields(self) -> dict[str, Any]:
        """Return the members of an `open` request."""
        named = ("peer", "msp", "certificate", "key", "tls_ca", "channel", "chaincode", "authority")
        texts = {name: value for name in named if (value := getattr(self, name)) is not None}
        return texts if self.patience is None else {**texts, **dict.fromkeys(_DEADLINES, round(self.patience * 1_000))}


@dataclass(frozen=True, slots=True)
class Endorsed:
    """A transaction that peers have signed and that has not left; `ticket` is what `submit` sends."""

    transaction: str
    ticket: bytes
    result: bytes


@dataclass(frozen=True, slots=True)
class Committed:
    """The block that holds a transaction as valid."""

    transaction: str
    block: int


@dataclass(frozen=True, slots=True)
class Event:
    """What a valid transaction of the chaincode announced. `payload` is only its SHA-256 where digests were asked for."""

    transaction: str
    name: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class PeerBlock:
    """A block of the channel: its header, in which `content` is the hash over its transactions, and the events of the chaincode in it."""

    number: int
    previous: bytes
    content: bytes
    events: tuple[Event, ...]

    @property
    def hash(self) -> bytes:
        """Return the hash by which the next block names this one: SHA-256 over the header in DER."""
        header = _der(_INTEGER, _integer(self.number)) + _der(_OCTETS, self.previous) + _der(_OCTETS, self.content)
        return hashlib.sha256(_der(_SEQUENCE, header)).digest()


class Peer:
    """A peer. `close` it; for one event loop."""

    def __init__(self, bridge: Bridge, profile: Profile) -> None:
        """Reach the peer of `profile`; nothing is opened before the first call."""
        self._bridge = bridge
        self._profile = profile
        self._opening = asyncio.Lock()
        self._opened: tuple[int, str] | None = None
        self.name = profile.peer
        self.requests = 0
        self.received = 0

    async def evaluate(self, function: str, *arguments: bytes) -> bytes:
        """Return what a chaincode function answers, without a transaction."""
        return _octets(await self._ask("evaluate", _call(function, arguments)), "result")

    async def endorse(self, function: str, *arguments: bytes) -> Endorsed:
        """Have a transaction executed and signed. It has not left: write its ticket down, then `submit`."""
        answer = await self._ask("endorse", _call(function, arguments))
        return Endorsed(_text(answer, "tx_id"), _octets(answer, "transaction"), _octets(answer, "result"))

    async def submit(self, endorsed: Endorsed) -> None:
        """Send a transaction to be ordered, for the first time or again. OutcomeUnknown when it may have left; other errors: it did not."""
        try:
            await self._ask("submit", {"transaction": base64.b64encode(endorsed.ticket).decode()})
        except OutcomeUnknown as error:
            raise OutcomeUnknown(error.message, operation=endorsed.transaction) from error

    async def committed(self, transaction: str, wait: float) -> Committed | None:
        """Wait at most `wait` seconds for the block of a transaction; None: no block has it yet, which says nothing of later.

        Raises ConflictError, NoEndorsementError or InvalidError when a block holds it as invalid: it has no effect, for ever.
        """
        try:
            answer = await self._ask("status", {"tx_id": transaction}, wait=wait)
        except TimeUpError:
            return None
        return Committed(transaction, _number(answer, "block"))

    async def height(self) -> tuple[int, bytes]:
        """Return how many blocks the peer has, and the hash of the newest."""
        answer = await self._ask("height", {})
        return _number(answer, "height"), _octets(answer, "hash")

    async def blocks(self, first: int, wait: float, *, limit: int = PAGE, digests: bool = False) -> list[PeerBlock]:
        """Return the blocks from number `first` on, as many as are there, at most `limit`; none when none came within `wait` seconds."""
        fields = {"block": first, "limit": limit, "digests": digests}
        found = (await self._ask("blocks", fields, wait=wait)).get("blocks")
        if not isinstance(found, list):
            raise BadSourceError(f"{self.name}: the bridge's page of blocks is not one")
        named = "digest" if digests else "payload"
        blocks = [
            PeerBlock(
                _number(one, "number"),
                _octets(one, "previous"),
                _octets(one, "data"),
                tuple(Event(_text(event, "tx_id"), _text(event, "name"), _octets(event, named)) for event in one["events"]),
            )
            for one in found
        ]
        self.received += sum(len(event.payload) for one in blocks for event in one.events)
        if [one.number for one in blocks] != list(range(first, first + len(blocks))):
            raise BadSourceError(f"{self.name}: it shows other blocks than those from {first} on")
        return blocks

    async def close(self) -> None:
        """Close the connection. Idempotent."""
        opened, self._opened = self._opened, None
        if opened is not None and opened[0] == self._bridge.generation and self._bridge.pid is not None:
            await self._bridge.ask("close", {"connection": opened[1]}, generation=opened[0])

    async def _ask(self, method: str, fields: dict[str, Any], *, wait: float = 0.0) -> dict[str, Any]:
        self.requests += 1
        generation, connection = await self._open()
        try:
            return await self._bridge.ask(method, {**fields, "connection": connection}, wait=wait, generation=generation)
        except ReopenError:
            # It was not taken, so it may be asked of the process that is there now.
            self._opened = None
            generation, connection = await self._open()
            return await self._bridge.ask(method, {**fields, "connection": connection}, wait=wait, generation=generation)

    async def _open(self) -> tuple[int, str]:
        async with self._opening:
            generation = await self._bridge.start()
            if self._opened is None or self._opened[0] != generation:
                answer = await self._bridge.ask("open", self._profile.fields(), generation=generation)
                self._opened = generation, _text(answer, "connection")
            return self._opened


def _call(function: str, arguments: Sequence[bytes]) -> dict[str, Any]:
    return {"function": function, "arguments": [base64.b64encode(one).decode() for one in arguments]}


def _text(answer: dict[str, Any], name: str) -> str:
    found = answer.get(name)
    if not isinstance(found, str):
        raise BadSourceError(f"the bridge's answer has no {name}")
    return found


def _number(answer: dict[str, Any], name: str) -> int:
    found = answer.get(name)
    if type(found) is not int:
        raise BadSourceError(f"the bridge's answer has no {name}")
    return found


def _der(tag: int, content: bytes) -> bytes:
    """Return one value in DER (X.690)."""
    size = len(content)
    length = bytes([size]) if size < _LONG else bytes([_LONG | (size.bit_length() + 7) // 8]) + size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag]) + length + content


def _integer(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1)


def _octets(answer: dict[str, Any], name: str) -> bytes:
    return base64.b64decode(_text(answer, name))


__all__ = ["Committed", "Endorsed", "Event", "Peer", "PeerBlock", "Profile"]
