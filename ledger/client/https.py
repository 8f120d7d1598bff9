"""The HTTPS backend: a master's (or a relay's) log over the routes of docs/http-api.md.

It moves bytes and checks their form. What they prove is decided above it: `ledger.core.trust` for
checkpoints, the replica for entries, `LedgerClient` for receipts.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import random
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

from ledger.core.backend import Entries, Head, LogEvent, NewHead, Placed, Refused, Traits
from ledger.core.canonical import is_hex64
from ledger.core.checkpoint import parse_checkpoint
from ledger.core.envelope import parse_envelope
from ledger.core.errors import (
    BusyError,
    ConflictError,
    FormatError,
    LedgerError,
    NotAllowedError,
    NotFoundError,
    OutcomeUnknown,
    SchemaMismatchError,
    SignatureError,
    SizeMismatchError,
    UnavailableError,
    UnreachableError,
)
from ledger.core.limits import LIMITS
from ledger.core.note import parse_note
from ledger.core.receipt import parse_receipt
from ledger.core.tiles import unframe

from .sse import Event, Parser
from .transport import error_from_problem, parse_object

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from .bodies import Reply
    from .transport import Transport

ENVELOPE = "application/vnd.dsse.envelope.v1+json"
JSON_LINES = "application/jsonl"
NOTE = "text/plain"
PACKED: Mapping[str, str] = {"Accept-Encoding": "zstd"}
PATIENCE_SECONDS = 30.0
VERDICTS = (ConflictError, NotAllowedError, SchemaMismatchError, SignatureError)  # what only who judged the statement itself can say


class HttpsBackend:
    """A log behind a `Transport`; see `ledger.core.backend.Backend` for the contract."""

    traits = Traits(compare_and_set=True, checkpoints=True, instant_finality=True)

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.received = 0
        self.requests = 0
        self._etag: str | None = None
        self._head: Head | None = None

    async def close(self) -> None:
        """Close the connections; idempotent."""
        await self.transport.close()

    def _count(self, reply: Reply) -> Reply:
        self.requests += 1
        self.received += reply.received
        return reply

    async def head(self) -> Head:
        """Return the newest checkpoint; an idle poll is one 304."""
        headers = {"If-None-Match": self._etag} if self._etag and self._head else {}
        reply = self._count(await self.transport.get("/checkpoint", headers=headers, private=False))
        if reply.status == HTTPStatus.NOT_MODIFIED and self._head is not None:
            return self._head
        head = head_of(reply.body)
        self._etag, self._head = reply.headers.get("etag"), head
        return head

    async def read(self, start: int, end: int) -> list[bytes]:
        """Return entries from `start`, at most one page."""
        if end <= start:
            return []
        try:
            reply = self._count(await self.transport.get(f"/v1/entries?start={start}&end={end}", headers=PACKED))
        except NotFoundError:
            return []  # beyond the end
        entries = unframe(reply.body)
        if not 0 < len(entries) <= end - start:
            raise FormatError(f"asked for entries {start} to {end - 1}, got {len(entries)} of them")
        return entries

    async def roots(self, version: int) -> bytes | None:
        """Return the signed root of that version as the server has it, or None."""
        try:
            return self._count(await self.transport.get(f"/v1/roots/{version}", private=False)).body
        except NotFoundError:
            return None

    async def present(self, note: bytes, roots: Sequence[bytes] = ()) -> bool:
        """Show the server a checkpoint of its log that it may not know; tell whether it knew. Only a master takes any (NotFoundError).

        The `roots` are for a master that does not know the key that signed: they prove it.
        """
        try:
            reply = self._count(await self.transport.post("/v1/checkpoints", note, NOTE))
        except SignatureError:
            if not roots:
                raise
            proof = b"\n".join(base64.b64encode(one) for one in roots)
            reply = self._count(await self.transport.post("/v1/checkpoints", note + b"\n" + proof + b"\n", NOTE))
        return parse_object(reply.body).get("known") is True

    async def find(self, digest: str) -> Placed | None:
        """Return the receipt of the statement with that digest, or None."""
        if not is_hex64(digest):
            return None
        try:
            reply = self._count(await self.transport.get(f"/v1/receipts/{digest}"))
        except NotFoundError:
            return None
        return Placed(parse_receipt(reply.body).index, digest, receipt=reply.body)

    async def append(self, envelopes: Sequence[bytes], *, expected_size: int | None = None) -> list[Placed | Refused]:
        """Send entries in requests that fit the limits.

        A push-back (503 with Retry-After) is waited out for half a minute. A lost answer is sent once
        more: a log answers a statement that it has with its first placement. If that brings neither this
        nor a verdict on the statement, whatever it brings, `OutcomeUnknown` names the digest of the first
        statement of the request; so it does when a request fails and others before it were answered.
        """
        checked = [refusal(envelope) for envelope in envelopes]
        good = [envelope for envelope, refused in zip(envelopes, checked, strict=True) if refused is None]
        results: list[Placed | Refused] = []
        if expected_size is not None and good:
            results = await self._send(good, {"If-Match": f'"{expected_size}"'})
        else:
            for batch in batches(good):
                try:
                    results += await self._send(batch, {})
                except LedgerError as error:
                    raise (_still_unknown(error, batch) if results else error) from error
        answers = iter(results)
        return [next(answers) if refused is None else refused for refused in checked]

    async def _send(self, batch: Sequence[bytes], headers: dict[str, str]) -> list[Placed | Refused]:
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        lost: LedgerError | None = None
        while True:
            try:
                answers = [await self._send_one(batch[0], headers)] if len(batch) == 1 else await self._send_many(batch, headers)
            except LedgerError as error:
                if isinstance(error, BusyError) and asyncio.get_running_loop().time() + error.retry_after <= deadline:
                    await asyncio.sleep(error.retry_after)
                    continue
                if lost is None and not isinstance(error, OutcomeUnknown):
                    raise
                if lost is not None or headers:
                    raise _still_unknown(lost or error, batch) from error
                lost = error
            else:
                if lost is not None and any(isinstance(one, Refused) and not _is_verdict(one.error) for one in answers):
                    raise _still_unknown(lost, batch) from lost
                return answers

    async def _send_one(self, envelope: bytes, headers: dict[str, str]) -> Placed | Refused:
        try:
            reply = self._count(await self.transport.post("/v1/entries", envelope, ENVELOPE, headers=headers))
        except (UnavailableError, SizeMismatchError):
            raise
        except LedgerError as error:
            return Refused(error)
        with _readable():
            return placed(parse_object(reply.body))

    async def _send_many(self, batch: Sequence[bytes], headers: dict[str, str]) -> list[Placed | Refused]:
        reply = self._count(await self.transport.post("/v1/entries", b"\n".join(batch) + b"\n", JSON_LINES, headers=headers))
        with _readable():
            lines = [parse_object(line) for line in reply.body.splitlines() if line]
            if len(lines) != len(batch):
                raise FormatError(f"sent {len(batch)} entries, got {len(lines)} answers")
            return [result_of(line) for line in lines]

    async def watch(self, start: int) -> AsyncIterator[LogEvent]:
        """Yield entries and heads from `start` on: pushed while the stream holds, polled while it does not."""
        position, failures = start, 0
        while True:
            try:
                async for event in self._pushed(position):
                    failures = 0
                    if isinstance(event, Entries):
                        position = event.start + len(event.entries)
                    yield event
            except UnavailableError:
                failures += 1
            try:
                async for event in self._polled(position):
                    if isinstance(event, Entries):
                        position = event.start + len(event.entries)
                    yield event
            except UnreachableError:
                failures += 1
            await asyncio.sleep(backoff(failures))

    async def _pushed(self, position: int) -> AsyncIterator[LogEvent]:
        parser = Parser()
        chunks = self.transport.stream(
            f"/v1/watch?start={position}", headers={"Accept": "text/event-stream"}, idle_seconds=2.5 * LIMITS.heartbeat_seconds
        )
        async for chunk in chunks:
            self.received += len(chunk)
            for event in parser.feed(chunk):
                known = log_event(event)
                if known is not None:
                    yield known

    async def _polled(self, position: int) -> AsyncIterator[LogEvent]:
        head = await self.head()
        while position < head.size:
            entries = await self.read(position, min(head.size, position + LIMITS.page))
            yield Entries(position, tuple(entries))
            position += len(entries)
        yield NewHead(head)


def backoff(failures: int) -> float:
    """Return how long to wait, in seconds: the poll time with jitter, doubled by failures up to the cap."""
    base = min(LIMITS.backoff_seconds, min(1.0, LIMITS.poll_seconds) * 2 ** min(failures, 12)) if failures else 0.2
    return base * random.uniform(1 - LIMITS.poll_jitter, 1 + LIMITS.poll_jitter)  # noqa: S311 - spreads load, guards nothing


def batches(envelopes: Sequence[bytes]) -> list[list[bytes]]:
    """Split into requests under the limits on entries and bytes."""
    found: list[list[bytes]] = []
    size = 0
    for envelope in envelopes:
        if not found or len(found[-1]) >= LIMITS.request_entries or size + len(envelope) + 1 > LIMITS.request:
            found.append([])
            size = 0
        found[-1].append(envelope)
        size += len(envelope) + 1
    return found


def refusal(entry: bytes) -> Refused | None:
    """Return why these bytes are not even sent: they are no entry, so they could not stand in a line of a request."""
    try:
        _ = parse_envelope(entry).statement
    except FormatError as error:
        return Refused(error)
    return None


def _is_verdict(error: LedgerError) -> bool:
    """Tell whether an error speaks of a statement itself. One that names a scope speaks of the token it was sent with."""
    return isinstance(error, VERDICTS) and "scope" not in error.context


@contextmanager
def _readable() -> Iterator[None]:
    """Take an answer to a publish that cannot be read for none: it says that the request arrived, and nothing of what was done."""
    try:
        yield
    except FormatError as error:
        raise OutcomeUnknown(error.message, operation="/v1/entries") from error


def _still_unknown(lost: LedgerError, batch: Sequence[bytes]) -> OutcomeUnknown:
    """Return what is told when an answer was lost and asking once more brought none: not that nothing arrived."""
    return OutcomeUnknown(lost.message, operation=digest_of(batch[0]))


def digest_of(entry: bytes) -> str:
    """Return the digest of the statement in `entry`."""
    return parse_envelope(entry).statement.digest


def head_of(note: bytes) -> Head:
    """Return the head that a checkpoint claims; whether it is good is for the trust machine."""
    size = parse_checkpoint(parse_note(note).text).size
    return Head(size, size, checkpoint=note)


def result_of(line: dict[str, Any]) -> Placed | Refused:
    """Return the result in one line of a bulk answer."""
    problem = line.get("error")
    if isinstance(problem, dict):
        status = problem.get("status")
        return Refused(error_from_problem(problem, status if isinstance(status, int) else HTTPStatus.BAD_REQUEST))
    return placed(line)


def placed(answer: dict[str, Any]) -> Placed:
    """Return the placement in an answer, or raise `FormatError`."""
    index, digest, receipt = answer.get("index"), answer.get("digest"), answer.get("receipt")
    if type(index) is not int or not isinstance(digest, str) or not isinstance(receipt, str):
        raise FormatError("the server's answer to a publish lacks index, digest or receipt")
    return Placed(index, digest, receipt=receipt.encode())


def log_event(event: Event) -> LogEvent | None:
    """Return what a server-sent event says; None for one this version does not know."""
    if event.name not in {"entries", "head"}:
        return None
    try:
        answer = orjson.loads(event.data)
        if event.name == "head":
            return NewHead(head_of(answer["checkpoint"].encode()))
        entries = tuple(base64.b64decode(text, validate=True) for text in answer["entries"])
        return Entries(int(answer["start"]), entries)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, binascii.Error) as error:
        raise FormatError(f"the feed sends a malformed {event.name} event") from error
