"""A master's log put together again from the batches of its mirror (FORMATS 11). Finality of the chain plays no part.

Anybody may write into an open contract, so nothing counts but the master's signature: batches are taken when, with others that are kept,
they extend the tree to exactly the root of a good note. What cannot be used stays where it is, and is no alarm. What was taken stays
taken when the chain goes back: the note proves it.

This only selects. Whoever follows the mirror judges every note and every entry itself, as from any other source.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from blockchain_adapters.chainfile import read_fact, write_fact
from ledger.core.backend import Claimed
from ledger.core.errors import BadSourceError, NotFoundError
from ledger.core.merkle import Frontier, inclusion_proof, leaf_hashes, stored_index, tree_root
from ledger.core.receipt import Receipt
from ledger.core.trust.good import judge_good, parse_claim
from ledger.core.trust.roots import PlacedRoot, parse_next_root

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

    from blockchain_adapters.chainfile import Unpacked
    from ledger.core.checkpoint import Checkpoint
    from ledger.core.trust.good import GoodNote

FACT = "mirror"
TARGETS = 64
CANDIDATES = 16
MOST_ENTRIES = 200_000  # looked at for one note


@dataclass(frozen=True, slots=True)
class Part:
    """Entries of one batch in the mirrored log: `start … stop-1`, of which the first stands `skip` from the batch's beginning."""

    start: int
    stop: int
    batch: int
    skip: int


@dataclass(frozen=True, slots=True)
class Whole:
    """What was put together: the tree, the newest good note of it, and a good note that contradicts it or cannot be made good.

    `seen` is the row of the last batch that was looked at.
    """

    tree: Frontier
    note: bytes | None = None
    odd: bytes | None = None
    problem: str | None = None
    seen: int = 0


@dataclass(frozen=True, slots=True)
class _Found:
    """Parts that make the tree of a note."""

    parts: tuple[Part, ...]
    tree: Frontier
    nodes: tuple[tuple[int, bytes], ...]
    roots: tuple[PlacedRoot, ...]


class Nodes:
    """`merkle.HashReader` over the nodes of the mirrored tree."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def read(self, level: int, index: int) -> bytes:
        """See HashReader."""
        row = self._connection.execute("SELECT hash FROM node WHERE place=?", (stored_index(level, index),)).fetchone()
        if row is None:
            raise NotFoundError(f"tree node {index} of level {level} is not here")
        return bytes(row[0])


class Assembly:
    """One pass over what came. In the writer thread, in one transaction."""

    def __init__(self, connection: apsw.Connection, unpacked: Unpacked, network: str) -> None:
        self._connection = connection
        self._unpacked = unpacked
        self._network = network
        self._whole = read_whole(connection)
        self._roots = placed_roots(connection, network)

    def run(self) -> Whole:
        """Extend the tree as far as good notes reach. Returns what is whole now."""
        before = self._whole
        while self._extend():
            pass
        self._compare()
        self._whole = replace(self._whole, seen=last_row(self._connection))
        if self._whole != before:
            _write(self._connection, self._whole)
        return self._whole

    def _extend(self) -> bool:
        """Take the parts of the nearest good note that can be reached. Returns whether there was one."""
        tried: set[Checkpoint] = set()
        problem = None
        sql = "SELECT id, note, submitter, block, tx FROM batch WHERE size>? AND coalesce(judged,-1)<? ORDER BY size, id LIMIT ?"
        for row, note, submitter, block, transaction in list(
            self._connection.execute(sql, (self._whole.tree.size, len(self._roots), TARGETS))
        ):
            claim = parse_claim(note)
            if claim in tried:
                continue
            tried.add(claim)
            good = self._good(note, self._roots)
            found, covered = self._search(claim, submitter)
            if found is not None and (good or self._good(note, [*self._roots, *found.roots])):
                self._take(found, note)
                return True
            if good is None:
                self._connection.execute("UPDATE batch SET judged=? WHERE id=?", (len(self._roots), row))
            elif covered and problem is None:
                problem = (
                    f"the entries up to the checkpoint of size {claim.size} do not make its tree (block {block}, transaction {transaction})"
                )
        self._whole = replace(self._whole, problem=problem)
        return False

    def _good(self, note: bytes, roots: Sequence[PlacedRoot]) -> GoodNote | None:
        try:
            return judge_good(note, roots)
        except BadSourceError:
            return None

    def _search(self, claim: Checkpoint, submitter: str) -> tuple[_Found | None, bool]:
        """Look for parts that extend the tree to the root of a note, those of its own submitter first.

        Returns them, and whether there were entries for all of it.
        """
        covered = False
        stack: list[tuple[Frontier, tuple[Part, ...]]] = [(self._whole.tree, ())]
        left = MOST_ENTRIES
        while stack and left > 0:
            tree, parts = stack.pop()
            if tree.size == claim.size:
                covered = True
                if tree.root() == claim.root:
                    return self._found(parts), True
                continue
            for part in reversed(self._candidates(tree.size, claim.size, submitter)):
                longer = tree.copy()
                longer.append_many(leaf_hashes(self._entries(part)))
                stack.append((longer, (*parts, part)))
                left -= part.stop - part.start
        return None, covered

    def _candidates(self, at: int, end: int, submitter: str) -> list[Part]:
        sql = (
            "SELECT id, start, entries FROM batch WHERE entries AND start<=?1 AND start>?1-1000 AND start+entries>?1"
            " ORDER BY submitter<>?2, id DESC LIMIT ?3"
        )
        rows = self._connection.execute(sql, (at, submitter, CANDIDATES))
        return [Part(at, min(end, start + entries), row, at - start) for row, start, entries in rows]

    def _entries(self, part: Part) -> list[bytes]:
        return read_part(self._connection, self._unpacked, part)

    def _found(self, parts: tuple[Part, ...]) -> _Found:
        tree, nodes, roots = self._whole.tree.copy(), list[tuple[int, bytes]](), list[PlacedRoot]()
        for part in parts:
            nodes += tree.append_many(leaf_hashes(self._entries(part)))
            last = part.skip + part.stop - part.start - 1
            sql = "SELECT place, entry FROM root_copy WHERE batch=? AND place BETWEEN ? AND ? ORDER BY place"
            for place, entry in self._connection.execute(sql, (part.batch, part.skip, last)):
                known = [*self._roots, *roots]
                root = parse_next_root(entry, known[-1] if known else None, self._network)
                if root is not None:
                    roots.append(PlacedRoot(part.start + place - part.skip, root.digest, root.root))
        return _Found(parts, tree, tuple(nodes), tuple(roots))

    def _take(self, found: _Found, note: bytes) -> None:
        rows = [(one.start, one.stop, one.batch, one.skip) for one in found.parts]
        self._connection.executemany("INSERT INTO segment VALUES(?,?,?,?)", rows)
        self._connection.executemany("INSERT INTO node VALUES(?,?)", found.nodes)
        self._roots += found.roots
        self._whole = replace(self._whole, tree=found.tree, note=note)

    def _compare(self) -> None:
        """Look at notes of trees that were reached: the newest of this size is served, one that contradicts the tree is shown."""
        size, roots = self._whole.tree.size, len(self._roots)
        sql = "SELECT id, note FROM batch WHERE size BETWEEN 1 AND ? AND coalesce(judged,-1)<? ORDER BY id"
        rows = list(self._connection.execute(sql, (size, roots)))
        for _, note in rows:
            good = self._good(note, self._roots)
            if good is None:
                continue
            if tree_root(good.size, Nodes(self._connection)) != good.checkpoint.root:
                self._whole = replace(self._whole, odd=note)
            elif good.size == size and good.time > self._time():
                self._whole = replace(self._whole, note=note)
        self._connection.executemany("UPDATE batch SET judged=? WHERE id=?", [(roots, row) for row, _ in rows])

    def _time(self) -> int:
        known = None if self._whole.note is None else self._good(self._whole.note, self._roots)
        return -1 if known is None else known.time


def read_whole(connection: apsw.Connection) -> Whole:
    """Return what was put together so far."""
    text = read_fact(connection, FACT)
    if text is None:
        return Whole(Frontier())
    stored = json.loads(text)
    note, odd = (None if one is None else one.encode() for one in (stored["note"], stored["odd"]))
    tree = Frontier(stored["size"], [bytes.fromhex(one) for one in stored["hashes"]])
    return Whole(tree, note, odd, stored["problem"], stored["seen"])


def last_row(connection: apsw.Connection) -> int:
    """Return the row of the newest batch; 0 without one."""
    ((last,),) = connection.execute("SELECT coalesce(max(id), 0) FROM batch")
    return int(last)


def _write(connection: apsw.Connection, whole: Whole) -> None:
    note, odd = (None if one is None else one.decode() for one in (whole.note, whole.odd))
    tree = {"size": whole.tree.size, "hashes": [one.hex() for one in whole.tree.hashes]}
    stored = {**tree, "note": note, "odd": odd, "problem": whole.problem, "seen": whole.seen}
    write_fact(connection, FACT, json.dumps(stored))


def placed_roots(connection: apsw.Connection, network: str) -> list[PlacedRoot]:
    """Return the roots in the mirrored log, as far as it was put together."""
    sql = (
        "SELECT s.start + r.place - s.skip, r.entry FROM segment s JOIN root_copy r ON r.batch=s.batch"
        " WHERE r.place BETWEEN s.skip AND s.skip + s.stop - s.start - 1 ORDER BY 1"
    )
    roots: list[PlacedRoot] = []
    for index, entry in connection.execute(sql):
        root = parse_next_root(entry, roots[-1] if roots else None, network)
        if root is not None:
            roots.append(PlacedRoot(index, root.digest, root.root))
    return roots


def read_part(connection: apsw.Connection, unpacked: Unpacked, part: Part) -> list[bytes]:
    """Return the entries of a part."""
    return unpacked.entries(connection, part.batch)[part.skip : part.skip + part.stop - part.start]


def read_entries(connection: apsw.Connection, unpacked: Unpacked, start: int, end: int) -> list[bytes]:
    """Return entries `start … end-1` of the mirrored log, as far as it was put together."""
    found: list[bytes] = []
    sql = "SELECT start, stop, batch, skip FROM segment WHERE stop>? AND start<? ORDER BY start"
    for part in (Part(*row) for row in connection.execute(sql, (start, end))):
        first, last = max(start, part.start) - part.start, min(end, part.stop) - part.start
        found += read_part(connection, unpacked, part)[first:last]
    return found


def uncertain(connection: apsw.Connection) -> list[tuple[int, int]]:
    """Return the ranges of the mirrored log that were taken from batches which a fork took away."""
    sql = "SELECT s.start, s.stop FROM segment s JOIN batch b ON b.id=s.batch WHERE b.gone ORDER BY s.start"
    return [(int(start), int(stop)) for start, stop in connection.execute(sql)]


def standing(connection: apsw.Connection, unpacked: Unpacked, at: int) -> list[list[bytes]]:
    """Return the entries from index `at` on that batches which stand claim to hold, those of one batch each, newest first."""
    sql = "SELECT id, start FROM batch WHERE NOT gone AND size AND entries AND start<=?1 AND start>?1-1000 AND start+entries>?1"
    sql += " ORDER BY id DESC LIMIT ?2"
    return [unpacked.entries(connection, row)[at - start :] for row, start in list(connection.execute(sql, (at, CANDIDATES)))]


def claims(connection: apsw.Connection, unpacked: Unpacked, after: int) -> list[tuple[int, Claimed]]:
    """Return the next batches behind the row `after` that stand and carry a note, in the contract's order, each with its row."""
    sql = "SELECT id, start, entries, note, block, tx, submitter FROM batch WHERE NOT gone AND size AND id>? ORDER BY id LIMIT ?"
    return [
        (row, Claimed(start, tuple(unpacked.entries(connection, row)) if entries else (), note, block, transaction, submitter))
        for row, start, entries, note, block, transaction, submitter in list(connection.execute(sql, (after, CANDIDATES)))
    ]


def find_index(connection: apsw.Connection, batch: int, place: int) -> int | None:
    """Return the index of the entry at `place` of a batch, if it was taken from there."""
    sql = "SELECT start + ?2 - skip FROM segment WHERE batch=?1 AND ?2 BETWEEN skip AND skip + stop - start - 1"
    row = connection.execute(sql, (batch, place)).fetchone()
    return None if row is None else int(row[0])


def make_receipt(connection: apsw.Connection, unpacked: Unpacked, index: int, whole: Whole) -> bytes:
    """Return the receipt of an entry under the newest note."""
    if whole.note is None:
        raise NotFoundError("the mirror holds no checkpoint yet")
    [entry] = read_entries(connection, unpacked, index, index + 1)
    return Receipt(index, inclusion_proof(index, whole.tree.size, Nodes(connection)), whole.note, entry).encode()
