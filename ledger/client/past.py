"""Change over time, read from one copy: the difference of two versions, and the rights that a member had at a size of the log."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from ledger.core.canonical import is_hex64
from ledger.core.difference import Difference, differences
from ledger.core.errors import NotFoundError
from ledger.core.rights import ids_of, rights_of
from ledger.core.state import lookup_given, lookup_name
from ledger.engine.sizes import size_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.core.canonical import JSON
    from ledger.core.state import Record
    from ledger.engine.snapshot import Snapshot, Version
    from ledger.engine.view import SqlState

SHOWN_ASSIGNMENTS = 20  # of those that give a member the same permissions; one is enough


@dataclass(frozen=True, slots=True)
class Compared:
    """Two versions of a policy and what differs. A side is None where the policy was not there, and empty where it was dropped."""

    id: str
    kind: str
    before: Record | None
    after: Record | None
    changes: list[Difference]

    def facts(self) -> dict[str, object]:
        """Return what `-o json` shows."""
        changes = [change.facts() for change in self.changes]
        return {"id": self.id, "kind": self.kind, "from": _side(self.before), "to": _side(self.after), "changes": changes}


@dataclass(frozen=True, slots=True)
class Right:
    """One permissions policy that a member has, what it allows, and why it has it: by its own body, or by assignments."""

    permissions: Record
    given_by: list[str]

    def facts(self) -> dict[str, object]:
        """Return what `-o json` shows."""
        body = self.permissions.content
        return {
            "id": self.permissions.id,
            "name": body.get("name"),
            "allow": body.get("allow"),
            "grant": body.get("grant"),
            "given_by": self.given_by,
        }


@dataclass(frozen=True, slots=True)
class Rights:
    """What a member might do after the first `size` entries."""

    member: Record
    size: int
    rights: list[Right]


def compare(snapshot: Snapshot, policy_id: str, before: str | None, after: str | None) -> Compared:
    """Compare a policy at two places: each a size, a time, or the digest of a version. Without them the last version and the one before.

    Raises NotFoundError for an id or a version that is not there, UsageError for what is no place.
    """
    versions = snapshot.history(policy_id)
    if not versions:
        raise NotFoundError(f"no policy {policy_id} was ever accepted")
    new = versions[-1].record if after is None else _version_at(snapshot, versions, after)
    old = _one_before(versions, new) if before is None else _version_at(snapshot, versions, before)
    return Compared(policy_id, versions[0].record.kind, old, new, differences(_body(old), _body(new)))


def changes_of(versions: list[Version]) -> Iterator[list[Difference]]:
    """Yield for each version what it changed in the one before."""
    before: Record | None = None
    for version in versions:
        yield differences(_body(before), _body(version.record))
        before = version.record


def rights_at(snapshot: Snapshot, who: str, at: str | None) -> Rights:
    """Return what the member of that name or id might do as of `at` (a size or a time). NotFoundError when it was no live member then."""
    size = size_at(snapshot, at)
    state = snapshot.state(size)
    member = _member(state, who, size)
    return Rights(member, size, [Right(record, _given_by(state, member, record)) for record in rights_of(state, member)])


def _version_at(snapshot: Snapshot, versions: list[Version], place: str) -> Record | None:
    if is_hex64(place):
        found = next((version.record for version in versions if version.record.digest == place), None)
        if found is None:
            raise NotFoundError(f"{versions[0].record.id} has no version {place}", advice="`ledger-cli history ID` shows their digests.")
        return found
    size = size_at(snapshot, place)
    return next((version.record for version in reversed(versions) if version.record.index < size), None)


def _one_before(versions: list[Version], record: Record | None) -> Record | None:
    earlier = [version.record for version in versions if record is not None and version.record.index < record.index]
    return earlier[-1] if earlier else None


def _body(record: Record | None) -> JSON:
    return {} if record is None else record.content


def _side(record: Record | None) -> dict[str, object] | None:
    if record is None:
        return None
    return {"index": record.index, "digest": record.digest, "by": record.by, "iat": record.iat, "live": record.live}


def _member(state: SqlState, who: str, size: int) -> Record:
    found = (state.record(policy_id) for policy_id in (who, *state.filed(lookup_name(who))))
    for record in found:
        if record is not None and record.kind == "member" and record.live and who in (record.id, record.content["name"]):
            return record
    raise NotFoundError(
        f"there is no live member {who} at size {size}", advice="`ledger-cli get member` lists them; --at SIZE|TIME asks earlier."
    )


def _given_by(state: SqlState, member: Record, permissions: Record) -> list[str]:
    """Return the ids of the policies by which a member has these permissions: its own first, then assignments."""
    own = [member.id] if permissions.id in ids_of(member.content["permissions"]) else []
    filed = (state.record(policy_id) for policy_id in state.filed(lookup_given(member.id, permissions.id)))
    live = (one for one in filed if one is not None and one.live and one.kind == "assignment")
    giving = (one.id for one in live if member.id in ids_of(one.content["members"]))
    return [*own, *islice(giving, SHOWN_ASSIGNMENTS)]
