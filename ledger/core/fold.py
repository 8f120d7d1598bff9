"""The fold (FORMATS 1 to 8): `judge` says what an entry changes, or why it is void.

Pure: it reads the entry and the state before it, nothing else. All rules must hold, so their order decides only which
reason is given; the cheap ones come first and the signatures last. Bytes of any kind give `Void`, never an exception.

The order here: 1 spelling and form, 2 network, 3 succession, 4 resulting body, 5 author, 6 authority, 7 rules of the
network, 8 keys, 9 signatures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from ledger.core.authority import Author, author_of, check_authority, check_mark, check_root
from ledger.core.bodies import check_body
from ledger.core.canonical import AUTHORITY_KINDS, JSONObject, encode
from ledger.core.envelope import Envelope, pae, parse_envelope
from ledger.core.errors import (
    AccessError,
    ConflictError,
    FormatError,
    InvalidError,
    LedgerError,
    SignatureError,
    UnsupportedError,
    VersionMismatchError,
    error_class,
)
from ledger.core.keys import PublicKey, verify_signature
from ledger.core.limits import LIMITS
from ledger.core.rights import Change
from ledger.core.root import Root, admins_of, parse_root
from ledger.core.rules import check_drop, check_rules
from ledger.core.state import Accepted, KeyRecord, Record
from ledger.core.statement import MARK, ROOT, Statement, derive_id, is_derived, merge_patch

if TYPE_CHECKING:
    from ledger.core.state import StateView

KNOWN_FOLD: Final = 1

Check = Callable[[PublicKey, bytes, bytes], bool]


@dataclass(frozen=True, slots=True)
class Void:
    """The entry changes nothing. `code` is that of the error a publisher gets; `other` the id of the policy that stands in the way."""

    code: str
    reason: str
    other: str | None = field(default=None, compare=False)

    def error(self) -> LedgerError:
        """Return the error to refuse the statement with, were it not in the log."""
        context = {} if self.other is None else {"other": self.other}
        return error_class(self.code)(self.reason, **context)


class _Quorum(NamedTuple):
    """Who may sign (`allowed`), who must, and how many of whom."""

    allowed: Mapping[str, PublicKey]
    required: tuple[str, ...] = ()
    thresholds: tuple[tuple[Mapping[str, PublicKey], int], ...] = ()


def judge(view: StateView, entry: Envelope | bytes, index: int, *, check: Check = verify_signature) -> Accepted | Void:
    """Return what the entry at `index` changes in `view`, or why it is void.

    `check` verifies one signature; bulk readers pass one that looks up what was verified before.
    Raises UnsupportedError, and nothing else, when the present root asks for a fold that this program does not know.
    """
    root = _root_in_force(view)
    try:
        envelope = entry if isinstance(entry, Envelope) else parse_envelope(entry)
        statement = envelope.statement
        _check_network(view, root, statement)
        change = _change(view, statement)
        if root is None or statement.kind == ROOT:
            accepted, quorum = _judge_root(view, statement, change, index)
        else:
            accepted, quorum = _judge_policy(view, statement, change, root, index)
        _check_signatures(envelope, quorum, check)
    except (InvalidError, AccessError, ConflictError, SignatureError) as error:
        other = error.context.get("other")
        return Void(error.code, error.message, other if isinstance(other, str) else None)
    return accepted


def present_root(view: StateView) -> Root | None:
    """Return the root that rules now, None before version 1."""
    record = view.record(ROOT)
    return None if record is None else parse_root(record.body)


def _root_in_force(view: StateView) -> Record | None:
    root = view.record(ROOT)
    if root is not None and root.content["fold"] != KNOWN_FOLD:
        raise UnsupportedError(f"the root in force asks for fold {root.content['fold']}; this program knows fold {KNOWN_FOLD}")
    return root


def _check_network(view: StateView, root: Record | None, statement: Statement) -> None:
    if root is not None:
        if statement.ledger != view.network:
            raise ConflictError("a statement for another network")
        return
    if statement.kind != ROOT or statement.ledger != "":
        raise ConflictError("nothing comes before root version 1")
    if view.network is not None and statement.digest != view.network:
        raise ConflictError("another network's root version 1")


def _change(view: StateView, statement: Statement) -> Change:
    """Check that the statement follows the last one of its id, and return the change with the resulting body."""
    record = view.record(statement.id)
    op, kind = statement.op, statement.kind
    if record is None:
        if statement.prev is not None or op != "put":
            raise VersionMismatchError("the id was never accepted before: put it, with prev null")
    else:
        if record.kind != kind:
            raise ConflictError(f"the id is of kind {record.kind} for ever")
        # A drop of a member is not compared, or it could outrun its own revocation by changing itself.
        if statement.prev != record.digest and (op != "drop" or kind != "member" or statement.prev is None):
            raise VersionMismatchError("prev is not the last accepted statement of the id")
        if op != "put" and not record.live:
            raise ConflictError("the policy is not live")
    body = _resulting_body(record, statement)
    return Change(op, kind, statement.id, record, body)


def _resulting_body(record: Record | None, statement: Statement) -> JSONObject | None:
    body = statement.body
    if body is None:
        return None
    if statement.op == "patch" and record is not None:
        merged = merge_patch(record.body, body)
        body = merged if isinstance(merged, dict) else {}
    if "id" in body or "ledger" in body:
        raise FormatError("a body has no member id or ledger")
    # A put body cannot be longer than its payload, so that most need not be measured.
    if (statement.op == "patch" or len(statement.payload) > LIMITS.body) and len(encode(body)) > LIMITS.body:
        raise FormatError(f"a body has at most {LIMITS.body} bytes")
    check_body(statement.kind, body)
    if record is None and is_derived(statement.id) and statement.id != derive_id(statement.kind, statement.body_text):
        raise FormatError("an id of 40 hex digits is the derived one")
    return body


def _judge_root(view: StateView, statement: Statement, change: Change, index: int) -> tuple[Accepted, _Quorum]:
    root = check_root(view, statement, change)
    thresholds = [(root.admin_keys, root.threshold)]
    if change.before is not None:
        present = parse_root(change.before)
        thresholds.append((present.admin_keys, present.threshold))
    allowed = {keyid: key for keys, _ in thresholds for keyid, key in keys.items()}
    holders = [(keyid, ROOT) for keyid in root.admin_keys] + [(key.keyid, MARK) for key in root.mark_keys]
    keys = tuple(KeyRecord(keyid, holder, index) for keyid, holder in holders if view.key(keyid) is None)
    network = statement.digest if change.before is None else None
    accepted = Accepted((_record(statement, change, ROOT, index),), keys, network=network)
    return accepted, _Quorum(allowed, thresholds=tuple(thresholds))


def _judge_policy(view: StateView, statement: Statement, change: Change, root: Record, index: int) -> tuple[Accepted, _Quorum]:
    author = author_of(view, statement, root.content)
    if statement.kind == MARK:
        check_mark(change, root, index)
        return Accepted((_record(statement, change, MARK, index),)), _quorum(statement, author, root, None)
    check_authority(view, change, author)
    if change.after is not None:
        check_rules(view, change)
    elif not author.is_root:
        check_drop(view, change.kind, change.id)
    key = _new_key(view, change)
    records = [_record(statement, change, author.owner, index)]
    if author.invite is not None:
        records.append(_spent(author.invite, records[0]))
    accepted = Accepted(tuple(records), () if key is None else (KeyRecord(key.keyid, change.id, index),), _reindexed(change))
    return accepted, _quorum(statement, author, root, key)


def _new_key(view: StateView, change: Change) -> PublicKey | None:
    """Return F of FORMATS 5, the key that the body of a member or invite brings in. Raises ConflictError if it is bound."""
    if change.kind not in ("member", "invite") or change.after is None:
        return None
    text = change.after["key"]
    if change.before is not None and change.before["key"] == text:
        return None
    key = PublicKey.parse(text)
    bound = view.key(key.keyid)
    if bound is not None:
        raise ConflictError(f"the key is bound to {bound.id}")
    return key


def _quorum(statement: Statement, author: Author, root: Record, key: PublicKey | None) -> _Quorum:
    required = {} if key is None else {key.keyid: key}
    if author.key is not None:
        required[statement.by] = author.key
        return _Quorum(required, tuple(required))
    admins, threshold = admins_of(root.content)
    least = threshold if statement.kind in AUTHORITY_KINDS else 1
    return _Quorum({**admins, **required}, tuple(required), ((admins, least),))


def _record(statement: Statement, change: Change, author: str, index: int) -> Record:
    last = change.record
    # Who creates an id owns it, and so does who brings it back.
    owner = last.owner if last is not None and last.live else author
    return Record(
        kind=statement.kind,
        id=statement.id,
        live=change.after is not None,
        digest=statement.digest,
        index=index,
        first=index if last is None else last.first,
        owner=owner,
        by=statement.by,
        iat=statement.iat,
        body=change.after,
    )


def _spent(invite: Record, member: Record) -> Record:
    """Return the record of the invite that a member joined by."""
    return replace(invite, live=False, digest=member.digest, index=member.index, by=member.by, iat=member.iat, body=None)


def _reindexed(change: Change) -> tuple[str, ...]:
    if change.kind != "schema":
        return ()
    kinds = {str(body["kind"]) for body in (change.before, change.after) if body is not None}
    return tuple(sorted(kinds))


def _check_signatures(envelope: Envelope, quorum: _Quorum, check: Check) -> None:
    signed = {signature.keyid for signature in envelope.signatures}
    if not signed <= quorum.allowed.keys():
        raise SignatureError("signed by a key that may not sign this")
    if not signed.issuperset(quorum.required):
        raise SignatureError("not signed by the author, or not by the key that the body brings in")
    if quorum.thresholds and any(len(signed & keys.keys()) < least for keys, least in quorum.thresholds):
        raise SignatureError("not signed by enough admins")
    message = pae(envelope.payload)
    for keyid, sig in envelope.signatures:
        if not check(quorum.allowed[keyid], sig, message):
            raise SignatureError(f"the signature of {keyid} is not valid")
