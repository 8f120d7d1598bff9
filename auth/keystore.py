"""Private keys on disk: PKCS8 PEM files that only their owner can read.

A key file is made whole or not at all, never over another one, and read only if its mode is 0600
or narrower. With a passphrase the PEM is encrypted; the passphrase itself comes from a prompt or a
file, never from argv. Files that a `…_FILE` setting names are the operator's own and may be shared
a little wider (`read_secret`). Nothing here puts a secret into a repr or an error.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auth.pkcs8 import encrypt_pkcs8
from ledger.core.errors import ConflictError, FormatError, NotFoundError, UsageError
from ledger.core.keys import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_SECRET = 65_536  # bytes; a key is 120, a certificate chain some thousand
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def generate_key() -> PrivateKey:
    """Return a new key from the system's randomness."""
    return PrivateKey(secrets.token_bytes(32))


def create_file(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a new file whole, synced, with exactly `mode`; raises ConflictError if `path` exists.

    A crash leaves either no file of that name or the whole of it.
    """
    draft = _draft(path, content, mode)
    try:
        os.link(draft, path, follow_symlinks=False)
    except FileExistsError as e:
        raise ConflictError(f"{path} exists already; it is not overwritten.", advice="Move it away first, or use it.") from e
    except OSError as e:
        raise UsageError(f"{path} cannot be made: {e.strerror}.") from e
    finally:
        draft.unlink(missing_ok=True)
    _sync_directory(path.parent)


def replace_file(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file whole, synced, with exactly `mode`, in the place of the one of that name, if any."""
    draft = _draft(path, content, mode)
    try:
        draft.replace(path)
    except OSError as e:
        draft.unlink(missing_ok=True)
        raise UsageError(f"{path} cannot be replaced: {e.strerror}.") from e
    _sync_directory(path.parent)


def _draft(path: Path, content: bytes, mode: int) -> Path:
    """Write `content` beside `path` under a name of its own."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    except OSError as e:
        raise UsageError(f"{path} cannot be made: {e.strerror}.") from e
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)  # whatever the umask
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except OSError as e:
        draft.unlink(missing_ok=True)
        raise UsageError(f"{path} cannot be written: {e.strerror}.") from e
    return draft


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_private_file(path: Path) -> bytes:
    """Return the content of a private file of a home.

    Raises NotFoundError without one, UsageError if anybody but the owner may touch it or it is no
    regular file.
    """
    content, mode = _read(path)
    if mode & _OTHERS:
        raise UsageError(
            f"{path} has mode {mode:04o}; a private file of a home is open to its owner only.",
            advice=f"Look who could read it; then: chmod 600 {path}",
        )
    return content


def read_secret(path: Path, warn: Callable[[str], None]) -> bytes:
    """Return the content of a file that a `…_FILE` setting names, without its last newline.

    It may be readable by others (`warn` is told), as mounted secrets are; one that everybody may
    write raises UsageError.
    """
    content, mode = _read(path)
    if mode & stat.S_IWOTH:
        raise UsageError(f"{path} has mode {mode:04o}: everybody may write it.", advice=f"chmod o-w {path}")
    if mode & _OTHERS:
        warn(f"{path} has mode {mode:04o}: others than its owner may read it")
    return content.removesuffix(b"\n").removesuffix(b"\r")


def _read(path: Path) -> tuple[bytes, int]:
    """Return content and permission bits, both of the one file that was opened."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO must not hold us
    except FileNotFoundError as e:
        raise NotFoundError(f"There is no file {path}.") from e
    except OSError as e:
        raise UsageError(f"{path} cannot be read: {e.strerror}.") from e
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path} is no regular file.")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(MAX_SECRET + 1)
    finally:
        os.close(descriptor)
    if len(content) > MAX_SECRET:
        raise UsageError(f"{path} is larger than {MAX_SECRET} bytes; that is no key.")
    return content, stat.S_IMODE(status.st_mode)


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
        raise UsageError("The key is encrypted and needs its passphrase.", advice="Give it by --passphrase-file or when asked.")
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
        _sync_directory(self._directory)
