"""Signed notes, verifier keys and the two kinds of lines."""

from __future__ import annotations

import base64
from dataclasses import replace
from hashlib import sha256

import pytest

from ledger.core.errors import FormatError, SignatureError
from ledger.core.keys import PrivateKey, PublicKey
from ledger.core.limits import LIMITS
from ledger.core.note import (
    CLOCK_KIND,
    LOG_KIND,
    MAX_TIME,
    Line,
    Note,
    VerifierKey,
    check_line,
    clock_line,
    good_lines,
    line_time,
    log_line,
    parse_base64,
    parse_decimal,
    parse_note,
    parse_vkey,
)

# The example of https://c2sp.org/signed-note
SPEC_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()
TEXT = "log.example/one\n3\nAAAA\n"
NAME = "log.example/one"
LOG = PrivateKey(bytes(31) + b"\x01")
CLOCK = PrivateKey(bytes(31) + b"\x02")
LOG_KEY = VerifierKey(NAME, LOG_KIND, LOG.public)
CLOCK_KEY = VerifierKey(f"{NAME}/clock", CLOCK_KIND, CLOCK.public)


def signed() -> Note:
    return Note(TEXT, (log_line(TEXT, NAME, LOG), clock_line(TEXT, f"{NAME}/clock", CLOCK, 1_700_000_000)))


def test_example_of_the_specification_verifies() -> None:
    key, note = parse_vkey(SPEC_VKEY), parse_note(SPEC_NOTE)
    assert key.text == SPEC_VKEY
    assert note.text == "This is an example message.\n"
    assert check_line(note, note.lines[0], key)
    assert note.encode() == SPEC_NOTE
    assert not check_line(replace(note, text="Another.\n"), note.lines[0], key)


def test_note_is_read_back_as_written() -> None:
    note = signed()
    assert parse_note(note.encode()) == note
    assert note.encode().decode().startswith(f"{TEXT}\n— {NAME} ")


def test_text_may_hold_empty_lines() -> None:
    note = Note("a\n\n\nb\n", (Line("k", b"1234", b"5"),))
    assert parse_note(note.encode()) == note


def test_with_lines_adds_after_what_is_there() -> None:
    first, second = signed().lines
    assert Note(TEXT).with_lines(first).with_lines(second) == signed()


def test_note_without_lines_is_not_written() -> None:
    with pytest.raises(FormatError, match="without a signature line"):
        Note(TEXT).encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"text\n",
        b"text\n\n",
        "text\n\n— k MTIzNDU=".encode(),
        "text\n\n— k MTIzNDU=x".encode(),
        "— k MTIzNDU=\n".encode(),
        "text\n— k MTIzNDU=\n".encode(),
        b"text\n\n- k MTIzNDU=\n",
        "text\n\n—k MTIzNDU=\n".encode(),
        "text\n\n—  MTIzNDU=\n".encode(),
        "text\n\n— k\n".encode(),
        "text\n\n— k+ MTIzNDU=\n".encode(),
        "text\n\n— k\u2003k MTIzNDU=\n".encode(),
        "text\n\n— k MTIzNA==\n".encode(),
        "text\n\n— k MTIzNDV=\n".encode(),
        "text\n\n— k MTIzNDU\n".encode(),
        "text\n\n— k MTIz NDU=\n".encode(),
        "text\n\n— k MTIzNDU= \n".encode(),
        "text\n\n— k \u0661\u0662\u0663\u0664\n".encode(),
        "te\txt\n\n— k MTIzNDU=\n".encode(),
        "text\r\n\n— k MTIzNDU=\n".encode(),
        "te\x00xt\n\n— k MTIzNDU=\n".encode(),
        b"te\xffxt\n\n\xe2\x80\x94 k MTIzNDU=\n",
        b"te\xed\xa0\x80xt\n\n\xe2\x80\x94 k MTIzNDU=\n",
        ("x" * LIMITS.note + "\n\n— k MTIzNDU=\n").encode(),
    ],
)
def test_bytes_that_are_no_note_are_refused(raw: bytes) -> None:
    with pytest.raises(FormatError):
        parse_note(raw)


def test_note_of_the_largest_size_is_read() -> None:
    tail = "\n\n— k MTIzNDU=\n".encode()
    raw = b"x" * (LIMITS.note - len(tail)) + tail
    assert parse_note(raw).encode() == raw


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/foo",
        "example.com/foo+530d903a",
        SPEC_VKEY.replace("530d903a", "530d903b"),
        SPEC_VKEY.replace("530d903a", "530D903A"),
        SPEC_VKEY.replace("530d903a", "530d903a\n"),
        SPEC_VKEY.replace("example", "examples"),
        SPEC_VKEY.replace("example.com", "example com"),
        SPEC_VKEY.replace("+Aeky", "+BOky"),
        SPEC_VKEY.replace("+Aeky", "+Aeky+"),
        SPEC_VKEY.removesuffix("k") + "l",
        SPEC_VKEY + "\n",
        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "k+530d903a+AQ==",
        "k+530d903a+",
        "\ud800+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "k" * 256 + "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ],
)
def test_text_that_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        parse_vkey(text)


def test_verifier_key_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(FormatError, match="kind 6"):
        VerifierKey("k", 6, LOG.public)


def test_key_id_covers_name_kind_and_key() -> None:
    keys = [LOG_KEY, replace(LOG_KEY, name="other"), replace(LOG_KEY, kind=CLOCK_KIND), replace(LOG_KEY, public=CLOCK.public)]
    assert len({key.key_id for key in keys}) == 4
    assert [parse_vkey(key.text) for key in keys] == keys


def test_kinds_are_those_that_the_specifications_assign() -> None:
    assert base64.b64decode(LOG_KEY.text.split("+", 2)[2]) == b"\x01" + LOG.public.raw
    assert base64.b64decode(CLOCK_KEY.text.split("+", 2)[2]) == b"\x04" + CLOCK.public.raw
    assert CLOCK_KEY.key_id == sha256(CLOCK_KEY.name.encode() + b"\n\x04" + CLOCK.public.raw).digest()[:4]


def test_plus_in_the_base64_of_a_verifier_key_is_part_of_it() -> None:
    key = VerifierKey("k", LOG_KIND, PublicKey(b"\xef\xbe" + b"\xfb\xef\xbe" * 10))
    assert key.text.count("+") > 2
    assert parse_vkey(key.text) == key


def test_clock_line_signs_the_cosignature_message() -> None:
    line = signed().lines[1]
    assert len(line.signature) == 72
    assert line_time(line) == 1_700_000_000
    assert CLOCK.public.verify(line.signature[8:], f"cosignature/v1\ntime 1700000000\n{TEXT}".encode())
    assert check_line(signed(), line, CLOCK_KEY)


def test_line_is_good_only_for_its_own_text_key_and_time() -> None:
    note = signed()
    log, clock = note.lines
    assert check_line(note, log, LOG_KEY)
    assert not check_line(note, log, CLOCK_KEY)
    assert not check_line(note, clock, LOG_KEY)
    other = Note(TEXT + "more\n", note.lines)
    assert not check_line(other, log, LOG_KEY)
    assert not check_line(other, clock, CLOCK_KEY)
    later = replace(clock, signature=(1_700_000_001).to_bytes(8) + clock.signature[8:])
    assert not check_line(note, later, CLOCK_KEY)
    assert not check_line(note, replace(log, name="other"), LOG_KEY)
    assert not check_line(note, replace(log, key_id=b"abcd"), LOG_KEY)


@pytest.mark.parametrize(
    "signature", [b"", b"x" * 63, b"x" * 65, b"x" * 72, bytes(8) + b"x" * 63, b"\x80" + bytes(71), b"\x7f" + b"\xff" * 71]
)
def test_signature_of_a_wrong_form_is_bad_and_no_error(signature: bytes) -> None:
    note = signed()
    for line, key in zip(note.lines, (LOG_KEY, CLOCK_KEY), strict=True):
        assert not check_line(note, replace(line, signature=signature), key)


def test_log_key_used_as_clock_key_does_not_cross() -> None:
    twin = VerifierKey(NAME, CLOCK_KIND, LOG.public)
    line = log_line(TEXT, NAME, LOG)
    forged = Line(NAME, twin.key_id, bytes(8) + line.signature)
    assert not check_line(signed(), forged, twin)


def test_time_in_a_line() -> None:
    assert line_time(clock_line(TEXT, "c", CLOCK, 0)) == 0
    assert line_time(clock_line(TEXT, "c", CLOCK, MAX_TIME)) == MAX_TIME
    for time in (-1, MAX_TIME + 1):
        with pytest.raises(FormatError, match="is no time"):
            clock_line(TEXT, "c", CLOCK, time)
    for signature in (b"\x80" + bytes(71), bytes(71), bytes(73)):
        with pytest.raises(FormatError, match="holds no time"):
            line_time(Line("c", b"abcd", signature))


def test_lines_are_not_made_under_a_bad_name() -> None:
    with pytest.raises(FormatError, match="a key name"):
        log_line(TEXT, "two words", LOG)
    with pytest.raises(FormatError, match="a key name"):
        clock_line(TEXT, "", CLOCK, 1)


def test_good_lines_knows_lines_by_key_and_ignores_the_rest() -> None:
    stranger = log_line(TEXT, NAME, CLOCK)
    note = signed().with_lines(stranger)
    assert good_lines(note, [LOG_KEY, CLOCK_KEY]) == {LOG_KEY: note.lines[0], CLOCK_KEY: note.lines[1]}
    assert good_lines(note, []) == {}
    assert good_lines(Note(TEXT, (stranger,)), [LOG_KEY, CLOCK_KEY]) == {}


def test_bad_line_of_a_known_key_is_an_error_that_names_it() -> None:
    note = signed()
    bad = replace(note.lines[0], signature=bytes(64))
    with pytest.raises(SignatureError, match=r"a line of log\.example/one is not a signature") as caught:
        good_lines(Note(TEXT, (bad, note.lines[1])), [CLOCK_KEY, LOG_KEY])
    assert caught.value.context == {"key": LOG_KEY.text}


def test_of_two_lines_of_one_key_the_first_counts() -> None:
    older, newer = (clock_line(TEXT, CLOCK_KEY.name, CLOCK, time) for time in (1, 2))
    assert good_lines(Note(TEXT, (older, newer)), [CLOCK_KEY]) == {CLOCK_KEY: older}
    bad = replace(newer, signature=bytes(72))
    for lines in ((older, bad), (bad, older)):
        with pytest.raises(SignatureError):
            good_lines(Note(TEXT, lines), [CLOCK_KEY])


def test_base64_has_one_spelling() -> None:
    assert parse_base64("") == b""
    assert parse_base64(base64.b64encode(b"\xfb\xff").decode()) == b"\xfb\xff"
    for text in ("AA", "AA=", "AB==", "AA==\n", "A A=", "-_8=", "AA==AA==", "é", "\udc80", "AA=\x00"):
        with pytest.raises(FormatError):
            parse_base64(text)


def test_decimal_has_one_spelling() -> None:
    assert [parse_decimal(text) for text in ("0", "10", str(MAX_TIME))] == [0, 10, MAX_TIME]
    for text in ("", "00", "01", "+1", "-1", " 1", "1\n", "1_0", "\u0661", str(MAX_TIME + 1), "9" * 5_000):
        with pytest.raises(FormatError):
            parse_decimal(text)
