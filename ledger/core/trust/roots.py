"""Roots as the trust rules see them: where each stands, what follows from their order, and fetched ones not yet in the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ledger.core.canonical import is_hex64, is_integer
from ledger.core.envelope import Envelope, pae, parse_envelope
from ledger.core.errors import FormatError
from ledger.core.root import Root, parse_root

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.core.canonical import JSON
    from ledger.core.keys import PublicKey
    from ledger.core.statement import Statement


@dataclass(frozen=True, slots=True)
class PlacedRoot:
    """An accepted root statement: its index, the digest of the statement, the root."""

    index: int
    digest: str
    root: Root


class ReplicaView(Protocol):
    """What a replica holds, at one moment: entries `0 … size-1`, verified and judged."""

    @property
    def size(self) -> int:
        """Return the number of entries."""
        ...

    def root_at(self, size: int) -> bytes | None:
        """Return the root hash of the first `size` entries; None if it cannot be known here (`size` above own, or below a snapshot)."""
        ...

    def extension(self, old: int, new: int) -> Sequence[bytes]:
        """Return the consistency proof between two sizes, empty if it cannot be known here or says nothing."""
        ...

    def roots(self) -> Sequence[PlacedRoot]:
        """Return the roots accepted so far: versions 1, 2, … in order."""
        ...


@dataclass(frozen=True, slots=True)
class Continues:
    """`continues` of an order: the old order's tree ends at `size` with `root`."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class FetchedRoot:
    """A root that a source showed, with signatures that hold; whether it stands in the log is not known yet."""

    entry: bytes
    digest: str
    root: Root


def parse_continues(order: JSON) -> Continues | None:
    """Return what an order says in `continues`; None if nothing that has a meaning."""
    value = order.get("continues") if isinstance(order, dict) else None
    if not isinstance(value, dict) or set(value) != {"size", "root"}:
        return None
    size, root = value["size"], value["root"]
    return Continues(size, bytes.fromhex(root)) if is_integer(size) and is_hex64(root) else None


def new_continues(roots: Sequence[Root]) -> list[Continues | None]:
    """Return, for each of the roots 1, 2, …, the `continues` that it brings in: one that no root before it had.

    Later roots may repeat or omit it, and repeat it after one that omitted it. Version 1 continues nothing.
    """
    seen: list[Continues] = []
    found: list[Continues | None] = []
    for number, root in enumerate(roots):
        stated = parse_continues(root.order)
        found.append(stated if number and stated not in seen else None)
        if stated is not None:
            seen.append(stated)
    return found


def pairs(roots: Sequence[PlacedRoot]) -> list[tuple[PlacedRoot, Continues | None]]:
    """Return each root with the `continues` that it brings in."""
    return list(zip(roots, new_continues([one.root for one in roots]), strict=True))


def parse_next_root(raw: bytes, before: FetchedRoot | PlacedRoot | None, network: str) -> FetchedRoot | None:
    """Return the root in the entry `raw` if it is signed as the root after `before` must be; None if not.

    Keys bound elsewhere are not looked at: the entries decide that, before anything is committed.
    """
    try:
        envelope = parse_envelope(raw)
        statement = envelope.statement
        root = parse_root(statement.body)
    except FormatError:
        return None
    if (statement.op, statement.kind, statement.id, statement.by) != ("put", "root", "root", "root"):
        return None
    fetched = FetchedRoot(raw, statement.digest, root)
    rightful = _is_first(envelope, fetched, network) if before is None else _is_next(envelope, fetched, before, network)
    return fetched if rightful else None


def _is_first(envelope: Envelope, fetched: FetchedRoot, network: str) -> bool:
    return fetched.digest == network and fetched.root.version == 1 and _is_signed(envelope, (fetched.root,))


def _is_next(envelope: Envelope, fetched: FetchedRoot, before: FetchedRoot | PlacedRoot, network: str) -> bool:
    statement: Statement = envelope.statement
    root, old = fetched.root, before.root
    follows = (statement.ledger, statement.prev, root.version, root.name) == (network, before.digest, old.version + 1, old.name)
    return follows and root.fold <= old.fold + 1 and _is_signed(envelope, (old, root))


def _is_signed(envelope: Envelope, roots: Sequence[Root]) -> bool:
    """Tell whether every signature is by an admin of one of `roots`, and each has its threshold."""
    admins = [root.admin_keys for root in roots]
    known: dict[str, PublicKey] = {keyid: key for one in admins for keyid, key in one.items()}
    signers = {one.keyid for one in envelope.signatures}
    if not signers <= known.keys():
        return False
    if any(len(signers & keys.keys()) < root.threshold for root, keys in zip(roots, admins, strict=True)):
        return False
    message = pae(envelope.payload)
    return all(known[one.keyid].verify(one.sig, message) for one in envelope.signatures)


def place_fetched(known: Sequence[PlacedRoot], fetched: Sequence[FetchedRoot], size: int) -> list[PlacedRoot] | None:
    """Return `known` and `fetched` with each fetched root at the last index it can have in a tree of `size`.

    Where they stand is not known before the fetch, so they get the place that lets most keys be open; the entries
    decide. One with a new `continues` has its index from that. None if the tree has no room for them.
    """
    room, placed = size, list[PlacedRoot]()
    stated = new_continues([*(one.root for one in known), *(one.root for one in fetched)])
    for one, new in zip(reversed(fetched), reversed(stated), strict=False):
        room = room - 1 if new is None else new.size if new.size < room else -1
        placed.insert(0, PlacedRoot(room, one.digest, one.root))
    if placed and placed[0].index <= (known[-1].index if known else -1):
        return None
    return [*known, *placed]
