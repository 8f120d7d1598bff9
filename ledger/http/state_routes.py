"""The state over HTTP: policies by id and kind, their history, receipts, signed roots.

Every answer names the tree `size` it answers for; a cursor keeps that size, so pages of one walk fit together whatever is
published meanwhile. Policies are shown as AnyLog's programs expect them: one root key, the kind, and `ledger: global`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import orjson

from ledger.core.canonical import is_hex64, is_id
from ledger.core.errors import NotFoundError, UnsupportedError, UsageError
from ledger.core.limits import LIMITS
from ledger.core.receipt import MEDIA_TYPE as RECEIPT_TYPE
from ledger.http.call import Call, bytes_response, parse_number
from ledger.http.routes import Route

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp import web

    from ledger.core.canonical import JSON
    from ledger.core.state import Record
    from ledger.engine.snapshot import Snapshot, Version
    from ledger.http.feed import Hub
    from ledger.http.log_routes import Reads, Sharing

ENVELOPE_TYPE = "application/vnd.dsse.envelope.v1+json"

Marks = Callable[[], Mapping[str, object]]


def limit_of(call: Call) -> int:
    """Return the query field `limit`. Raises `UsageError` beyond a page."""
    limit = call.number("limit", LIMITS.page)
    if not 1 <= limit <= LIMITS.page:
        raise UsageError(f"limit must be 1 to {LIMITS.page}")
    return limit


def shown(record: Record) -> dict[str, JSON]:
    """Return a live policy as it is shown: `{kind: {…body…, id, date, ledger}}` (FORMATS 3)."""
    body = dict(record.body or {})
    body["id"] = record.id
    body.setdefault("date", record.iat)
    body["ledger"] = "global"
    return {record.kind: body}


def described(record: Record) -> dict[str, JSON]:
    """Return what is known of a version beside its body."""
    return {
        "kind": record.kind,
        "id": record.id,
        "live": record.live,
        "digest": record.digest,
        "index": record.index,
        "first": record.first,
        "owner": record.owner,
        "by": record.by,
        "iat": record.iat,
    }


class StateRoutes:
    """Serves the state of one log. `marks` adds what every answer must say beside the size (a node: whether it is stale)."""

    def __init__(self, hub: Hub, reads: Reads, sharing: Sharing, marks: Marks = dict) -> None:
        self._hub = hub
        self._reads = reads
        self._sharing = sharing
        self._marks = marks

    def routes(self) -> tuple[Route, ...]:
        """Return the routes."""
        read = ("read",)
        size = {"size": "answer for this tree size"}
        versions = {"start": "index of the first version wanted", "limit": "versions a page"}
        return (
            Route("GET", "/v1/policies/{id}", self.policy, "One policy, live or dropped.", read, query=size),
            Route("GET", "/v1/policies/{id}/history", self.history, "The versions of a policy, oldest first.", read, query=versions),
            Route("GET", "/v1/receipts/{digest}", self.receipt, "The receipt of a statement (C2SP tlog-proof).", read, gives="text/plain"),
            Route("GET", "/v1/roots/{n}", self.root, "The n-th signed root statement.", gives=ENVELOPE_TYPE),
        )

    async def policy(self, call: Call) -> web.Response:
        """Answer one policy: shown when it is live, described either way; 404 for an id never accepted."""
        call.only("size")
        policy_id, size = self._id(call), self._size(call)

        def work(snapshot: Snapshot) -> bytes:
            record = snapshot.state(size).record(policy_id)
            if record is None:
                raise NotFoundError(f"there is no policy {policy_id}", size=size)
            return self._encode(size, {"policy": shown(record) if record.live else None, "version": described(record)})

        return self._answer(await self._reads.read(work))

    async def history(self, call: Call) -> web.Response:
        """Answer the versions of a policy up to the present size, at most a page; `next` is the `start` of the page after."""
        call.only("start", "limit")
        policy_id, size = self._id(call), self._hub.head.size
        start, limit = call.number("start", 0), limit_of(call)

        def work(snapshot: Snapshot) -> bytes:
            found = [one for one in snapshot.history(policy_id, start, most=limit + 1) if one.record.index < size]
            if not found and snapshot.state(size).record(policy_id) is None:
                raise NotFoundError(f"there is no policy {policy_id}", size=size)
            more = found[limit].record.index if len(found) > limit else None
            return self._encode(size, {"id": policy_id, "versions": list(self._versions(found[:limit], size)), "next": more})

        return self._answer(await self._reads.read(work))

    async def receipt(self, call: Call) -> web.Response:
        """Answer the receipt of a statement under the newest checkpoint."""
        call.only()
        digest = call.segment()
        if not is_hex64(digest):
            raise UsageError("a digest has 64 hex digits in lower case")
        head = self._hub.head

        def work(snapshot: Snapshot) -> bytes:
            index = snapshot.find(digest)
            if index is None or index >= head.size:
                raise NotFoundError("no entry carries that statement", size=head.size)
            if not head.note:
                raise UnsupportedError("a chain orders this log: it gives no receipts")
            return snapshot.receipt(index, head.size, head.note)

        return bytes_response(await self._reads.read(work), RECEIPT_TYPE, cache="private, no-cache")

    async def root(self, call: Call) -> web.Response:
        """Answer the entry of the n-th root."""
        call.only()
        number = parse_number("n", call.segment())
        size = self._hub.head.size

        def work(snapshot: Snapshot) -> bytes:
            for version in snapshot.history("root"):
                record = version.record
                if record.content.get("version") == number and record.index < size:
                    return snapshot.entry(record.index)
            raise NotFoundError(f"there is no root {number}", size=size)

        return bytes_response(await self._reads.read(work), ENVELOPE_TYPE, cache=self._sharing.passing)

    def _versions(self, versions: Iterable[Version], size: int) -> Iterable[dict[str, object]]:
        for version in versions:
            until = version.until if version.until is not None and version.until < size else None
            yield {**described(version.record), "until": until, "body": version.record.body}

    def _id(self, call: Call) -> str:
        policy_id = call.segment()
        if not is_id(policy_id):
            raise NotFoundError("that is no id of a policy")
        return policy_id

    def _size(self, call: Call) -> int:
        size = call.number("size", self._hub.head.size)
        self._check_size(size)
        return size

    def _check_size(self, size: int) -> None:
        if size > self._hub.head.size:
            raise NotFoundError(f"the log has {self._hub.head.size} entries, not {size}", size=self._hub.head.size)

    def _encode(self, size: int, content: Mapping[str, object]) -> bytes:
        return orjson.dumps({"size": size, **self._marks(), **content})

    def _answer(self, body: bytes) -> web.Response:
        return bytes_response(body, "application/json", cache="private, no-cache", headers={"X-Content-Type-Options": "nosniff"})
