"""The rules a network gives itself by `schema` policies: uniqueness and references (FORMATS 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.core.canonical import AUTHORITY_KINDS, JSON, JSONObject, is_id, is_id_set, same
from ledger.core.errors import ConflictError, FormatError
from ledger.core.state import lookup_referrer, lookup_unique, schema_in_force, texts_of

if TYPE_CHECKING:
    from ledger.core.rights import Change
    from ledger.core.state import StateView


def check_rules(view: StateView, change: Change) -> None:
    """Check a put or patch against the schema of its kind. Raises ConflictError, or FormatError for a bad reference."""
    schema = schema_in_force(view, change.kind)
    body = change.after
    if schema is None or body is None:
        return
    for names in _lists(schema.content["unique"]):
        if any(_is_changed(change, str(name)) for name in names):
            _check_unique(view, change.kind, change.id, names, body)
    for ref in _objects(schema.content["refs"]):
        attr = str(ref["attr"])
        if attr in body and _is_changed(change, attr):
            _check_reference(view, change.id, body[attr], str(ref["kind"]))


def check_drop(view: StateView, kind: str, policy_id: str) -> None:
    """Check that no live policy refuses the drop. Raises ConflictError. Root needs not ask."""
    if kind in AUTHORITY_KINDS:
        return
    for referrer_id in view.filed(lookup_referrer(kind, policy_id)):
        referrer = view.record(referrer_id)
        if referrer is None or referrer.body is None or referrer_id == policy_id:
            continue
        schema = schema_in_force(view, referrer.kind)
        if schema is not None and _refuses(schema.content, referrer.body, kind, policy_id):
            raise ConflictError(f"{referrer.kind} {referrer_id} refers to it", other=referrer_id)


def _refuses(schema: JSONObject, body: JSONObject, kind: str, policy_id: str) -> bool:
    return any(
        ref["drop"] == "refuse" and ref["kind"] == kind and policy_id in texts_of(body.get(str(ref["attr"])))
        for ref in _objects(schema["refs"])
    )


def _is_changed(change: Change, name: str) -> bool:
    before, after = change.before, change.after
    if before is None or after is None:
        return True
    if name not in before or name not in after:
        return (name in before) != (name in after)
    return not same(before[name], after[name])


def _check_unique(view: StateView, kind: str, policy_id: str, names: list[JSON], body: JSONObject) -> None:
    lookup = lookup_unique(kind, names, body)
    if lookup is None:
        return
    for other_id in view.filed(lookup):
        other = view.record(other_id)
        if other is None or other.body is None or other.kind != kind or other_id == policy_id:
            continue
        if lookup_unique(kind, names, other.body) == lookup:
            raise ConflictError(f"{kind} {other_id} has the same {', '.join(map(str, names))}", other=other_id)


def _check_reference(view: StateView, policy_id: str, value: JSON, kind: str) -> None:
    if not is_id(value) and not is_id_set(value):
        raise FormatError(f"a reference to {kind} is an id or a set of ids")
    for target_id in texts_of(value):
        target = view.record(target_id)
        if target_id != policy_id and (target is None or not target.live or target.kind != kind):
            raise ConflictError(f"it refers to {target_id}, which is no live {kind}")


def _lists(value: JSON) -> list[list[JSON]]:
    return [item for item in value if isinstance(item, list)] if isinstance(value, list) else []


def _objects(value: JSON) -> list[JSONObject]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
