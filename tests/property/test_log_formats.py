"""Any bytes to the parsers of notes, checkpoints, receipts, tiles and trust files: the value that writes them, or FormatError."""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress
from typing import TYPE_CHECKING

from hypothesis import example, given
from hypothesis import strategies as st

from ledger.core.checkpoint import Checkpoint, parse_checkpoint
from ledger.core.errors import FormatError, SignatureError
from ledger.core.keys import PrivateKey, PublicKey
from ledger.core.limits import LIMITS
from ledger.core.merkle import MAX_SIZE
from ledger.core.note import (
    CLOCK_KIND,
    LOG_KIND,
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
from ledger.core.receipt import Receipt, parse_receipt
from ledger.core.tiles import TilePath, entry_bundles, frame, parse_tile_path, unframe
from ledger.core.trustfile import TrustPolicy, parse_trust_file, policy_of_keys

if TYPE_CHECKING:
    from collections.abc import Callable

SIGNER = PrivateKey(b"\x07" * 32)
HASHES = st.binary(min_size=32, max_size=32)
NAMES = st.text(st.characters(exclude_characters="+", exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=40).filter(
    lambda name: not any(one.isspace() for one in name)
)
TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=[chr(code) for code in range(32) if code != 10]), max_size=60
).map(lambda text: f"{text}\n")
LINES = st.builds(Line, NAMES, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=80))
NOTES = st.builds(Note, TEXTS, st.lists(LINES, min_size=1, max_size=4).map(tuple))
ORIGINS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=[chr(code) for code in range(32)]), min_size=1, max_size=60)
CHECKPOINTS = st.builds(Checkpoint, ORIGINS, st.integers(0, MAX_SIZE), HASHES)
KEYS = st.builds(VerifierKey, NAMES, st.sampled_from([LOG_KIND, CLOCK_KIND]), st.builds(PublicKey, HASHES))
SIGNED = st.builds(
    lambda checkpoint, lines: Note(checkpoint.text, tuple(lines)).encode(), CHECKPOINTS, st.lists(LINES, min_size=1, max_size=3)
)
RECEIPTS = st.builds(
    Receipt, st.integers(0, MAX_SIZE), st.lists(HASHES, max_size=64).map(tuple), SIGNED, st.binary(min_size=1, max_size=200)
)
PATHS = st.builds(TilePath, st.none() | st.integers(0, 63), st.integers(0, MAX_SIZE >> 8), st.integers(1, 256))
# Junk that looks like the real thing: pieces of the formats in any order.
PIECES = st.lists(
    st.sampled_from(
        [
            "\n",
            "\n\n",
            " ",
            "— ",
            "k",
            "+",
            "=",
            "AAAA",
            "0",
            "7",
            "tile/",
            "x001/",
            "/",
            "entries",
            ".p/",
            "extra ",
            "index ",
            "log ",
            "witness ",
            "group ",
            "quorum none",
            "\ud7ff",
            "\u2028",
            "\x85",
            "\t",
            "c2sp.org/tlog-proof@v1\n",
            "a\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        ]
    ),
    max_size=20,
).map("".join)
JUNK = st.binary(max_size=300) | PIECES.map(str.encode)
JUNK_TEXT = PIECES | st.text(max_size=100)


def reads_only_what_it_writes(parse: Callable[[bytes], Note | Receipt], raw: bytes) -> None:
    try:
        value = parse(raw)
    except FormatError:
        return
    assert value.encode() == raw


@given(NOTES)
def test_note_is_read_back_as_written(note: Note) -> None:
    assert parse_note(note.encode()) == note


@given(JUNK)
@example("\n\n— k MTIzNDU=\n".encode())
def test_any_bytes_are_a_note_or_a_format_error(raw: bytes) -> None:
    reads_only_what_it_writes(parse_note, raw)


@given(NOTES, st.data())
def test_note_with_one_byte_changed_is_another_note_or_none(note: Note, data: st.DataObject) -> None:
    raw = bytearray(note.encode())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    reads_only_what_it_writes(parse_note, bytes(raw))


@given(KEYS)
def test_verifier_key_is_read_back_as_written(key: VerifierKey) -> None:
    assert parse_vkey(key.text) == key


@given(JUNK_TEXT)
def test_any_text_is_a_verifier_key_or_a_format_error(text: str) -> None:
    with suppress(FormatError):
        assert parse_vkey(text).text == text


@given(st.text(max_size=24) | st.integers(0, 2**65).map(str))
def test_any_text_is_a_number_or_a_format_error(text: str) -> None:
    try:
        assert str(parse_decimal(text)) == text
    except FormatError:
        assert not (text.isascii() and text.isdigit() and str(int(text)) == text and int(text) <= MAX_SIZE)


@given(st.text(max_size=24) | st.binary(max_size=24).map(lambda raw: b64encode(raw).decode()))
def test_any_text_is_base64_or_a_format_error(text: str) -> None:
    with suppress(FormatError):
        assert b64encode(parse_base64(text)).decode() == text


@given(NOTES, st.lists(st.tuples(KEYS, st.binary(max_size=90)), max_size=3))
def test_hostile_lines_of_known_keys_never_verify(note: Note, claims: list[tuple[VerifierKey, bytes]]) -> None:
    forged = note.with_lines(*(Line(key.name, key.key_id, signature) for key, signature in claims))
    for (key, _), line in zip(claims, forged.lines[len(note.lines) :], strict=True):
        assert not check_line(forged, line, key)
    keys = [key for key, _ in claims]
    try:
        assert good_lines(forged, keys) == {}
    except SignatureError:
        assert keys


@given(CHECKPOINTS, NAMES, st.integers(0, MAX_SIZE))
def test_own_lines_verify_and_keep_the_time(checkpoint: Checkpoint, name: str, time: int) -> None:
    text = checkpoint.text
    note = parse_note(Note(text, (log_line(text, name, SIGNER), clock_line(text, name, SIGNER, time))).encode())
    keys = [VerifierKey(name, kind, SIGNER.public) for kind in (LOG_KIND, CLOCK_KIND)]
    assert good_lines(note, keys) == dict(zip(keys, note.lines, strict=True))
    assert line_time(note.lines[1]) == time


@given(CHECKPOINTS)
def test_checkpoint_is_read_back_as_written(checkpoint: Checkpoint) -> None:
    assert parse_checkpoint(checkpoint.text) == checkpoint


@given(JUNK_TEXT)
def test_any_text_is_a_checkpoint_or_a_format_error(text: str) -> None:
    with suppress(FormatError):
        assert parse_checkpoint(text).text == text


@given(RECEIPTS)
def test_receipt_is_read_back_as_written(receipt: Receipt) -> None:
    assert parse_receipt(receipt.encode()) == receipt


@given(RECEIPTS, st.data())
def test_receipt_with_a_piece_changed_is_another_or_none(receipt: Receipt, data: st.DataObject) -> None:
    raw = receipt.encode()
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, len(raw)))
    reads_only_what_it_writes(parse_receipt, raw[:start] + data.draw(JUNK) + raw[end:])


@given(PATHS)
def test_tile_path_is_read_back_as_written(path: TilePath) -> None:
    assert parse_tile_path(path.text) == path


@given(JUNK_TEXT)
def test_any_text_is_a_tile_path_or_a_format_error(text: str) -> None:
    with suppress(FormatError):
        assert parse_tile_path(text).text == text


@given(st.integers(0, 2_000), st.integers(0, 2_000), st.integers(0, 2_000))
def test_bundles_cover_exactly_the_range_that_the_log_has(start: int, end: int, size: int) -> None:
    paths = list(entry_bundles(start, end, size))
    held = [index for path in paths for index in range(path.start, path.end)]
    assert held == sorted(set(held))
    assert set(range(start, min(end, size))) <= set(held) <= set(range(size))
    assert all(path.end > start and path.start < end for path in paths)


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_entries_are_unframed_as_framed(entries: list[bytes]) -> None:
    assert unframe(frame(entries)) == entries


@given(st.binary(max_size=200), st.integers(0, 5))
def test_any_bytes_are_framed_entries_or_a_format_error(raw: bytes, most: int) -> None:
    try:
        entries = unframe(raw, most)
    except FormatError:
        return
    assert len(entries) <= most
    assert frame(entries) == raw


@given(st.lists(st.builds(PublicKey, HASHES), max_size=6, unique_by=lambda key: key.raw), st.integers(0, 6), st.integers(0, 3))
def test_trust_file_is_read_back_as_written(publics: list[PublicKey], quorum: int, clocks: int) -> None:
    keys = [VerifierKey("w", CLOCK_KIND, public) for public in publics]
    try:
        policy = policy_of_keys([VerifierKey("o", LOG_KIND, SIGNER.public)], clocks=keys[:clocks], witnesses=keys, quorum=quorum)
    except FormatError:
        assert quorum > len(keys[clocks:])
        return
    assert parse_trust_file(policy.encode()) == policy


TRUST_WORDS = st.sampled_from(
    [
        "log",
        "witness",
        "group",
        "quorum",
        "none",
        "any",
        "all",
        "1",
        "2",
        "a",
        "b",
        "g",
        "#",
        VerifierKey("a", LOG_KIND, SIGNER.public).text,
        VerifierKey("a", CLOCK_KIND, SIGNER.public).text,
    ]
)
TRUST_FILES = st.lists(st.lists(TRUST_WORDS, max_size=5).map(" ".join), max_size=6).map(lambda lines: "\n".join(lines).encode())


def known_names(policy: TrustPolicy) -> set[str]:
    return {"none", *policy.witnesses, *(group.name for group in policy.groups)}


@given(JUNK | TRUST_FILES)
def test_any_bytes_are_a_trust_file_or_a_format_error(raw: bytes) -> None:
    try:
        policy = parse_trust_file(raw)
    except FormatError:
        return
    assert parse_trust_file(policy.encode()) == policy
    assert policy.quorum in known_names(policy)


@given(TRUST_FILES, CHECKPOINTS, st.lists(LINES, min_size=1, max_size=3))
def test_no_policy_accepts_a_note_that_no_log_signed(raw: bytes, checkpoint: Checkpoint, lines: list[Line]) -> None:
    try:
        policy = parse_trust_file(raw)
    except FormatError:
        return
    try:
        policy.verify_note(Note(checkpoint.text, tuple(lines)))
    except SignatureError:
        return
    raise AssertionError("accepted")


def test_note_full_of_lines_is_read_in_bounded_work() -> None:
    line = "— k MTIzNDU=\n".encode()
    raw = b"t\n\n" + line * ((LIMITS.note - 3) // len(line))
    assert len(parse_note(raw).lines) == (LIMITS.note - 3) // len(line)
