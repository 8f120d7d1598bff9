"""The keys that sign a server's access tokens, and how one follows another without a token being refused.

`token.pem` signs. The one before stays beside it as `token.<key id>.pem`, and what it signed is taken, until the last token
of it is over; then its file is taken away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.core.limits import LIMITS

if TYPE_CHECKING:
    from pathlib import Path

    from auth.keystore import KeyStore
    from ledger.core.keys import PrivateKey, PublicKey
    from ledger.core.ports import Clock

TOKEN = "token"  # noqa: S105 - the name of a key file
NEXT = "token-next"
GRACE_SECONDS = 60  # a server signs with the key before until it looks again


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """The key that signs, and all whose tokens are taken: that one first."""

    signer: PrivateKey
    public: tuple[PublicKey, ...]


class TokenKeyFiles:
    """The token keys of one home (blocking)."""

    def __init__(self, keys: KeyStore, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._seen: list[tuple[str, int, int]] | None = None

    def load(self) -> TokenKeys:
        """Return the keys as they are; those whose tokens are all over are taken away. Raises as `KeyStore.load` does."""
        over = self._clock.now() > self._keys.path(TOKEN).stat().st_mtime + LIMITS.access_token_seconds + GRACE_SECONDS
        for name in former(self._keys) if over else ():
            self._keys.path(name).unlink(missing_ok=True)
        self._seen = self._look()
        signer = self._keys.load(TOKEN)
        others = [self._keys.load(name).public for name in former(self._keys)]
        return TokenKeys(signer, (signer.public, *others))

    def load_or_create(self) -> TokenKeys:
        """Return the keys; the first is made when there is none."""
        if not self._keys.has(TOKEN):
            self._keys.create(TOKEN)
        return self.load()

    def reload_if_changed(self) -> TokenKeys | None:
        """Return the keys if their files changed since they were loaded, or if one of them is over now; else None."""
        if self._look() == self._seen and not former(self._keys):
            return None
        before = self._seen
        found = self.load()
        return None if self._seen == before else found

    def _look(self) -> list[tuple[str, int, int]]:
        paths = [self._keys.path(name) for name in (TOKEN, *former(self._keys))]
        return [_stamp(path) for path in paths if path.exists()]


def former(keys: KeyStore) -> list[str]:
    """Return the names of token keys that sign no more."""
    return [name for name in keys.names() if name.startswith(f"{TOKEN}.")]


def rotate_token_key(keys: KeyStore, *, at_once: bool = False) -> tuple[PrivateKey, bool]:
    """Put a new token key in the place of the one in use; return it, and whether tokens of the one before are still taken.

    With `at_once` they are not. Raises NotFoundError in a home that has no token key.
    """
    keys.load(TOKEN)
    keys.path(NEXT).unlink(missing_ok=True)  # of an attempt that was stopped: its age must not count
    new = keys.create(NEXT)
    keys.promote(NEXT, TOKEN)
    if at_once:
        for name in former(keys):
            keys.path(name).unlink(missing_ok=True)
    return new, bool(former(keys))


def _stamp(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return path.name, status.st_ino, status.st_mtime_ns
