"""Private keys on disk: PKCS8 PEM files that only their owner can read.

A key file is made whole or not at all, never over another one, and read only if its mode is 0600
or narrower. With a passphrase the PEM is encrypted; the passphrase itself comes from a prompt or a
file, never from argv. Nothing here puts a secret into a repr or an error.
"""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auth.pkcs8 import encrypt_pkcs8
from ledger.core.errors import FormatError, NotFoundError, UsageError
from ledger.core.keys import PrivateKey
from ledger.home.files import create_file, read_private_file, sync_directory, write_file

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
LOCKED = "Name its file in METALEDGER_PASSPHRASE_FILE, or answer at a terminal."


def generate_key() -> PrivateKey:
    """Return a new key from the system's randomness."""
    return PrivateKey(secrets.token_bytes(32))


def encode_key(key: PrivateKey, passphrase: bytes | None = None) -> bytes:
    """Return `key` as PKCS8 PEM, encrypted if there is a passphrase; an empty one raises UsageError."""
    private = Ed25519PrivateKey.from_private_bytes(key.seed)
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    if passphrase is None:
        return private.private_bytes(serialization.Encoding.PEM, pkcs8, plain)
    if not passphrase:
        raise UsageError("An empty passphrase protects nothing.", advice="Give one, or none at all.")
    return encrypt_pkcs8(private.private_bytes(serialization.Encoding.DER, pkcs8, plain), passphrase)


def decode_key(pem: bytes, passphrase: bytes | None = None) -> PrivateKey:
    """Return the Ed25519 key of a PKCS8 PEM.

    Raises UsageError if a passphrase is missing or wrong, FormatError for anything else.
    """
    encrypted = b"ENCRYPTED" in pem
    if encrypted and not passphrase:
        raise UsageError("The key is encrypted and needs its passphrase.", advice=LOCKED)
    try:
        private = serialization.load_pem_private_key(pem, passphrase if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as e:
        if encrypted:
            raise UsageError("The passphrase is wrong, or the key file is damaged.") from e
        raise FormatError("That is no private key in PKCS8 PEM.") from e
    if not isinstance(private, Ed25519PrivateKey):
        raise FormatError("That is no Ed25519 key.")
    return PrivateKey(private.private_bytes_raw())


class KeyStore:
    """The `keys/` directory of a home: one PEM file a key, by name."""

    def __init__(self, directory: Path, passphrase: bytes | None = None) -> None:
        self._directory = directory
        self._passphrase = passphrase

    def __repr__(self) -> str:
        return f"KeyStore({str(self._directory)!r})"

    def path(self, name: str) -> Path:
        """Return the file of the key `name`; raises UsageError for a name that is none."""
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no name of a key.")
        return self._directory / f"{name}.pem"

    def names(self) -> list[str]:
        """Return the names of the keys here, sorted."""
        return sorted(file.stem for file in self._directory.glob("*.pem") if _NAME.fullmatch(file.stem))

    def has(self, name: str) -> bool:
        """Return whether there is a key `name`."""
        return self.path(name).exists()

    def create(self, name: str) -> PrivateKey:
        """Make, store and return a new key; raises ConflictError if there is one of that name."""
        key = generate_key()
        self.store(name, key)
        return key

    def store(self, name: str, key: PrivateKey) -> None:
        """Store a key that exists; raises ConflictError if there is one of that name."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        create_file(self.path(name), encode_key(key, self._passphrase))

    def load(self, name: str) -> PrivateKey:
        """Return the key `name`; raises NotFoundError, UsageError (mode, passphrase) or FormatError."""
        path = self.path(name)
        pem = read_private_file(path)
        try:
            return decode_key(pem, self._passphrase)
        except FormatError as e:
            raise FormatError(f"{path}: {e.message}") from e

    def protect(self, passphrase: bytes | None) -> list[str]:
        """Put every key here under another passphrase, None for none; return the names.

        All of them are opened before the first is written. A stop leaves each under the old one or the new one, and doing it again
        with both finishes it. Raises UsageError when a key opens with neither.
        """
        keys = {name: self._open(name, passphrase) for name in self.names()}
        files = {self.path(name): encode_key(key, passphrase) for name, key in keys.items()}
        for path, pem in files.items():
            write_file(path, pem)
        return list(keys)

    def _open(self, name: str, other: bytes | None) -> PrivateKey:
        try:
            return self.load(name)
        except UsageError:
            if other is None:
                raise
            return KeyStore(self._directory, other).load(name)

    def promote(self, new: str, name: str) -> None:
        """Let the key `new` take the place of `name`, whose old file stays as `<name>.<key id>`.

        For rotation: `new` is stored first, promoted once the log holds it. A crash leaves either
        key in the place, never none. Raises NotFoundError without `new`.
        """
        source, target = self.path(new), self.path(name)
        if not source.exists():
            raise NotFoundError(f"There is no key {new} to promote.")
        if target.exists():
            kept = self.path(f"{name[:40]}.{self.load(name).public.keyid[:16]}")
            with suppress(FileExistsError):
                os.link(target, kept)
        source.replace(target)
        sync_directory(self._directory)
