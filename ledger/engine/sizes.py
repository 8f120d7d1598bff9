"""Which size of the ledger is meant: by number, or by the time that its own marks tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.core.canonical import is_time, parse_time
from ledger.core.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from ledger.engine.snapshot import Snapshot, Version

MARK = "mark"


def size_at(snapshot: Snapshot, at: int | str | None) -> int:
    """Return the tree size that `at` means: a size, a time (by the log's own marks), or the present one.

    UsageError for anything else and for a size beyond the end; NotFoundError for a time before the first mark.
    """
    size = snapshot.head().size
    if at is None:
        return size
    if isinstance(at, str) and is_time(at):
        return _size_at_time(snapshot, parse_time(at), at)
    try:
        wanted = int(at)
    except ValueError as error:
        raise UsageError(
            f"{at!r} is neither a tree size nor a time such as 2026-01-31T12:00:00Z",
            advice=f"Give a size from 0 to {size}, or a time in UTC.",
        ) from error
    if not 0 <= wanted <= size:
        advice = f"Give a size from 0 to {size}; what the copy does not have yet, `ledger-cli sync` fetches."
        raise UsageError(f"the log has {size} entries; {wanted} is no size of it", advice=advice, size=size)
    return wanted


def _size_at_time(snapshot: Snapshot, wanted: int, shown: str) -> int:
    """Return the size before the first mark that is later than `wanted`: time in the ledger is what its marks say."""
    versions = snapshot.history(MARK)
    earlier = [version for version in versions if _mark_time(version) <= wanted]
    if not earlier:
        first = f"; its first is of {versions[0].record.content['time']}" if versions else ""
        raise NotFoundError(f"the log has no mark as early as {shown}{first}", advice="Ask for a later time, or for a tree size.")
    until = earlier[-1].until
    return snapshot.head().size if until is None else until


def _mark_time(version: Version) -> int:
    return parse_time(str(version.record.content["time"]))
