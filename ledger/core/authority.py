"""Who may write what (FORMATS 6), authority kinds and others alike. The signatures are the fold's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ledger.core.canonical import JSONObject, same
from ledger.core.errors import ConflictError, FormatError, NotAllowedError
from ledger.core.keys import PublicKey
from ledger.core.rights import Change, ids_of, require_grant, require_right, rights_of
from ledger.core.root import Root, parse_root
from ledger.core.state import lookup_name, schema_of
from ledger.core.statement import MARK, ROOT, Statement, is_derived

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger.core.state import Record, StateView

_ROOT_ONLY: Final = frozenset({"permissions", "schema"})
_BY_GRANT: Final = frozenset({"member", "invite", "assignment"})


@dataclass(frozen=True, slots=True)
class Author:
    """Who `by` names: the root, the log's own mark key, or a live member or invite. The root has no key of its own."""

    owner: str
    key: PublicKey | None = None
    member: Record | None = None
    invite: Record | None = None

    @property
    def is_root(self) -> bool:
        """Tell whether the admins write."""
        return self.owner == ROOT


def author_of(view: StateView, statement: Statement, root: JSONObject) -> Author:
    """Return who wrote the statement. Raises NotAllowedError if `by` may not write such a statement at all."""
    by = statement.by
    if statement.kind == MARK:
        key = next((key for key in map(PublicKey.parse, ids_of(root["mark_keys"])) if key.keyid == by), None)
        if key is None:
            raise NotAllowedError("a mark is written by a mark key of the present root")
        return Author(MARK, key)
    if by == ROOT:
        return Author(ROOT)
    author = view.remember(f"author {by}", lambda: _holder(view, by))
    if author.invite is None:
        return author
    if statement.kind != "member" or statement.op != "put":
        raise NotAllowedError("the key of an invite only joins")
    return replace(author, owner=statement.id)


def _holder(view: StateView, by: str) -> Author:
    """Return the live member or invite whose present key `by` is, as author of its own policies. Raises NotAllowedError."""
    bound = view.key(by)
    record = None if bound is None else view.record(bound.id)
    if record is None or not record.live or record.kind not in ("member", "invite"):
        raise NotAllowedError("by is no key of a live member or invite")
    key = PublicKey.parse(record.content["key"])
    if key.keyid != by:
        raise NotAllowedError("by is a former key of its member")
    return Author(record.id, key, member=record) if record.kind == "member" else Author(record.id, key, invite=record)


def check_authority(view: StateView, change: Change, author: Author) -> None:
    """Check that the author may make this change, rules of §7 aside. Raises NotAllowedError or ConflictError."""
    kind = change.kind
    if kind in ("member", "invite") and change.record is not None and not change.record.live:
        raise ConflictError(f"a dropped {kind} never comes back")
    if kind == "invite" and change.before is not None and change.after is not None:
        raise NotAllowedError("an invite is never altered, only dropped")
    if kind == "member":
        _check_member(view, change, author)
    elif kind in _ROOT_ONLY and not author.is_root:
        raise NotAllowedError(f"{kind} is written by root only")
    elif author.member is not None:
        _check_rights(view, change, author.member)
    if kind == "schema" and change.after is not None:
        taken = schema_of(view, str(change.after["kind"]))
        if taken is not None and taken.id != change.id:
            raise ConflictError(f"schema {taken.id} is for the same kind")


def _check_rights(view: StateView, change: Change, author: Record) -> None:
    """Check right, and grant where the kind needs it, of a member that is no stranger to the state."""
    rights = view.remember(f"rights {author.id}", lambda: rights_of(view, author))
    require_right(rights, change, author.id)
    if change.kind not in _BY_GRANT:
        return
    if change.kind == "member" and change.after is None and change.record is not None:
        require_grant(rights, [permissions.id for permissions in rights_of(view, change.record)])
        return
    bodies = [body for body in (change.before, change.after) if body is not None]
    require_grant(rights, [name for body in bodies for name in ids_of(body["permissions"])])
    if change.is_creation and change.kind != "assignment" and change.after is not None and not change.after["permissions"]:
        raise NotAllowedError(f"a {change.kind} made by a member names at least one permission")


def _check_member(view: StateView, change: Change, author: Author) -> None:
    before, after = change.before, change.after
    if after is not None:
        _check_name(view, change.id, str(after["name"]))
    if author.invite is not None:
        _check_join(view, change, author.invite)
    elif change.is_creation:
        if after is not None and "invite" in after:
            raise NotAllowedError("only the key of an invite names it in a body")
        if author.member is not None:
            _check_rights(view, change, author.member)
    elif after is None:
        if author.member is not None and author.member.id != change.id:
            _check_rights(view, change, author.member)
    else:
        _check_alteration(change.id, before or {}, after, author)


def _check_name(view: StateView, policy_id: str, name: str) -> None:
    for other_id in view.filed(lookup_name(name)):
        other = view.record(other_id)
        if other is None or not other.live or other.kind != "member" or other_id == policy_id:
            continue
        if other.content["name"] == name:
            raise ConflictError(f"member {other_id} has that name")


def _check_alteration(policy_id: str, before: JSONObject, after: JSONObject, author: Author) -> None:
    """Check a put or patch of a live member: all by root but `invite`; `key` and `note` by itself."""
    if before.get("invite") != after.get("invite"):
        raise NotAllowedError("the invite in a body stays as it was")
    if author.is_root:
        return
    if author.owner != policy_id:
        raise NotAllowedError("only root puts or patches another member")
    if any(not same(before[name], after[name]) for name in ("name", "type", "permissions")):
        raise NotAllowedError("a member itself changes only its key and note")


def _check_join(view: StateView, change: Change, invite: Record) -> None:
    body, offer = change.after, invite.content
    if not change.is_creation or body is None:
        raise NotAllowedError("the key of an invite only joins")
    if body.get("invite") != invite.id or any(not same(body[name], offer[name]) for name in ("name", "type", "permissions")):
        raise NotAllowedError("who joins has the invite, name, type and permissions of the invite")
    if not is_derived(change.id):
        raise FormatError("who joins has the derived id")
    mark = view.record(MARK)
    if mark is not None and str(mark.content["time"]) > str(offer["expires"]):
        raise NotAllowedError("the invite is expired")
    _check_inviter(view, invite)


def _check_inviter(view: StateView, invite: Record) -> None:
    """Check that the owner of an invite is root, or could create it now."""
    if invite.owner == ROOT:
        return
    owner = view.record(invite.owner)
    if owner is None or not owner.live or owner.kind != "member":
        raise NotAllowedError("who made the invite is no live member")
    _check_rights(view, Change("put", "invite", invite.id, None, invite.body), owner)


def check_mark(change: Change, root: Record, index: int) -> None:
    """Check a mark: put only, time forward but after a new root, state of a due size. Raises FormatError or ConflictError."""
    body = change.after
    if change.op != "put" or body is None:
        raise FormatError("a mark is put only")
    last = change.record
    # The clock that a root replaces may have been wrong: its first mark starts anew.
    if last is not None and last.index > root.index and str(body["time"]) < str(last.content["time"]):
        raise ConflictError("the time of a mark never goes back")
    state = body["state"]
    if isinstance(state, dict):
        size, every = state["size"], root.content["state_every"]
        if not isinstance(size, int) or not isinstance(every, int) or size > index or size % every:
            raise FormatError("the size of a mark is a multiple of state_every, at most its own index")


def check_root(view: StateView, statement: Statement, change: Change) -> Root:
    """Check a root but for its signatures, and return it. Raises FormatError or ConflictError."""
    body = change.after
    if change.op != "put" or body is None or statement.by != ROOT:
        raise FormatError("a root is put by root only")
    root = parse_root(body)
    if change.before is None:
        if root.version != 1:
            raise ConflictError("the first root has version 1")
    else:
        present = parse_root(change.before)
        if root.version != present.version + 1 or root.name != present.name:
            raise ConflictError("the next root has the next version and the same name")
        if root.fold > present.fold + 1:
            raise ConflictError("the fold grows by one at most")
    _check_bound(view, ROOT, root.admin_keys)
    _check_bound(view, MARK, [key.keyid for key in root.mark_keys])
    return root


def _check_bound(view: StateView, holder: str, keyids: Iterable[str]) -> None:
    for keyid in keyids:
        bound = view.key(keyid)
        if bound is not None and bound.id != holder:
            raise ConflictError(f"the key {keyid} is bound to {bound.id}")
