"""What the two processes of a master say to each other: it arrives as it was sent, in pieces of any size, and nonsense is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.backend import Placed, Refused
from ledger.core.errors import BusyError, ConflictError, FormatError, LedgerError, OutcomeUnknown, SizeMismatchError
from master.signing.wire import (
    LENGTH,
    MOST_ASKED,
    Ask,
    Command,
    Frames,
    append_frame,
    command_frame,
    error_of,
    parse_asked,
    parse_told,
    plain_error,
    plain_result,
    result_of,
    told_frame,
)

ASKS = st.builds(
    Ask,
    st.integers(0, 2**32 - 1),
    st.lists(st.binary(max_size=100), max_size=5).map(tuple),
    st.none() | st.integers(0, 2**62),
    st.booleans(),
    st.integers(1, 2**32 - 1),
)
COMMANDS = st.builds(Command, st.integers(0, 2**32 - 1), st.text(), st.dictionaries(st.text().filter(lambda name: name != "do"), st.text()))


def frame(asked: Ask | Command) -> bytes:
    return append_frame(asked) if isinstance(asked, Ask) else command_frame(asked)


@given(st.lists(ASKS | COMMANDS, max_size=5), st.integers(1, 400))
def test_what_is_asked_arrives_in_pieces_of_any_size(asked: list[Ask | Command], step: int) -> None:
    stream, frames = b"".join(map(frame, asked)), Frames(MOST_ASKED)
    pieces = [stream[start : start + step] for start in range(0, len(stream), step)]
    assert [parse_asked(payload) for piece in pieces for payload in frames.feed(piece)] == asked


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_mean_something(payload: bytes) -> None:
    try:
        asked = parse_asked(payload)
    except FormatError:
        return
    assert isinstance(asked, Command) or frame(asked)[LENGTH.size :] == payload


@given(ASKS, st.data())
def test_an_append_with_a_byte_more_or_less_is_refused(ask: Ask, data: st.DataObject) -> None:
    payload = append_frame(ask)[LENGTH.size :]
    cut = data.draw(st.integers(0, len(payload) - 1))
    for wrong in (payload[:cut], payload + b"x"):
        with pytest.raises(FormatError):
            parse_asked(wrong)


@pytest.mark.parametrize(
    "payload", [b"", b"x", b"c", b"c\0\0\0\1", b"c\0\0\0\1[]", b'c\0\0\0\1{"do":1}', b"a", b"a" + bytes(18) + b"\xff\xff"]
)
def test_nonsense_is_refused(payload: bytes) -> None:
    with pytest.raises(FormatError):
        parse_asked(payload)


def test_a_frame_that_is_too_long_is_refused_before_it_is_there() -> None:
    with pytest.raises(FormatError):
        Frames(100).feed(LENGTH.pack(101))


@pytest.mark.parametrize(
    "error",
    [
        BusyError("full", retry_after=0.75),
        OutcomeUnknown("perhaps", operation="ab"),
        SizeMismatchError("another size", size=7),
        ConflictError("no", advice="Do something else.", names=["a", "b"]),
    ],
)
def test_errors_arrive_as_they_were(error: LedgerError) -> None:
    (payload,) = Frames(MOST_ASKED).feed(told_frame([("failed", 1, plain_error(error))]))
    ((name, number, plain),) = parse_told(payload)
    other = error_of(plain)
    assert (name, number, type(other)) == ("failed", 1, type(error))
    assert (other.message, other.hint, other.context) == (error.message, error.hint, error.context)
    assert vars(other).get("retry_after") == vars(error).get("retry_after")


def test_what_is_not_plain_arrives_as_text() -> None:
    assert error_of(plain_error(ConflictError("no", what=ConflictError))).context == {"what": str(ConflictError)}


def test_results_arrive_as_they_were() -> None:
    placed = [Placed(1, "ab", b"receipt"), Placed(2, "cd")]
    assert [result_of(plain_result(one)) for one in placed] == placed
    refused = result_of(plain_result(Refused(SizeMismatchError("no", size=3))))
    assert isinstance(refused, Refused)
    assert isinstance(refused.error, SizeMismatchError)
