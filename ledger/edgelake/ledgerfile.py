"""A whole file of theirs: the policies, changes and deletions in it, and what is broken or there twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ledger.core.canonical import encode
from ledger.core.errors import FormatError, TooLargeError
from ledger.core.limits import LIMITS
from ledger.core.statement import derive_id
from ledger.edgelake.policies import CHANGES, DELETED, Change, Deletion, LeftOut, Policy, as_changes, as_deletion, as_policy, load_policy
from ledger.edgelake.texts import texts

if TYPE_CHECKING:
    from ledger.core.canonical import JSONObject
    from ledger.edgelake.texts import Text


@dataclass(slots=True)
class LedgerFile:
    """What a file says. `read` counts what stands in it: `policies`, `changes`, `deletions` and `left` together."""

    form: str
    read: int = 0
    policies: dict[str, Policy] = field(default_factory=dict)
    changes: dict[str, list[Change]] = field(default_factory=dict)
    deletions: dict[str, Deletion] = field(default_factory=dict)
    left: list[LeftOut] = field(default_factory=list)
    _notes: set[bytes] = field(default_factory=set)

    def take(self, text: Text) -> None:
        """Take one text. What is wrong with it is noted."""
        kind: str | None = None
        content: JSONObject = {}
        try:
            kind, content = _loaded(text)
            self._file(text.line, kind, content)
        except FormatError as error:
            self.read += 1
            policy_id = content.get("id")
            self.left.append(
                LeftOut(self.read, text.line, kind, policy_id if isinstance(policy_id, str) else None, error.code, error.message)
            )

    def _file(self, line: int, kind: str, content: JSONObject) -> None:
        number = self.read + 1
        if kind == CHANGES:
            self._change(as_changes(number, line, content), content)
        elif kind == DELETED:
            self._delete(as_deletion(number, line, content))
        else:
            self._stand(as_policy(number, line, kind, content))

    def _stand(self, policy: Policy) -> None:
        policy_id = policy.id if policy.id is not None else derive_id(policy.kind, policy.body)
        first = self.policies.setdefault(policy_id, policy)
        if first is not policy:
            alike = first.kind == policy.kind and encode(first.body) == encode(policy.body)
            raise FormatError(f"the id stands on line {first.line} already, with {'the same' if alike else 'another'} content")
        self.read += 1

    def _change(self, changes: list[Change], content: JSONObject) -> None:
        note = encode(content)
        if note in self._notes:
            raise FormatError("the same change stands in the file already")
        self._notes.add(note)
        for change in changes:
            self.changes.setdefault(change.id, []).append(change)
        self.read += len(changes)

    def _delete(self, deletion: Deletion) -> None:
        first = self.deletions.setdefault(deletion.id, deletion)
        if first is not deletion:
            raise FormatError(f"line {first.line} says that already")
        self.read += 1


def _loaded(text: Text) -> tuple[str, JSONObject]:
    if text.fault is not None:
        raise FormatError(text.fault)
    return load_policy(text.text)


def read_ledger_file(content: bytes) -> LedgerFile:
    """Return what a file of theirs says. What cannot be read is in `left`, with its line. TooLargeError for a file above the limit."""
    if len(content) > LIMITS.ledger_file:
        raise TooLargeError(f"the file has more than {LIMITS.ledger_file} bytes", advice="Import it in parts.")
    form, found = texts(content)
    file = LedgerFile(form)
    for text in found:
        file.take(text)
    for changes in file.changes.values():
        changes.sort(key=lambda change: change.date)
    return file
