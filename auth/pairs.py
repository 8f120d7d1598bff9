"""A certificate and its key on disk, replaced together although they are two files.

Both are written beside their places first, then the key is moved, then the certificate. A stop between the two moves leaves
the certificate waiting; whoever serves next finds that it belongs to the key, and moves it.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from auth.pki import decode_tls_key, load_chain
from ledger.core.errors import FormatError, UnavailableError
from ledger.home.files import read_private_file, sync_directory, write_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def replace_pair(certificate: Path, key: Path, chain: bytes, private: bytes) -> None:
    """Put a new certificate (PEM, world-readable) and its key (PEM, 0600) in the place of the old ones. Raises `UnavailableError`."""
    with _turn(certificate):
        write_file(_waiting(certificate), chain, mode=0o644)
        write_file(_waiting(key), private)
        try:
            _waiting(key).replace(key)
            _waiting(certificate).replace(certificate)
        except OSError as error:
            raise UnavailableError(f"cannot write {certificate}: {error.strerror}") from error
        sync_directory(certificate.parent)


def settle_pair(certificate: Path, key: Path) -> None:
    """Finish a replacement that a stop cut off between its two moves. Does nothing when there is none."""
    waiting = _waiting(certificate)
    if not waiting.exists():
        return
    with _turn(certificate):
        if waiting.exists() and key.exists() and _belong(waiting.read_bytes(), read_private_file(key)):
            waiting.replace(certificate)
            sync_directory(certificate.parent)


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Keep other processes from replacing files beside `path` at the same time."""
    try:
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UnavailableError(f"cannot write {path}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _waiting(path: Path) -> Path:
    return path.with_name(f"{path.name}.next")


def _belong(chain: bytes, private: bytes) -> bool:
    try:
        return load_chain(chain)[0].public_key() == decode_tls_key(private).public_key()
    except FormatError:
        return False
