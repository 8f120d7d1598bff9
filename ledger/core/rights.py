"""Right and grant (FORMATS 6): what a member may do by the permissions it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ledger.core.canonical import AUTHORITY_KINDS, JSON, JSONObject
from ledger.core.errors import NotAllowedError
from ledger.core.state import lookup_given, lookup_permissions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ledger.core.state import Record, StateView


class Change(NamedTuple):
    """What a statement would do to one policy.

    `record` is the last accepted version of the id; `before` and `after` are its body while live, else None.
    """

    op: str
    kind: str
    id: str
    record: Record | None
    after: JSONObject | None

    @property
    def before(self) -> JSONObject | None:
        """Return the body before, None if the policy was not live."""
        return None if self.record is None else self.record.body

    @property
    def is_creation(self) -> bool:
        """Tell whether the id was never accepted before."""
        return self.record is None


def rights_of(view: StateView, member: Record) -> list[Record]:
    """Return the live permissions that a member has, by its body and by live assignments.

    Asks for each permissions, which only root makes, and not for each assignment, of which there may be thousands.
    """
    own = set(ids_of(member.content["permissions"]))
    found = (view.record(name) for name in view.filed(lookup_permissions()))
    live = [record for record in found if record is not None and record.live and record.kind == "permissions"]
    return [record for record in live if record.id in own or _is_given(view, member.id, record.id)]


def _is_given(view: StateView, member: str, permissions: str) -> bool:
    for policy_id in view.filed(lookup_given(member, permissions)):
        assignment = view.record(policy_id)
        if assignment is None or not assignment.live or assignment.kind != "assignment":
            continue
        if member in ids_of(assignment.content["members"]) and permissions in ids_of(assignment.content["permissions"]):
            return True
    return False


def is_covered(rights: Sequence[Record], change: Change, author: str) -> bool:
    """Tell whether one `allow` of these permissions covers the change by the member `author`."""
    for permissions in rights:
        for allow in _items(permissions.content["allow"]):  # the body's form was checked when it was accepted
            if isinstance(allow, dict) and _allows(allow, change, author):
                return True
    return False


def require_right(rights: Sequence[Record], change: Change, author: str) -> None:
    """Raise NotAllowedError unless the permissions cover the change."""
    if not is_covered(rights, change, author):
        raise NotAllowedError(f"no permission of {author} covers {change.op} of this {change.kind}")


def require_grant(rights: Sequence[Record], involved: Iterable[str]) -> None:
    """Raise NotAllowedError unless every permissions id involved is in a `grant` of the permissions."""
    granted = {name for permissions in rights for name in ids_of(permissions.content["grant"])}
    missing = sorted(set(involved) - granted)
    if missing:
        raise NotAllowedError(f"no permission of the author grants {missing[0]}")


def ids_of(value: JSON) -> list[str]:
    """Return the members of a set of texts of an accepted body."""
    return [str(item) for item in _items(value)]


def _allows(allow: JSONObject, change: Change, author: str) -> bool:
    if change.op not in _items(allow["ops"]):
        return False
    kinds = _items(allow["kinds"])
    if change.kind not in kinds and ("*" not in kinds or change.kind in AUTHORITY_KINDS):
        return False
    scope = allow["scope"] if isinstance(allow["scope"], dict) else {}
    owned = change.record is None or change.record.owner == author
    return ("own" not in scope or owned) and ("attr" not in scope or _attributes_hold(scope["attr"], change))


def _attributes_hold(attr: JSON, change: Change) -> bool:
    if not isinstance(attr, dict) or (change.record is not None and not change.record.live):
        return False
    return all(_attribute_holds(attr, body) for body in (change.before, change.after) if body is not None)


def _attribute_holds(attr: JSONObject, body: JSONObject) -> bool:
    for name, values in attr.items():
        value = body.get(name)
        if not isinstance(value, str) or value not in _items(values):
            return False
    return True


def _items(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []
