"""Log lines: JSON, one a line, bounded, without secrets."""

from __future__ import annotations

import io
import logging

import orjson
import pytest

from ledger.core.errors import ConflictError
from ledger.http.logs import LINE_BYTES, EventLog, StandardLogging, scrub
from tests.support.identities import FrozenClock


@pytest.fixture
def stream() -> io.BytesIO:
    return io.BytesIO()


@pytest.fixture
def log(stream: io.BytesIO) -> EventLog:
    return EventLog(stream, FrozenClock(1_700_000_000.25))


def lines(stream: io.BytesIO) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_event_is_one_json_line(log: EventLog, stream: io.BytesIO) -> None:
    log.event("listening", port=8443, note="two\nlines")
    assert lines(stream) == [
        {"time": "2023-11-14T22:13:20.250Z", "level": "info", "event": "listening", "port": 8443, "note": "two\nlines"}
    ]


def test_write_below_the_level_is_dropped(log: EventLog, stream: io.BytesIO) -> None:
    log.write("debug", "noise")
    assert stream.getvalue() == b""


@pytest.mark.parametrize(
    "secret",
    [
        "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJtYXN0ZXIifQ.c2lnbmF0dXJlLWJ5dGVz",
        "metaledger-join-1.eyJsZWRnZXIiOiJhYmMifQ",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----",
    ],
)
def test_write_blanks_what_looks_like_a_secret(log: EventLog, stream: io.BytesIO, secret: str) -> None:
    log.write("warning", "odd", text=f"before {secret} after")
    said = stream.getvalue()
    assert b"[secret]" in said
    assert b"c2lnbmF0dXJl" not in said
    assert b"MC4CAQAw" not in said
    assert b"eyJsZWRn" not in said
    assert lines(stream)[0]["event"] == "odd"


def test_what_others_sent_takes_no_name_of_ours(log: EventLog, stream: io.BytesIO) -> None:
    sent: dict[str, object] = dict.fromkeys(("time", "level", "event", "code", "error", "self", "name", "note"), "theirs")
    log.failure("odd", ConflictError("ours"), **{name: value for name, value in sent.items() if name != "self"})
    log.failure("odd", ValueError("ours"), trace="theirs", note="theirs")
    first, second = lines(stream)
    stamp = "2023-11-14T22:13:20.250Z"
    assert first == {
        "time": stamp,
        "level": "error",
        "event": "odd",
        "code": "conflict",
        "error": "ours",
        "name": "theirs",
        "note": "theirs",
    }
    assert (second["note"], second["error"]) == ("theirs", "ValueError")
    assert str(second["trace"]).endswith("ValueError: ours\n")


def test_what_is_nested_too_deep_is_left_out(log: EventLog, stream: io.BytesIO) -> None:
    deep: object = None
    for _ in range(300):
        deep = [deep]
    log.write("error", "odd", deep=deep, number=7)
    assert lines(stream) == [{"time": "2023-11-14T22:13:20.250Z", "level": "error", "event": "odd", "number": 7}]


def test_what_is_no_character_and_no_small_number_is_written_all_the_same(log: EventLog, stream: io.BytesIO) -> None:
    log.failure("odd", ConflictError("no \udcff"), path="\udcff", number=1 << 70, share=0.5, flag=True, nothing=None)
    [line] = lines(stream)
    assert (line["error"], line["path"], line["number"]) == ("no \\udcff", "\\udcff", str(1 << 70))
    assert (line["share"], line["flag"], line["nothing"]) == (0.5, True, None)


def test_scrub_leaves_the_rest_alone() -> None:
    assert scrub(b'{"event":"committed","entries":3}') == b'{"event":"committed","entries":3}'


def test_write_cuts_a_line_that_is_too_long(log: EventLog, stream: io.BytesIO) -> None:
    log.event("long", text="x" * 10 * LINE_BYTES)
    assert len(stream.getvalue()) <= LINE_BYTES
    assert lines(stream)[0]["event"] == "long"


def test_failure_shows_our_code_or_the_trace(log: EventLog, stream: io.BytesIO) -> None:
    log.failure("a", ConflictError("taken"))
    try:
        int("broken")
    except ValueError as error:
        log.failure("b", error)
    ours, foreign = lines(stream)
    assert (ours["code"], ours["error"]) == ("conflict", "taken")
    assert "trace" not in ours
    assert foreign["code"] == "internal"
    assert "ValueError: invalid" in str(foreign["trace"])


def test_write_to_a_closed_stream_is_silent(log: EventLog, stream: io.BytesIO) -> None:
    stream.close()
    log.event("lost")


def test_standard_logging_goes_into_the_same_stream(log: EventLog, stream: io.BytesIO) -> None:
    logger = logging.getLogger("library.part")
    logger.addHandler(StandardLogging(log))
    logger.warning("odd %s", "thing")
    (line,) = lines(stream)
    assert (line["level"], line["event"], line["logger"], line["message"]) == ("warning", "library", "library.part", "odd thing")
