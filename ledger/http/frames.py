"""The bytes of the feed: its events, as `ledger.http.feed` describes them, and the head that they tell of. Pure."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

ETAG_BYTES = 15


@dataclass(frozen=True)
class SignedHead:
    """The newest note that left, and the size it is for."""

    size: int
    note: bytes

    @cached_property
    def etag(self) -> str:
        """Return the entity tag: a hash of the note's bytes, since a renewed note has the same size and root."""
        return '"' + base64.urlsafe_b64encode(sha256(self.note).digest()[:ETAG_BYTES]).decode() + '"'


def entries_event(start: int, entries: Sequence[bytes]) -> bytes:
    """Return the event that carries `entries`, the first of which has index `start`."""
    body = orjson.dumps({"start": start, "entries": [base64.b64encode(entry).decode() for entry in entries]})
    return b"id: %d\nevent: entries\ndata: %b\n\n" % (start + len(entries), body)


def head_event(head: SignedHead) -> bytes:
    """Return the event that carries the note of `head`."""
    body = orjson.dumps({"size": head.size, "checkpoint": head.note.decode()})
    return b"id: %d\nevent: head\ndata: %b\n\n" % (head.size, body)


def chunk(frame: bytes) -> bytes:
    """Return `frame` as one chunk of HTTP/1.1's chunked coding."""
    return b"%x\r\n%b\r\n" % (len(frame), frame)


def first_bytes(entries: Sequence[bytes], most: int) -> Sequence[bytes]:
    """Return the first entries that have `most` bytes together at most, and one at least."""
    octets = 0
    for number, entry in enumerate(entries):
        octets += len(entry)
        if number and octets > most:
            return entries[:number]
    return entries
