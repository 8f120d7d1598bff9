"""A log that the chain itself orders: which entries are in it, and at which index each stands (FORMATS 11).

The log begins at the first valid copy of the root that set this order. `base` is the index of that root: 0 for version 1, `size` for a
root with `continues`, else the index that it has in the log before. What stands before the copy in the contract is not in the log.
A root that sets another order is the last entry.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blockchain_adapters.chainfile import Held, select, total
from blockchain_adapters.mirror import placed_roots
from ledger.core.trust.roots import FetchedRoot, PlacedRoot, new_continues, parse_next_root

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import apsw

    from blockchain_adapters.chainfile import Unpacked
    from ledger.core.canonical import JSON


@dataclass(frozen=True, slots=True)
class Order:
    """The log in the contract: the root that set it stands at `base`, its first valid copy at place `place` of the contract.

    `end` is the size at which a later root took the order elsewhere, None while the log is here. `version` is the root's.
    """

    base: int
    place: int
    version: int
    entry: bytes
    end: int | None = None

    def index(self, place: int) -> int | None:
        """Return the index of the entry at a place of the contract, None when it is not in the log."""
        index = self.base + place - self.place
        return index if place >= self.place and (self.end is None or index < self.end) else None

    def size(self, entries: int) -> int:
        """Return the size of the log when the contract holds so many entries."""
        size = self.base + max(0, entries - self.place)
        return size if self.end is None else min(size, self.end)


def is_here(order: JSON, here: Mapping[str, JSON]) -> bool:
    """Tell whether an order is that of this chain and contract, whatever it continues."""
    return _plain(order) == _plain(dict(here))


def _plain(order: JSON) -> str:
    """Return what makes an order another one. An address means the same in capitals."""
    if not isinstance(order, dict):
        return json.dumps(order)
    stripped = {name: value for name, value in order.items() if name != "continues"}
    contract = stripped.get("contract")
    if isinstance(contract, str):
        stripped["contract"] = contract.lower()
    return json.dumps(stripped, sort_keys=True)


def find_order(connection: apsw.Connection, network: str, here: Mapping[str, JSON], known: Sequence[PlacedRoot]) -> Order | None:
    """Return the log that the contract orders, None when no root of the network says so.

    `here` is the order that names this chain and contract; `known` are roots that the reader verified elsewhere. A mirror may prove more of
    them by now, and further ones are looked for among what the contract holds, in its order.
    """
    proven = placed_roots(connection, network)
    chain: list[FetchedRoot | PlacedRoot] = [*(known if len(known) >= len(proven) else proven)]
    places = {placed.digest: placed.index for placed in chain if isinstance(placed, PlacedRoot)}
    sql = "SELECT b.place + r.place, r.entry FROM root_copy r JOIN batch b ON b.id=r.batch WHERE NOT b.gone ORDER BY 1"
    copies = list(connection.execute(sql))
    for _, entry in copies:
        following = parse_next_root(entry, chain[-1] if chain else None, network)
        if following is not None:
            chain.append(following)
    stated = new_continues([one.root for one in chain])
    found: Order | None = None
    for number, (one, new) in enumerate(zip(chain, stated, strict=True)):
        fresh = number == 0 or new is not None or _plain(one.root.order) != _plain(chain[number - 1].root.order)
        if not fresh:
            continue
        before = chain[number - 1] if number else None
        copy = _first_copy(copies, one, before, network)
        if found is not None and found.end is None and copy is not None:
            end = found.index(copy[0])
            found = found if end is None else Order(found.base, found.place, found.version, found.entry, end + 1)
        if is_here(one.root.order, here) and copy is not None:
            base = 0 if number == 0 else new.size if new is not None else places.get(one.digest)
            found = found if base is None else Order(base, copy[0], one.root.version, copy[1])
    return found


def _first_copy(
    copies: Sequence[tuple[int, bytes]], root: FetchedRoot | PlacedRoot, before: FetchedRoot | PlacedRoot | None, network: str
) -> tuple[int, bytes] | None:
    """Return place and bytes of the first valid copy of a root."""
    for place, entry in copies:
        found = parse_next_root(entry, before, network)
        if found is not None and found.digest == root.digest:
            return place, entry
    return None


def read_places(connection: apsw.Connection, unpacked: Unpacked, start: int, end: int) -> list[bytes]:
    """Return the entries at places `start … end-1` of the contract, as far as there are so many."""
    found: list[bytes] = []
    where = "NOT gone AND entries AND place+entries>? AND place<? ORDER BY place"
    for held in _near(connection, where, start, end):
        first, last = max(start, held.place) - held.place, min(end, held.place + held.entries) - held.place
        found += unpacked.entries(connection, held.id)[first:last]
    return found


def _near(connection: apsw.Connection, where: str, start: int, end: int) -> list[Held]:
    # A batch has at most 1,000 entries, so those before start - 1000 are not looked at.
    return select(connection, f"place>{max(-1, start - 1_000)} AND {where}", (start, end))


def at_place(connection: apsw.Connection, place: int) -> tuple[Held, int] | None:
    """Return the batch that holds the entry at a place of the contract, and where in it."""
    found = _near(connection, "NOT gone AND entries AND place+entries>? AND place<=? ORDER BY place", place, place)
    return (found[0], place - found[0].place) if found else None


def log_size(connection: apsw.Connection, order: Order) -> int:
    """Return the size of the log."""
    return order.size(total(connection))


def final_size(connection: apsw.Connection, order: Order, final: int) -> int:
    """Return the size of the log in blocks up to the final one."""
    return order.size(total(connection, final))
