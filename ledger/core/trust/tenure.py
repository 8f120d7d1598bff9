"""From which tree size to which a log key counts: opened by the first root that lists it, closed for ever by the roots after."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ledger.core.trust.roots import pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.core.root import Root
    from ledger.core.trust.roots import Continues, PlacedRoot


@dataclass(frozen=True, slots=True)
class Tenure:
    """A log key counts for trees of `first … last` entries; `last` None while it is open."""

    first: int
    last: int | None = None

    def covers(self, size: int) -> bool:
        """Tell whether the key is open at `size`."""
        return self.first <= size and (self.last is None or size <= self.last)


def tenures(roots: Sequence[PlacedRoot]) -> dict[str, Tenure]:
    """Return the tenure of every log key (vkey) that the roots ever listed."""
    found: dict[str, Tenure] = {}
    for placed, stated in pairs(roots):
        _close(found, placed, stated)
        for listed in placed.root.log_keys:
            tenure = found.setdefault(listed.vkey, Tenure(placed.index + 1))
            if listed.until is not None and tenure.last is None:
                found[listed.vkey] = replace(tenure, last=max(listed.until, placed.index + 1))
    return found


def _close(found: dict[str, Tenure], placed: PlacedRoot, stated: Continues | None) -> None:
    """Close, before the keys of a root open, those that it ends: all of them if it continues a lost order."""
    for vkey, tenure in found.items():
        if tenure.last is None and stated is not None:
            found[vkey] = replace(tenure, last=stated.size)
        elif tenure.last is None and not is_listed(placed.root, vkey):
            found[vkey] = replace(tenure, last=placed.index + 1)


def is_listed(root: Root, vkey: str) -> bool:
    """Tell whether `root` lists the log key, with `until` or without."""
    return any(listed.vkey == vkey for listed in root.log_keys)
