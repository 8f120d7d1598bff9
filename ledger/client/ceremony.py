"""The ceremony of a new root: a file that is drafted once, signed in the home of each admin, and published by any member.

The file is a DSSE envelope that gathers signatures. It holds no secret; what counts is that enough admins of the root in
force, and enough of those it names, looked at it and signed (docs/formats.md, section 6).
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from ledger.client.authoring import Wish, bind
from ledger.client.receipts import ReceiptJudge
from ledger.core.canonical import JSON, format_time, load, same
from ledger.core.envelope import PAYLOAD_TYPE, Envelope, Signature, pae, rebuild_envelope, seal
from ledger.core.errors import ConflictError, FormatError, NotAllowedError, NotFoundError, UsageError
from ledger.core.fold import judge
from ledger.core.keys import PublicKey
from ledger.core.root import Admin, Root, parse_root
from ledger.core.state import Accepted
from ledger.core.statement import ROOT, Statement, merge_patch, parse_statement
from ledger.core.trust.roots import PlacedRoot, new_continues

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ledger.client.answers import Published
    from ledger.client.client import LedgerClient
    from ledger.core.canonical import JSONObject
    from ledger.core.keys import PrivateKey


@dataclass(frozen=True)
class RootFile:
    """A root on its way: the statement, and who signed it so far."""

    payload: bytes
    signatures: tuple[Signature, ...] = ()

    @cached_property
    def statement(self) -> Statement:
        """Return the statement. FormatError when it is none."""
        return parse_statement(self.payload)

    @cached_property
    def root(self) -> Root:
        """Return the root that it makes. FormatError when it makes none."""
        if self.statement.kind != ROOT or self.statement.op != "put":
            raise FormatError("the file holds a statement, but not of a root")
        return parse_root(self.statement.body)

    @property
    def envelope(self) -> Envelope:
        """Return the envelope as it would stand in the log. FormatError while nobody has signed."""
        return seal(self.payload, self.signatures)

    def encode(self) -> bytes:
        """Return the content of the file."""
        signatures = [{"keyid": one.keyid, "sig": base64.b64encode(one.sig).decode()} for one in self.signatures]
        body = {"payload": base64.b64encode(self.payload).decode(), "payloadType": PAYLOAD_TYPE, "signatures": signatures}
        return json.dumps(body).encode() + b"\n"

    def signed(self, key: PrivateKey, present: Root | None) -> RootFile:
        """Return the file with the signature of an admin.

        NotAllowedError when the key is no admin's of `present` (if known) or of the new root, ConflictError when the file
        follows another root than the present one.
        """
        keyid = key.public.keyid
        known = {**self.root.admin_keys, **({} if present is None else present.admin_keys)}
        if keyid not in known:
            raise NotAllowedError("the admin key of this home is neither an admin's of the root in force nor of the new one")
        if present is not None and self.root.version != present.version + 1:
            raise ConflictError(
                f"this is root {self.root.version}, and root {present.version} is in force here",
                advice="Sync this home; if the draft is too old, draft it anew.",
            )
        others = tuple(one for one in self.signatures if one.keyid != keyid)
        return replace(self, signatures=tuple(sorted([*others, Signature(keyid, key.sign(pae(self.payload)))])))

    def signers(self, present: Root | None) -> list[str]:
        """Return the names of the admins whose signatures hold."""
        admins = {**self.root.admin_keys, **({} if present is None else present.admin_keys)}
        names = {admin.key.keyid: admin.name for root in (present, self.root) if root is not None for admin in root.admins}
        message = pae(self.payload)
        return [names[one.keyid] for one in self.signatures if one.keyid in admins and admins[one.keyid].verify(one.sig, message)]

    def wanting(self, present: Root | None) -> list[str]:
        """Return, in words, which signatures it still takes. Without the root in force only those of the new one are known."""
        message = pae(self.payload)
        wanting = []
        for root in (self.root,) if present is None else (present, self.root):
            keys = root.admin_keys
            signed = {one.keyid for one in self.signatures if one.keyid in keys and keys[one.keyid].verify(one.sig, message)}
            others = [admin.name for admin in root.admins if admin.key.keyid not in signed]
            if len(signed) < root.threshold:
                wanting.append(f"{root.threshold - len(signed)} more of {', '.join(others)} (admins of root {root.version})")
        return wanting

    def facts(self, present: Root | None) -> dict[str, object]:
        """Return what `-o json` shows; `wanting` is null when the root in force is not known here."""
        wanting = None if present is None else self.wanting(present)
        return {
            "version": self.root.version,
            "digest": self.statement.digest,
            "signed": self.signers(present),
            "wanting": wanting,
        }


def parse_root_file(content: bytes) -> RootFile:
    """Return the root in a file, of any DSSE spelling, signed or not. FormatError says what is wrong."""
    outer = load(content)
    if isinstance(outer, dict) and outer.get("signatures") == [] and outer.get("payloadType") == PAYLOAD_TYPE:
        try:
            file = RootFile(base64.b64decode(str(outer.get("payload")), validate=True))
        except binascii.Error as error:
            raise FormatError("the file holds no root") from error
    else:
        envelope = rebuild_envelope(content)
        file = RootFile(envelope.payload, tuple(envelope.signatures))
    _ = file.root
    return file


@dataclass(frozen=True, slots=True)
class RootChanges:
    """What a new root changes. `patch` is merged last (RFC 7396), for what has no word of its own."""

    add: Mapping[str, PublicKey] = field(default_factory=dict)
    drop: Sequence[str] = ()
    threshold: int | None = None
    authority_threshold: int | None = None
    expires: str | None = None
    patch: JSONObject = field(default_factory=dict)

    def apply(self, root: Root, note: JSON = None) -> JSONObject:
        """Return the body of the next root. UsageError or FormatError for what cannot be."""
        body: JSONObject = {**root.body, **({} if note is None else {"note": note}), "version": root.version + 1}
        body["admins"] = [{"name": admin.name, "key": admin.key.text} for admin in self._admins(root)]
        if self.threshold is not None:
            body["threshold"] = self.threshold
        if self.authority_threshold is not None:
            body["authority_threshold"] = self.authority_threshold
        if self.expires is not None:
            body["expires"] = self.expires
        merged = merge_patch(body, self.patch)
        if not isinstance(merged, dict):
            raise UsageError("a root is a JSON object")
        if self.patch.get("expires", "") is None:
            merged["expires"] = None  # a merge patch cannot set a null, but here null is a value
        return merged

    def _admins(self, root: Root) -> list[Admin]:
        names = [admin.name for admin in root.admins]
        for name in self.drop:
            if name not in names:
                raise UsageError(f"{name} is no admin of root {root.version}", advice=f"Its admins: {', '.join(names)}.")
        kept = [admin for admin in root.admins if admin.name not in self.drop]
        for name in self.add:
            if name in {admin.name for admin in kept}:
                raise UsageError(f"root {root.version} has an admin {name} already", advice="Drop that one too, or choose another name.")
        return [*kept, *(Admin(name, key) for name, key in self.add.items())]


async def present_root(client: LedgerClient) -> tuple[PlacedRoot, JSONObject]:
    """Return the root in force in the copy of this home, and its body as published. NotFoundError when there is none."""
    roots = await client.copy.roots()
    if not roots:
        raise NotFoundError("this home knows no root yet", advice="Sync first: ledger-cli sync.")
    record = (await client.reader.records([ROOT]))[ROOT]
    return roots[-1], record.content


async def draft_root(client: LedgerClient, changes: RootChanges) -> RootFile:
    """Return the unsigned file of the next root. UsageError when it would change nothing; FormatError when it would be none."""
    await client.sync()
    placed, body = await present_root(client)
    return await draft_body(client, placed, changes.apply(placed.root, body.get("note")))


async def draft_body(client: LedgerClient, placed: PlacedRoot, body: JSONObject) -> RootFile:
    """Return the unsigned file of the root with this body, to follow `placed`."""
    root = parse_root(body)
    if same({**root.body, "version": 0}, {**placed.root.body, "version": 0}):
        raise UsageError("that would change nothing", advice="Say what the new root changes: see --help.")
    iat = format_time(int(client.place.clock.now()))
    statement = bind(Wish("put", ROOT, ROOT, body), ledger=await client.copy.network(), prev=placed.digest, by=ROOT, iat=iat)
    return RootFile(statement.payload)


async def publish_root(client: LedgerClient, file: RootFile) -> Published:
    """Append a root that enough admins signed. NotAllowedError names the signatures that are wanting; ConflictError when it is outrun."""
    await client.sync()
    placed, _ = await present_root(client)
    stands = any(one.digest == file.statement.digest for one in await client.copy.roots())
    if not stands:
        wanting = file.wanting(placed.root) if file.root.version == placed.root.version + 1 else []
        if wanting:
            raise NotAllowedError(f"the root is not signed by enough admins: {'; '.join(wanting)}", advice="ledger-cli sign root FILE")
        envelope = file.envelope
        verdict = await client.reader.store.read(lambda snapshot: judge(snapshot.state(), envelope, snapshot.head().size))
        if not isinstance(verdict, Accepted):
            raise verdict.error()
    publisher = await client.publisher(receipts=None if stands else await _receipts_under(client, file))
    (result,) = [one async for one in publisher.hand_in([file.envelope])]
    if result.error is not None:
        raise result.error
    await client.sync()
    return result


async def _receipts_under(client: LedgerClient, file: RootFile) -> ReceiptJudge | None:
    """Return what judges the receipt of a root that continues the log: its own keys, for they sign already where it stands."""
    roots = await client.copy.roots()
    brought = new_continues([*(one.root for one in roots), file.root])[-1]
    return None if brought is None else ReceiptJudge([*roots, PlacedRoot(brought.size, file.statement.digest, file.root)])


def differences(before: Root | None, after: Root) -> list[str]:
    """Return what a root changes, a line each, for the people who sign it; all of it when the root before is not known."""
    old = {} if before is None else before.body
    return [
        f"{name}: {_shown(old[name])} -> {_shown(value)}" if name in old else f"{name}: {_shown(value)}"
        for name, value in after.body.items()
        if name not in old or not same(old[name], value)
    ]


def _shown(value: JSON) -> str:
    return json.dumps(value, ensure_ascii=False)


def parse_admin(text: str) -> tuple[str, PublicKey]:
    """Return name and key of NAME=ed25519:…. FormatError for anything else."""
    name, equals, key = text.partition("=")
    if not equals:
        raise FormatError(f"{text!r} is not NAME=ed25519:…")
    return name, PublicKey.parse(key)
