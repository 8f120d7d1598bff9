"""What was used once, remembered by a file of slots, so that a restart forgets nothing that is not over.

Each slot holds when it ends and a hash of what was used; one that ended is free. The file is mapped into memory: taking
costs no system call, and what a process wrote is there for the next one however it ended. Only a power cut may lose the
last seconds, and an assertion is over before a machine is up again.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections import Counter
from hashlib import sha256
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from ledger.core.errors import BusyError, UnavailableError
from ledger.core.limits import LIMITS

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.core.ports import Clock

SLOT = struct.Struct("<Q24s")
CAPACITY = 65_536
PER_OWNER = 1_024


class UsedSlots:
    """`auth.ports.UsedOnce`, bounded in all and for each owner, so that one cannot shut out the rest. For one process at a time."""

    def __init__(self, clock: Clock, path: Path | None = None, *, capacity: int = CAPACITY, per_owner: int = PER_OWNER) -> None:
        """Open or make the file (0600; blocking). Without one a restart forgets. Raises `UnavailableError`."""
        self._clock = clock
        self._per_owner = per_owner
        self._slots = mmap.mmap(-1, capacity * SLOT.size) if path is None else _map(path, capacity * SLOT.size)
        self._taken: set[bytes] = set()
        self._free: list[int] = []
        self._ends: list[tuple[int, int, bytes, str]] = []
        self._owned: Counter[str] = Counter()
        now = clock.now()
        for place in range(capacity):
            until, name = SLOT.unpack_from(self._slots, place * SLOT.size)
            if until > now:
                self._keep(until, place, name, "")
            else:
                self._free.append(place)

    def take(self, owner: str, token_id: str, until: int) -> bool:
        """Return True the first time; raises BusyError rather than forget what is not over yet."""
        self._forget()
        name = sha256(f"{len(owner)}:{owner}{token_id}".encode()).digest()[:24]
        if name in self._taken:
            return False
        if not self._free or self._owned[owner] >= self._per_owner:
            raise BusyError("Too many assertions at once.", retry_after=float(LIMITS.assertion_seconds))
        place = self._free.pop()
        SLOT.pack_into(self._slots, place * SLOT.size, until, name)
        self._keep(until, place, name, owner)
        return True

    def _keep(self, until: int, place: int, name: bytes, owner: str) -> None:
        self._taken.add(name)
        self._owned[owner] += 1
        heappush(self._ends, (until, place, name, owner))

    def _forget(self) -> None:
        now = self._clock.now()
        while self._ends and self._ends[0][0] <= now:
            _, place, name, owner = heappop(self._ends)
            self._taken.discard(name)
            self._free.append(place)
            self._owned[owner] -= 1
            if not self._owned[owner]:
                del self._owned[owner]


def _map(path: Path, size: int) -> mmap.mmap:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_size != size:
                os.ftruncate(descriptor, 0)  # new, or of another capacity: every slot is free
                os.posix_fallocate(descriptor, 0, size)  # a disk that is full must say so here, not at a write into memory
            return mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UnavailableError(f"cannot use {path}: {error.strerror}") from error
