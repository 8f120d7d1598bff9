"""What an import from AnyLog or EdgeLake has to do, by what stands in one copy: nothing that is there already, nothing over another's head.

A policy that is live as the file has it is left alone, so that a second import changes nothing. One that is live and different
stays, and is reported: only an `anmp` policy of the file says that somebody wants it changed. Dropped policies stay dropped. No
authority of the network is made, changed or dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ledger.client.authoring import Wish
from ledger.core.canonical import AUTHORITY_KINDS, encode, same
from ledger.core.difference import differences
from ledger.core.errors import ConflictError, FormatError, NotFoundError, SchemaMismatchError
from ledger.core.limits import LIMITS
from ledger.core.statement import derive_id, is_derived, merge_patch
from ledger.edgelake import CHANGES, Change, LeftOut, in_order
from ledger.kinds import Rulebook

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ledger.core.canonical import JSONObject
    from ledger.core.state import Record
    from ledger.edgelake import Deletion, LedgerFile, Policy
    from ledger.kinds import Fault, KindView

NAMED: Final = 3  # attributes that a conflict names


@dataclass(frozen=True, slots=True)
class Step:
    """One statement to publish, for what stands in the file as number `number`."""

    number: int
    line: int
    wish: Wish
    is_change: bool = False

    def left(self, code: str, reason: str, other: str | None = None) -> LeftOut:
        """Return that it is left out."""
        return LeftOut(self.number, self.line, self.wish.kind, self.wish.id, code, reason, other=other)


@dataclass(slots=True)
class Plan:
    """The steps, in an order in which they can be published; what is left out; the numbers of what stands already as the file has it.

    `basis`: the digests of the versions that it was made by.
    """

    steps: list[Step] = field(default_factory=list)
    left: list[LeftOut] = field(default_factory=list)
    unchanged: set[int] = field(default_factory=set)
    basis: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Version:
    """What the body of a policy is to be after a policy or a change of the file."""

    source: Policy | Change
    body: JSONObject


def make_plan(view: KindView, file: LedgerFile) -> Plan:
    """Return what is to be done for a file, by a state."""
    return _Planner(view, file).make()


class _Planner:
    def __init__(self, view: KindView, file: LedgerFile) -> None:
        self._view = view
        self._file = file
        self._book = Rulebook(view)
        self._plan = Plan(left=list(file.left))

    def make(self) -> Plan:
        """Plan drops of what is live, then what comes only to go, then all that stays: so names are free when others take them."""
        drops = [step for deletion in self._file.deletions.values() for step in self._drop(deletion)]
        coming, going, staying = list[Step](), list[Step](), list[Step]()
        ordered = in_order(list(self._file.policies.values()))
        for policy in ordered:
            deletion = self._file.deletions.get(_id_of(policy))
            if deletion is not None:
                steps = self._come(policy, deletion)
                coming += steps
                going += [Step(deletion.number, deletion.line, Wish("drop", policy.kind, deletion.id, None))] if steps else []
        for policy in ordered:
            policy_id = _id_of(policy)
            staying += self._stand(policy, policy_id) if policy_id not in self._file.deletions else []
        for policy_id, changes in self._file.changes.items():
            if policy_id not in self._file.policies:
                staying += self._change(policy_id, changes)
        self._plan.steps = [*drops, *coming, *reversed(going), *staying]
        return self._plan

    def _changes(self, policy_id: str) -> Sequence[Change]:
        return self._file.changes.get(policy_id, ())

    def _come(self, policy: Policy, deletion: Deletion) -> list[Step]:
        """Plan that a policy comes that the file also deletes. One that is or was here need not."""
        if self._view.record(deletion.id) is not None:
            self._plan.unchanged |= {policy.number, *(change.number for change in self._changes(deletion.id))}
            return []
        steps = self._stand(policy, deletion.id, stays=False)
        self._plan.unchanged |= set() if steps else {deletion.number}
        return steps

    def _drop(self, deletion: Deletion) -> list[Step]:
        """Plan a deletion of what is here. Of what is not, and is not in the file either, there is nothing to do."""
        record = self._view.record(deletion.id)
        if record is None and deletion.id in self._file.policies:
            return []
        if record is None or not record.live:
            self._plan.unchanged.add(deletion.number)
            return []
        step = Step(deletion.number, deletion.line, Wish("drop", record.kind, record.id, None))
        if record.kind in AUTHORITY_KINDS:
            self._plan.left.append(step.left(ConflictError.code, f"the id is that of a {record.kind} of the network, which no file drops"))
            return []
        self._plan.basis[record.id] = record.digest
        self._book.drop(deletion.id)
        return [step]

    def _stand(self, policy: Policy, policy_id: str, *, stays: bool = True) -> list[Step]:
        """Plan that a policy stands, changed as the file says."""
        record = self._view.record(policy_id)
        own = self._own(policy, policy_id)
        versions = [*own, *_onto(own[-1].body, self._changes(policy_id))]
        if record is None:
            return self._new(policy, versions, policy_id, stays=stays)
        if record.kind != policy.kind:
            return self._leave(policy, f"the id is of another kind here: {record.kind}")
        live = record.body
        if live is None:
            return self._leave(policy, f"it was dropped here by entry {record.index}; `publish policy` would bring it back")
        standing = [place for place, version in enumerate(versions) if _is_as(record, live, version.body)]
        if standing:
            done = standing[-1] + 1
            self._plan.unchanged |= {version.source.number for version in versions[:done]}
            self._plan.basis[policy_id] = record.digest
            return self._patches(policy.kind, policy_id, live, versions[done:])
        onto = _onto(live, self._changes(policy_id))
        if onto and _is_as(record, onto[-1].body, versions[-1].body):
            self._plan.unchanged.add(policy.number)
            self._plan.basis[policy_id] = record.digest
            return self._patches(policy.kind, policy_id, live, onto)
        return self._leave(policy, f"it is live here and differs in {_differing(live, own[-1].body)}; what is here stays")

    def _own(self, policy: Policy, policy_id: str) -> list[_Version]:
        """Return the body of a policy as it is published, with the defaults of its kind.

        An id of 40 hex digits is that of a content (FORMATS 3), in our exports one without the date: then the date comes by a patch.
        """
        if is_derived(policy_id):
            bare = _without_date(policy.body)
            dateless = derive_id(policy.kind, policy.body) != policy_id == derive_id(policy.kind, bare)
            return [*([_Version(policy, bare)] if dateless else []), _Version(policy, policy.body)]
        schema = self._book.schema(policy.kind)
        return [_Version(policy, policy.body if schema is None else schema.filled(policy.body))]

    def _new(self, policy: Policy, versions: Sequence[_Version], policy_id: str, *, stays: bool) -> list[Step]:
        body = versions[0].body
        if is_derived(policy_id) and derive_id(policy.kind, body) != policy_id:
            reason = "an id of 40 hex digits is that of the content, and this is not"
            return self._leave(policy, reason, FormatError.code)
        faults = self._book.faults(policy.kind, policy_id, body)
        if faults:
            return self._leave(policy, _reason(faults), _code(faults), faults)
        if stays:
            self._book.take(policy.kind, policy_id, body)
        put = Step(policy.number, policy.line, Wish("put", policy.kind, policy_id, body))
        return [put, *self._patches(policy.kind, policy_id, body, versions[1:], stays=stays)]

    def _leave(self, policy: Policy, reason: str, code: str = ConflictError.code, faults: Sequence[Fault] = ()) -> list[Step]:
        """Leave a policy out, and the changes of it."""
        policy_id = _id_of(policy)
        pointer = faults[0].pointer if faults else None
        other = next((fault.other for fault in faults if fault.other is not None), None)
        self._plan.left.append(LeftOut(policy.number, policy.line, policy.kind, policy_id, code, reason, pointer, other))
        self._strand(self._changes(policy_id), f"its policy, on line {policy.line}, is left out")
        return []

    def _strand(self, changes: Iterable[Change], reason: str, code: str = NotFoundError.code) -> None:
        self._plan.left += [LeftOut(one.number, one.line, CHANGES, one.id, code, reason) for one in changes]

    def _change(self, policy_id: str, changes: Sequence[Change]) -> list[Step]:
        """Plan changes of a policy that is not in the file, but here."""
        record = self._view.record(policy_id)
        if record is None:
            self._strand(changes, "there is no such policy, neither in the file nor here")
        elif record.kind in AUTHORITY_KINDS:
            self._strand(changes, f"the id is that of a {record.kind} of the network, which no file changes", ConflictError.code)
        elif record.body is None or policy_id in self._file.deletions:
            self._plan.unchanged |= {one.number for one in changes}  # what is gone, or goes, needs no change
        else:
            versions = _onto(record.body, changes)
            done = 0 if not same(versions[-1].body, record.body) else len(versions)
            self._plan.unchanged |= {version.source.number for version in versions[:done]}
            self._plan.basis[policy_id] = record.digest
            return self._patches(record.kind, policy_id, record.body, versions[done:])
        return []

    def _patches(self, kind: str, policy_id: str, before: JSONObject, versions: Sequence[_Version], *, stays: bool = True) -> list[Step]:
        """Return the steps from one body over the others. One that breaks a rule of its kind is left out, with those after it."""
        steps: list[Step] = []
        for place, version in enumerate(versions):
            source, body = version.source, version.body
            if same(before, body):
                self._plan.unchanged.add(source.number)
                continue
            size = len(encode(body))
            faults = self._book.faults(kind, policy_id, body) if size <= LIMITS.body else []
            if faults or size > LIMITS.body:
                reason = _reason(faults) if faults else f"it makes a body of {size} bytes; at most {LIMITS.body}"
                left = [one.source for one in versions[place:]]
                self._strand([one for one in left if isinstance(one, Change)], reason, SchemaMismatchError.code)
                break
            if stays:
                self._book.take(kind, policy_id, body)
            steps.append(Step(source.number, source.line, _wish(kind, policy_id, before, body), is_change=isinstance(source, Change)))
            before = body
        return steps


def _id_of(policy: Policy) -> str:
    return policy.id if policy.id is not None else derive_id(policy.kind, policy.body)


def _onto(body: JSONObject, changes: Iterable[Change]) -> list[_Version]:
    """Return the bodies that changes make of one, one after the other: a changed attribute is replaced as a whole."""
    versions: list[_Version] = []
    for change in changes:
        body = {**body, **change.attributes}
        versions.append(_Version(change, body))
    return versions


def _wish(kind: str, policy_id: str, before: JSONObject, after: JSONObject) -> Wish:
    """Return what makes one body of another: a patch, or a put where no patch can, which sets no null."""
    change = _patch(before, after)
    if same(merge_patch(before, change), after):
        return Wish("patch", kind, policy_id, change)
    return Wish("put", kind, policy_id, after)


def _patch(before: JSONObject, after: JSONObject) -> JSONObject:
    """Return the merge patch from one object to another (RFC 7396), which is none when it would have to set a null."""
    change: JSONObject = dict.fromkeys(before.keys() - after.keys())
    for name, value in after.items():
        old = before.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            inner = _patch(old, value)
            change |= {name: inner} if inner else {}
        elif name not in before or not same(old, value):
            change[name] = value
    return change


def _is_as(record: Record, live: JSONObject, body: JSONObject) -> bool:
    """Tell whether a live body is what the file says. A policy without a date shows the time of its statement, which our exports have."""
    if "date" not in live and body.get("date") == record.iat:
        body = _without_date(body)
    return same(live, body)


def _without_date(body: JSONObject) -> JSONObject:
    return {name: value for name, value in body.items() if name != "date"}


def _differing(live: JSONObject, body: JSONObject) -> str:
    found = [one.path for one in differences(live, body)]
    return ", ".join(found[:NAMED]) + (f" and {len(found) - NAMED} more" if len(found) > NAMED else "")


def _reason(faults: Sequence[Fault]) -> str:
    return "; ".join(fault.text() for fault in faults)


def _code(faults: Sequence[Fault]) -> str:
    """Return what it is: a conflict when other policies stand in the way and nothing else is wrong."""
    return ConflictError.code if all(fault.other is not None for fault in faults) else SchemaMismatchError.code
