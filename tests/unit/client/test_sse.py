"""Server-sent events: whole events out of any chunks, bounded memory."""

from __future__ import annotations

import time

import pytest

from ledger.client.sse import Event, Parser
from ledger.core.errors import FormatError, TooLargeError

STREAM = b": hello\n\nid: 5\nevent: head\ndata: {\ndata: }\n\n\n\ndata:x\nignored\n\n"
EVENTS = [Event("head", "{\n}", "5"), Event("message", "x", "")]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_do_not_depend_on_the_chunks(size: int) -> None:
    parser = Parser()
    assert [event for at in range(0, len(STREAM), size) for event in parser.feed(STREAM[at : at + size])] == EVENTS


def test_a_stream_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(FormatError):
        Parser().feed(b"data: \xff\n\n")


def test_an_endless_event_is_cut_off() -> None:
    parser = Parser(limit=100)
    assert parser.feed(b"x" * 60) == []
    with pytest.raises(TooLargeError):
        parser.feed(b"x" * 60)


def test_a_large_event_in_small_chunks_takes_linear_time() -> None:
    parser, start = Parser(), time.process_time()
    for _ in range(20_000):
        parser.feed(b"x" * 400)
    assert parser.feed(b"\n\n") == []
    assert time.process_time() - start < 5
