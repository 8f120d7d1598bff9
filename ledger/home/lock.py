"""One writer process for a `ledger.db`: an advisory lock on a file beside it.

The kernel frees the lock when its process ends, however it ends, so a lock is never stale. The file
itself stays: removing it would let two processes lock two files of one name. What the file says
(the holder's process number, and where it listens) is a hint for messages and for `sync`, never proof.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from ledger.core.errors import BusyError, UnavailableError
from ledger.home.files import unwritable

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

POLL_SECONDS = 0.02
HINT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Holder:
    """What the lock file says of the process that wrote it: its number, and the address of its local API."""

    pid: int
    address: str | None = None


class WriterLock:
    """The right to write, held until `release` or the end of the process. Use it as a context manager."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, path: Path, *, wait_seconds: float = 0.0) -> Self:
        """Take the lock, waiting at most `wait_seconds` (blocking: call it from a thread).

        Raises `BusyError` when another process (or another object of this one) holds it, and
        `UnavailableError` when the file cannot be made or locked.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise unwritable(path, error, what="cannot open the lock file") from error
        try:
            _lock(descriptor, path, time.monotonic() + wait_seconds)
            lock = cls(path, descriptor)
            lock.announce(None)
        except BaseException:
            os.close(descriptor)
            raise
        return lock

    @classmethod
    def adopt(cls, path: Path, descriptor: int) -> Self:
        """Share the lock on the file at `path` that the parent process took and handed down as an open file.

        The kernel frees it when both have ended. Raises `BusyError` when the parent did not hold it.
        """
        _lock(descriptor, path, time.monotonic())
        return cls(path, descriptor)

    @property
    def descriptor(self) -> int:
        """Return the open file, to hand it to a child process. Raises `BusyError` after `release`."""
        if self._descriptor is None:
            raise BusyError(f"{self.path} is not held any more")
        return self._descriptor

    def announce(self, address: str | None) -> None:
        """Write who holds the lock, and where its local API listens. Does nothing after `release`, nor on a disk that is full.

        It is a hint: the lock holds without it.
        """
        if self._descriptor is None:
            return
        text = json.dumps({"pid": os.getpid(), "address": address}).encode()
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, text, 0)

    def release(self) -> None:
        """Give the lock back; idempotent."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


def _lock(descriptor: int, path: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise UnavailableError(f"cannot lock {path}: {error.strerror}") from error
        else:
            return
        if time.monotonic() >= deadline:
            holder = read_holder(path)
            who = "another process" if holder is None else f"process {holder.pid}"
            raise BusyError(
                f"{path} is held by {who}: one process at a time may write here",
                advice="Wait until it ends, or stop it: a master or an agent keeps it as long as it runs.",
            )
        time.sleep(POLL_SECONDS)


def read_holder(path: Path) -> Holder | None:
    """Return what the file at `path` says of its holder, or None. A hint: the holder may be gone."""
    try:
        with path.open("rb") as file:
            said = json.loads(file.read(HINT_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or type(said.get("pid")) is not int:
        return None
    address = said.get("address")
    return Holder(said["pid"], address if isinstance(address, str) else None)
