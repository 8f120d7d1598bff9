"""The state: what the log has come to (FORMATS 8), and the look-ups a judge needs.

`StateView` is what the fold reads. Every view files each live record under `lookups(record, schema)`; a look-up may
find too much, never too little, for the fold confirms by the bodies. `DictState` is the reference view.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar

from ledger.core.canonical import JSON, JSONObject, encode, sha256_hex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

T = TypeVar("T")

_NOTHING: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class Record:
    """The last accepted version of an id. `body` is None when it was dropped."""

    kind: str
    id: str
    live: bool
    digest: str
    index: int
    first: int
    owner: str
    by: str
    iat: str
    body: JSONObject | None

    def line(self) -> bytes:
        """Return the state line."""
        life = "live" if self.live else "dropped"
        return encode([self.kind, self.id, life, self.digest, self.index, self.first, self.owner, self.by, self.iat, self.body])

    @property
    def content(self) -> JSONObject:
        """Return the body, or an empty one."""
        return {} if self.body is None else self.body


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key that was ever bound: to an id, to `root` or to `mark`, first at `index`."""

    keyid: str
    id: str
    index: int

    def line(self) -> bytes:
        """Return the state line."""
        return encode(["", self.keyid, self.id, self.index])


class Accepted(NamedTuple):
    """What an accepted entry changes.

    A view takes `records` (at most two) and `keys`, and then files every live record of each kind in `reindex` anew:
    the schema of that kind has changed. `network` is set by root version 1 only.
    """

    records: tuple[Record, ...]
    keys: tuple[KeyRecord, ...] = ()
    reindex: tuple[str, ...] = ()
    network: str | None = None


class StateView(Protocol):
    """What the fold reads of the state before an entry: accepted entries only.

    A view that cannot answer raises InternalError or UnavailableError, never an error that the fold could take for
    a verdict on the entry.
    """

    @property
    def network(self) -> str | None:
        """Return the network id: pinned, or fixed by root version 1, or None."""
        ...

    def record(self, policy_id: str) -> Record | None:
        """Return the record of an id, live or dropped."""
        ...

    def key(self, keyid: str) -> KeyRecord | None:
        """Return the record of a key that was ever bound."""
        ...

    def filed(self, lookup: str) -> Iterable[str]:
        """Return the ids of live records filed under a look-up; more than those is allowed, fewer is not."""
        ...

    def of_kind(self, kind: str) -> Iterable[Record]:
        """Return the live records of a kind."""
        ...

    def remember(self, name: str, make: Callable[[], T]) -> T:
        """Return `make()`, which follows from keys and records of authority kinds alone, or what it was since these last changed."""
        ...


def lookup_name(name: str) -> str:
    """Return the look-up of live members by name."""
    return f"name {name}"


def lookup_given(member: str, permissions: str) -> str:
    """Return the look-up of live assignments that name a member and these permissions."""
    return f"given {member} {permissions}"


def lookup_permissions() -> str:
    """Return the look-up of all live permissions."""
    return "permissions"


def lookup_schema(kind: str) -> str:
    """Return the look-up of the live schema of a kind."""
    return f"schema {kind}"


def lookup_referrer(kind: str, policy_id: str) -> str:
    """Return the look-up of live policies that keep a policy of that kind and id from being dropped."""
    return f"ref {kind} {policy_id}"


def lookup_unique(kind: str, names: Sequence[JSON], body: JSONObject) -> str | None:
    """Return the look-up of live policies with these values, or None if the body has not all of `names`."""
    if not all(name in body for name in names):
        return None
    values: list[JSON] = [kind, list(names), [body[str(name)] for name in names]]
    return f"unique {sha256_hex(encode(values))}"


def lookups(record: Record, schema: JSONObject | None) -> frozenset[str]:
    """Return every look-up to file a record under; `schema` is the body of its kind's live schema. Dropped: none."""
    body = record.body
    if body is None:
        return frozenset()
    if record.kind == "member":
        return frozenset({lookup_name(str(body["name"]))})
    if record.kind == "assignment":
        permissions = _items(body["permissions"])
        return frozenset(lookup_given(str(member), str(name)) for member in _items(body["members"]) for name in permissions)
    if record.kind == "permissions":
        return frozenset({lookup_permissions()})
    if record.kind == "schema":
        return frozenset({lookup_schema(str(body["kind"]))})
    if schema is None:
        return frozenset()
    keys = {lookup_unique(record.kind, _items(names), body) for names in _items(schema["unique"])} - {None}
    for ref in _items(schema["refs"]):
        if isinstance(ref, dict) and ref["drop"] == "refuse":
            keys.update(lookup_referrer(str(ref["kind"]), target) for target in texts_of(body.get(str(ref["attr"]))))
    return frozenset(key for key in keys if key is not None)


def texts_of(value: JSON) -> Iterator[str]:
    """Yield the text that a value is, or the texts of a list."""
    for item in value if isinstance(value, list) else (value,):
        if isinstance(item, str):
            yield item


def schema_of(view: StateView, kind: str) -> Record | None:
    """Return the live schema policy of a kind."""
    for policy_id in view.filed(lookup_schema(kind)):
        record = view.record(policy_id)
        if record is not None and record.live and record.kind == "schema" and record.content["kind"] == kind:
            return record
    return None


def schema_in_force(view: StateView, kind: str) -> Record | None:
    """Return what `schema_of` does, from the memory of the view where it has one."""
    (found,) = view.remember(lookup_schema(kind), lambda: (schema_of(view, kind),))
    return found


def trie_root(lines: Iterable[tuple[str, bytes]]) -> bytes:
    """Return T of FORMATS 8 over (id or keyid, line) pairs: ids are placed by SHA-256(id), keyids as they are."""
    return _trie(sorted((_place(name, line), hashlib.sha256(b"\x00" + line).digest()) for name, line in lines))


def state_root(groups: Mapping[str, Sequence[tuple[str, bytes]]]) -> str:
    """Return the state root of (id, line) pairs by kind; key records are kind "" with their keyids."""
    kinds: list[JSON] = [[kind, len(groups[kind]), trie_root(groups[kind]).hex()] for kind in sorted(groups) if groups[kind]]
    return sha256_hex(encode(kinds))


def _place(name: str, line: bytes) -> int:
    raw = bytes.fromhex(name) if line.startswith(b'["",') else hashlib.sha256(name.encode()).digest()
    return int.from_bytes(raw, "big")


def _trie(leaves: Sequence[tuple[int, bytes]]) -> bytes:
    """Return the trie's root over sorted (place, leaf hash) pairs.

    From left to right: each leaf is lifted level by level to just below where it parts from the next one. On the way
    it meets the finished left siblings, which wait on the stack, or an empty one.
    """
    if not leaves:
        return _NOTHING
    waiting: list[tuple[int, bytes]] = []
    shared = -1
    for number, (place, leaf) in enumerate(leaves):
        follows = 256 - (place ^ leaves[number + 1][0]).bit_length() if number + 1 < len(leaves) else -1
        top = leaf
        for depth in range(max(shared, follows) + 1, follows + 1, -1):
            if not (place >> (256 - depth)) & 1:
                pair = top + _NOTHING
            elif waiting and waiting[-1][0] == depth:
                pair = waiting.pop()[1] + top
            else:
                pair = _NOTHING + top
            top = hashlib.sha256(b"\x01" + pair).digest()
        waiting.append((follows + 1, top))
        shared = follows
    return waiting[-1][1]


def _items(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []


class DictState:
    """The reference view, in memory. `network` pins; without it the first valid root version 1 does."""

    def __init__(self, network: str | None = None) -> None:
        self.network = network
        self._records: dict[str, Record] = {}
        self._keys: dict[str, KeyRecord] = {}
        self._live: dict[str, dict[str, None]] = {}
        self._filed: dict[str, dict[str, None]] = {}
        self._filed_as: dict[str, frozenset[str]] = {}

    def record(self, policy_id: str) -> Record | None:
        """See StateView."""
        return self._records.get(policy_id)

    def key(self, keyid: str) -> KeyRecord | None:
        """See StateView."""
        return self._keys.get(keyid)

    def filed(self, lookup: str) -> Iterable[str]:
        """See StateView."""
        return tuple(self._filed.get(lookup, ()))

    def of_kind(self, kind: str) -> Iterable[Record]:
        """See StateView."""
        return [self._records[policy_id] for policy_id in self._live.get(kind, ())]

    def remember(self, name: str, make: Callable[[], T]) -> T:  # noqa: ARG002 - the reference remembers nothing
        """See StateView."""
        return make()

    def records(self) -> Iterable[Record]:
        """Return every record, live and dropped."""
        return self._records.values()

    def apply(self, accepted: Accepted) -> None:
        """Take what an accepted entry changes."""
        if accepted.network is not None:
            self.network = accepted.network
        for key in accepted.keys:
            self._keys[key.keyid] = key
        for record in accepted.records:
            self._records[record.id] = record
            live = self._live.setdefault(record.kind, {})
            if record.live:
                live[record.id] = None
            else:
                live.pop(record.id, None)
            self._file(record)
        for kind in accepted.reindex:
            for record in self.of_kind(kind):
                self._file(record)

    def state_lines(self) -> dict[str, list[tuple[str, bytes]]]:
        """Return the state lines by kind, as `state_root` takes them."""
        groups: dict[str, list[tuple[str, bytes]]] = {"": [(key.keyid, key.line()) for key in self._keys.values()]}
        for record in self._records.values():
            groups.setdefault(record.kind, []).append((record.id, record.line()))
        return groups

    def state_root(self) -> str:
        """Return the state root, computed from all lines."""
        return state_root(self.state_lines())

    def _file(self, record: Record) -> None:
        schema = schema_of(self, record.kind)
        keys = lookups(record, None if schema is None else schema.content)
        before = self._filed_as.pop(record.id, frozenset())
        for lookup in before - keys:
            filed = self._filed[lookup]
            del filed[record.id]
            if not filed:
                del self._filed[lookup]
        for lookup in keys - before:
            self._filed.setdefault(lookup, {})[record.id] = None
        if keys:
            self._filed_as[record.id] = keys
