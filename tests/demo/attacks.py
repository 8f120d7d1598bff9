"""The attacks of the demo: forged envelopes, and a byte changed on a disk."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from auth.keystore import KeyStore
from ledger.core import canonical
from ledger.core.envelope import Envelope, Signature, seal, sign
from ledger.core.keys import PrivateKey
from ledger.core.statement import Statement, parse_statement

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Published:
    """A statement as it stands in the log."""

    index: int
    entry: bytes

    @property
    def payload(self) -> bytes:
        """Return the signed bytes."""
        return base64.b64decode(json.loads(self.entry)["payload"])

    @property
    def statement(self) -> Statement:
        """Return the statement."""
        return parse_statement(self.payload)

    @property
    def digest(self) -> str:
        """Return its digest, which the next version names."""
        return hashlib.sha256(self.payload).hexdigest()


def read_receipt(path: Path) -> Published:
    """Return what a receipt is of."""
    lines = path.read_text().split("\n")
    return Published(int(lines[2].removeprefix("index ")), base64.b64decode(lines[1].removeprefix("extra ")))


def forgeries(present: Published, member: Path, address: str) -> dict[str, Envelope]:
    """Return three envelopes that would move a policy to another address, by what is wrong with each.

    `member` is the home of a member of the network who has no right to this policy.
    """
    own, stranger = KeyStore(member / "keys").load("member"), PrivateKey(os.urandom(32))
    honest = present.statement
    as_admin = _moved(present, honest.by, address)
    signed = sign(as_admin, [stranger]).signatures[0]
    return {
        "by a stranger's key": sign(_moved(present, stranger.public.keyid, address), [stranger]),
        "by the key of a member without this right": sign(_moved(present, own.public.keyid, address), [own]),
        "in the author's name, the signature another's": seal(as_admin.payload, [Signature(honest.by, signed.sig)]),
    }


def _moved(present: Published, by: str, address: str) -> Statement:
    """Return the next version of a policy, with another address, as `by` would write it."""
    old = present.statement
    body = canonical.load(json.dumps({**(old.body or {}), "ip": address}))
    if not isinstance(body, dict):
        raise TypeError("a body is an object")
    return Statement(old.ledger, "put", old.kind, old.id, present.digest, by, old.iat, body)


def change_stored_byte(database: Path, published: Published, found: str, wanted: str) -> int:
    """Make a stored entry say `wanted` instead of `found`, two texts that differ in one bit. Return the place of the byte changed.

    One bit of what was signed is one character of its Base64, so one byte of the entry.
    """
    lie = published.payload.replace(found.encode(), wanted.encode(), 1)
    changed = published.entry.replace(base64.b64encode(published.payload), base64.b64encode(lie))
    places = [place for place, (old, new) in enumerate(zip(published.entry, changed, strict=True)) if old != new]
    if len(places) != 1:
        raise ValueError(f"{found} and {wanted} differ in more than a bit")
    with closing(sqlite3.connect(database)) as connection, connection:
        done = connection.execute("UPDATE entry SET bytes = ? WHERE idx = ? AND bytes = ?", (changed, published.index, published.entry))
        if done.rowcount != 1:
            raise ValueError(f"entry {published.index} is not what the receipt says")
    return places[0]
