"""The HTTPS backend's own decisions: what it sends again, what it takes for an answer, how it goes on. A fake transport answers."""

from __future__ import annotations

import base64
from collections import deque
from typing import TYPE_CHECKING

import orjson
import pytest

from ledger.client import https as client_https
from ledger.client.bodies import Reply
from ledger.client.https import HttpsBackend, backoff, batches, log_event, placed, result_of
from ledger.client.sse import Event
from ledger.core.backend import Entries, NewHead, Placed, Refused
from ledger.core.checkpoint import Checkpoint
from ledger.core.envelope import parse_envelope
from ledger.core.errors import (
    AuthenticationError,
    BusyError,
    ConflictError,
    ForkRiskError,
    FormatError,
    InternalError,
    LedgerError,
    NotAllowedError,
    NotFoundError,
    NotReadyError,
    OutcomeUnknown,
    TooLargeError,
    UnreachableError,
)
from ledger.core.limits import LIMITS
from ledger.core.note import Note, log_line
from ledger.core.tiles import frame
from tests.support.small_network import ORIGIN, SmallNetwork, key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

NETWORK = SmallNetwork()
ENTRIES = [envelope.entry for envelope in NETWORK.things(3)]
ANSWER = orjson.dumps({"index": 7, "digest": "d", "receipt": "r"})


class FakeTransport:
    """Answers with what it was given, in order; remembers what it was asked."""

    def __init__(self, *answers: bytes | LedgerError, streams: tuple[bytes | LedgerError, ...] = ()) -> None:
        self.answers = deque(answers)
        self.streams = deque(streams)
        self.asked: list[str] = []
        self.closed = False

    async def _next(self, what: str) -> Reply:
        self.asked.append(what)
        answer = self.answers.popleft()
        if isinstance(answer, LedgerError):
            raise answer
        return Reply(200, {"etag": '"e"'}, answer, len(answer))

    async def get(self, path: str, *, headers: Mapping[str, str] | None = None, private: bool = True) -> Reply:
        return await self._next(path)

    async def post(self, path: str, body: bytes, content_type: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        return await self._next(f"{path} {dict(headers or {})}")

    async def stream(self, path: str, *, headers: Mapping[str, str], idle_seconds: float) -> AsyncIterator[bytes]:
        self.asked.append(path)
        chunk = self.streams.popleft()
        if isinstance(chunk, LedgerError):
            raise chunk
        yield chunk

    async def close(self) -> None:
        self.closed = True


def backend(*answers: bytes | LedgerError, streams: tuple[bytes | LedgerError, ...] = ()) -> tuple[HttpsBackend, FakeTransport]:
    fake = FakeTransport(*answers, streams=streams)
    return HttpsBackend(fake), fake  # type: ignore[arg-type]  # the fake has what is used of a Transport


async def test_push_back_is_waited_out() -> None:
    https, fake = backend(BusyError("full", retry_after=0.0), BusyError("full", retry_after=0.0), ANSWER)
    assert await https.append(ENTRIES[:1]) == [Placed(7, "d", receipt=b"r")]
    assert len(fake.asked) == 3


async def test_push_back_beyond_patience_is_raised() -> None:
    https, fake = backend(BusyError("full", retry_after=60.0))
    with pytest.raises(BusyError):
        await https.append(ENTRIES[:1])
    assert len(fake.asked) == 1


async def test_a_lost_answer_is_asked_for_once_more_and_then_named() -> None:
    https, _ = backend(OutcomeUnknown("lost", operation="x"), ANSWER)
    assert isinstance((await https.append(ENTRIES[:1]))[0], Placed)
    https, fake = backend(*[OutcomeUnknown("lost", operation="x")] * 2)
    with pytest.raises(OutcomeUnknown) as raised:
        await https.append(ENTRIES[:1])
    assert raised.value.operation == parse_envelope(ENTRIES[0]).statement.digest
    assert len(fake.asked) == 2


@pytest.mark.parametrize(
    "second",
    [
        UnreachableError("gone"),
        NotReadyError("stopped"),
        BusyError("full", retry_after=60.0),
        AuthenticationError("the token expired"),
        InternalError("a bug"),
        ForkRiskError("the master is on an old backup now"),
        FormatError("a page of a proxy"),
        TooLargeError("413 of a proxy"),
        NotFoundError("404 of a proxy"),
        LedgerError("anything"),
        NotAllowedError("the token opens less", scope="write"),
    ],
)
@pytest.mark.parametrize("count", [1, 2])
async def test_after_a_lost_answer_nothing_that_is_no_answer_says_that_it_did_not_arrive(second: LedgerError, count: int) -> None:
    https, _ = backend(OutcomeUnknown("lost", operation="x"), second)
    with pytest.raises(OutcomeUnknown, match="lost") as raised:
        await https.append(ENTRIES[:count])
    assert raised.value.operation == parse_envelope(ENTRIES[0]).statement.digest
    assert raised.value.__cause__ is not None


async def test_a_conditional_append_is_never_sent_again() -> None:
    https, fake = backend(OutcomeUnknown("lost", operation="x"))
    with pytest.raises(OutcomeUnknown):
        await https.append(ENTRIES, expected_size=5)
    assert fake.asked == ["/v1/entries {'If-Match': '\"5\"'}"]


async def test_a_refusal_of_one_is_a_result_and_unreachable_is_not() -> None:
    https, _ = backend(ConflictError("taken"))
    (refused,) = await https.append(ENTRIES[:1])
    assert isinstance(refused, Refused)
    https, _ = backend(UnreachableError("gone"))
    with pytest.raises(UnreachableError):
        await https.append(ENTRIES[:1])


async def test_answers_to_many_are_matched_line_by_line() -> None:
    refused = orjson.dumps({"error": {"code": "conflict", "status": 409, "detail": "taken"}})
    https, _ = backend(b"\n".join([ANSWER, refused, ANSWER]) + b"\n")
    first, second, third = await https.append(ENTRIES)
    assert isinstance(first, Placed)
    assert isinstance(third, Placed)
    assert isinstance(second, Refused)
    assert isinstance(second.error, ConflictError)


@pytest.mark.parametrize("junk", [ANSWER + b"\n", b"", b"{", b"<html>"])
async def test_an_answer_that_cannot_be_read_is_a_lost_one(junk: bytes) -> None:
    https, fake = backend(junk, b"\n".join([ANSWER] * 3))
    assert len(await https.append(ENTRIES)) == len(ENTRIES)
    https, fake = backend(junk, junk)
    with pytest.raises(OutcomeUnknown) as raised:
        await https.append(ENTRIES)
    assert (raised.value.operation, len(fake.asked)) == (parse_envelope(ENTRIES[0]).statement.digest, 2)
    https, _ = backend(b"<html>", ANSWER)
    assert isinstance((await https.append(ENTRIES[:1]))[0], Placed)


async def test_a_request_that_fails_after_another_was_answered_is_unknown() -> None:
    """More than one request holds: what the first one placed is not forgotten by what the second one met."""
    entries = ENTRIES * 400
    https, _ = backend(b"\n".join([ANSWER] * LIMITS.request_entries), UnreachableError("gone"))
    with pytest.raises(OutcomeUnknown, match="gone"):
        await https.append(entries)
    https, _ = backend(UnreachableError("gone"))
    with pytest.raises(UnreachableError):
        await https.append(entries)


@pytest.mark.parametrize("answer", [{}, {"index": "7", "digest": "d", "receipt": "r"}, {"index": True, "digest": "d", "receipt": "r"}])
def test_an_answer_without_a_placement_is_refused(answer: dict[str, object]) -> None:
    with pytest.raises(FormatError, match="lacks index, digest or receipt"):
        placed(answer)


def test_a_line_may_be_an_error_with_any_status() -> None:
    found = result_of({"error": {"code": "nobody-knows", "status": 404}})
    assert isinstance(found, Refused)
    assert isinstance(found.error, NotFoundError)


async def test_reads_refuse_more_or_less_than_was_asked_for() -> None:
    https, fake = backend(frame(ENTRIES), frame(ENTRIES), frame([]), NotFoundError("beyond"))
    assert await https.read(0, 3) == ENTRIES
    for _ in range(2):
        with pytest.raises(FormatError, match="asked for entries 0 to 1"):
            await https.read(0, 2)
    assert await https.read(5, 5) == []
    assert await https.read(90, 95) == []
    assert fake.asked[0] == "/v1/entries?start=0&end=3"
    assert https.received == 2 * len(frame(ENTRIES)) + len(frame([]))


async def test_what_is_not_there_is_none() -> None:
    https, fake = backend(NotFoundError("no"), NotFoundError("no"))
    assert await https.roots(2) is None
    assert await https.find("0" * 64) is None
    assert await https.find("no digest") is None
    assert len(fake.asked) == 2
    await https.close()
    assert fake.closed


def note(size: int) -> bytes:
    text = Checkpoint(ORIGIN, size, bytes(32)).text
    return Note(text, (log_line(text, ORIGIN, key("log")),)).encode()


async def test_a_watch_goes_from_the_stream_to_polling_and_back() -> None:
    pushed = b"event: entries\ndata: " + orjson.dumps({"start": 0, "entries": [base64.b64encode(ENTRIES[0]).decode()]}) + b"\n\n"
    other = b":\n\nevent: news\ndata: {}\n\n"
    https, fake = backend(note(2), frame(ENTRIES[1:2]), UnreachableError("gone"), streams=(pushed + other, UnreachableError("gone"), b""))
    seen = []
    async for event in https.watch(0):
        seen.append(event)
        if len(seen) == 3:
            break
    assert seen[:2] == [Entries(0, (ENTRIES[0],)), Entries(1, (ENTRIES[1],))]
    assert isinstance(seen[2], NewHead)
    assert seen[2].head.size == 2
    assert fake.asked == ["/v1/watch?start=0", "/checkpoint", "/v1/entries?start=1&end=2"]


async def test_a_watch_outlives_a_server_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_https, "backoff", lambda _failures: 0.0)
    https, fake = backend(UnreachableError("gone"), note(0), streams=(UnreachableError("gone"), b""))
    async for event in https.watch(0):
        assert isinstance(event, NewHead)
        break
    assert fake.asked == ["/v1/watch?start=0", "/checkpoint", "/v1/watch?start=0", "/checkpoint"]


def test_waiting_grows_to_a_bound_and_is_spread() -> None:
    assert all(0.8 * 0.2 <= backoff(0) <= 1.2 * 0.2 for _ in range(50))
    assert backoff(1) < backoff(5) < backoff(9)
    assert backoff(1_000_000) <= 1.2 * LIMITS.backoff_seconds
    assert len({backoff(3) for _ in range(9)}) > 1


def test_requests_stay_under_the_limits() -> None:
    assert batches([]) == []
    assert [len(batch) for batch in batches([b"x"] * 2500)] == [1000, 1000, 500]
    big = batches([b"x" * 60_000] * 300)
    assert all(sum(len(entry) + 1 for entry in batch) <= LIMITS.request for batch in big)
    assert sum(map(len, big)) == 300


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("head", "{}"),
        ("head", '{"checkpoint": 5}'),
        ("head", '{"checkpoint": "x"}'),
        ("head", "[" * 5_000),
        ("entries", '{"start": 0}'),
        ("entries", '{"start": "x", "entries": []}'),
        ("entries", '{"start": 0, "entries": ["*"]}'),
        ("entries", '{"start": 0, "entries": [5]}'),
        ("entries", "no json"),
    ],
)
def test_malformed_events_are_refused(name: str, text: str) -> None:
    with pytest.raises(FormatError):
        log_event(Event(name, text, ""))


def test_unknown_events_are_passed_over() -> None:
    assert log_event(Event("message", "no json", "")) is None
