"""What a LedgerClient answers with: small frozen values, each with the facts that `-o json` shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ledger.core.envelope import parse_envelope
from ledger.core.errors import FormatError

if TYPE_CHECKING:
    from ledger.core.backend import ChainPosition
    from ledger.core.canonical import JSON, JSONObject
    from ledger.core.difference import Difference
    from ledger.core.errors import LedgerError
    from ledger.core.state import Record
    from ledger.query.bring import Brought


@dataclass(frozen=True, slots=True)
class Published:
    """What became of one statement.

    `result` is `published`, `unchanged` (it was in force already), `checked` (a dry run), `queued` (kept in the journal as
    `operation`, to be delivered later) or `refused`.
    """

    id: str
    kind: str
    result: str
    digest: str | None = None
    index: int | None = None
    receipt: bytes | None = None
    position: ChainPosition | None = None
    error: LedgerError | None = None
    operation: int | None = None

    def facts(self) -> dict[str, object]:
        """Return what `-o json` shows."""
        facts: dict[str, object] = {"id": self.id, "kind": self.kind, "index": self.index, "digest": self.digest, "result": self.result}
        if self.operation is not None:
            facts["operation"] = self.operation
        return facts if self.error is None else {**facts, "error": error_facts(self.error)}


def error_facts(error: LedgerError) -> dict[str, object]:
    """Return what `-o json` shows of a refusal: its code, its message, which policy stands in the way, every fault of the policies."""
    helpful = {name: error.context[name] for name in ("other", "policies") if name in error.context}
    return {"code": error.code, "message": error.message, **helpful}


@dataclass(frozen=True, slots=True)
class Answer:
    """Policies in force after the first `size` entries, or what a query `brought` out of them.

    With a second query a policy has the policies that it met beside it. `cycles` are the circles met in a hierarchy, each as the ids in
    it. `stale` says why the answer may be old, or is None.
    """

    size: int
    policies: list[JSONObject]
    stale: str | None = None
    brought: Brought | None = None
    cycles: tuple[tuple[str, ...], ...] = ()

    def remark(self) -> str:
        """Return one line for people: how many, as of what."""
        number = len(self.policies if self.brought is None else self.brought.values)
        noun = ("policy", "policies") if self.brought is None else ("value", "values")
        line = f"{number} {noun[number != 1]} at size {self.size}"
        return line if self.stale is None else f"{line}; stale: {self.stale}"


@dataclass(frozen=True, slots=True)
class VersionSeen:
    """One version of a policy: `op` is what made it (put, patch or drop), `changes` what it changed in the version before."""

    record: Record
    op: str
    until: int | None
    author: str | None
    changes: tuple[Difference, ...] = ()

    def facts(self) -> dict[str, object]:
        """Return what `-o json` shows."""
        record = self.record
        return {
            "index": record.index,
            "op": self.op,
            "digest": record.digest,
            "by": self.author or record.by,
            "iat": record.iat,
            "until": self.until,
            "body": record.body,
            "changes": [change.facts() for change in self.changes],
        }


@dataclass(frozen=True, slots=True)
class Change:
    """A statement that came into force. `effect` on what is watched: it made the policy `enter`, `alter` or `leave` it.

    `op` "undone": what came from `index` on is gone, as only chains do.
    """

    index: int
    op: str
    kind: str
    id: str
    policy: JSONObject | None
    effect: str

    def facts(self) -> dict[str, object]:
        """Return what `-o jsonl` shows."""
        return {name: getattr(self, name) for name in ("index", "op", "effect", "kind", "id", "policy")}


@dataclass(frozen=True, slots=True)
class EntrySeen:
    """One entry of the log with its verdict: `code` is None when it was accepted."""

    index: int
    entry: bytes
    code: str | None = None
    reason: str | None = None

    def facts(self, *, whole: bool = False) -> dict[str, object]:
        """Return what `-o json` shows; with `whole`, the statement's body and the signatures too."""
        facts: dict[str, object] = {"index": self.index, "verdict": "accepted" if self.code is None else "void"}
        if self.code is not None:
            facts |= {"code": self.code, "reason": self.reason}
        try:
            envelope = parse_envelope(self.entry)
            statement = envelope.statement
        except FormatError as error:
            return {**facts, "format": error.message, "entry": self.entry.hex()}
        facts |= {name: getattr(statement, name) for name in ("op", "kind", "id", "by", "iat", "prev", "digest")}
        if whole:
            facts |= {"body": statement.body, "signatures": [{"keyid": key, "sig": sig.hex()} for key, sig in envelope.signatures]}
        return facts


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What one sync step fetched and where it led. `received` is in bytes of bodies."""

    size: int
    root: str
    entries: int = 0
    requests: int = 0
    received: int = 0
    agent: bool = False
    notes: tuple[str, ...] = field(default=())

    def facts(self) -> dict[str, object]:
        """Return what `-o json` shows."""
        return {
            "size": self.size,
            "root": self.root,
            "entries": self.entries,
            "requests": self.requests,
            "bytes": self.received,
            "by_agent": self.agent,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class Verified:
    """A receipt that holds: the entry stands at `index` of the tree of `size`, signed by `key`."""

    index: int
    size: int
    key: str
    digest: str
    kind: str
    id: str
    by: str
    iat: str
    policy: str = "not compared"

    def facts(self) -> dict[str, object]:
        """Return what `-o json` shows."""
        names = ("kind", "id", "digest", "index", "size", "key", "by", "iat", "policy")
        return {"verified": True, **{name: getattr(self, name) for name in names}}


@dataclass(frozen=True, slots=True)
class Joined:
    """What a successful join made. `name` is the member's, None in a home that only reads."""

    network: str
    name: str | None
    home: str
    size: int

    def facts(self) -> dict[str, object]:
        """Return what `-o json` shows."""
        return {"network": self.network, "name": self.name, "home": self.home, "size": self.size}


def value_of(policy: JSONObject) -> JSON:
    """Return the content of a shown policy: the value under its one root key."""
    (content,) = policy.values()
    return content
