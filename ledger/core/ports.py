"""What the pure core and the engine ask of the world around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ledger.core.keys import PublicKey


class Clock(Protocol):
    """Time, injected so that tests freeze it."""

    def now(self) -> float:
        """Return wall time in seconds since 1970 (UTC). It may jump either way."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back within one process."""
        ...


class Signer(Protocol):
    """Whoever holds a private Ed25519 key: a file, a token, a test."""

    @property
    def public(self) -> PublicKey:
        """Return the public half."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of an Ed25519 signature over `message`."""
        ...


class Observer(Protocol):
    """Hears what the engine did; metrics and logs hang here. Must not raise or block."""

    def event(self, name: str, /, **facts: object) -> None:
        """Record that `name` happened."""
        ...
