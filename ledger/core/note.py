"""Signed notes and verifier keys (C2SP signed-note), with the Ed25519 lines of logs (0x01) and clocks or witnesses (0x04).

A Note is text plus signature lines; parsing says nothing about who signed. Lines of unknown keys are kept and ignored.
Spec: https://c2sp.org/signed-note, https://c2sp.org/tlog-cosignature
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from ledger.core.errors import FormatError, SignatureError
from ledger.core.keys import PublicKey
from ledger.core.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger.core.ports import Signer

LOG_KIND = 0x01
CLOCK_KIND = 0x04
MAX_TIME = 2**63 - 1

_SIGNATURE = 64
_KEY = 32
_KEY_ID = 4
_TIME = 8
_DASH = "— "
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_NAME = re.compile(r"[^\s+\x00-\x1f\ud800-\udfff]{1,255}")
_VKEY_ID = re.compile(r"[0-9a-f]{8}")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


def parse_base64(text: str) -> bytes:
    """Return the bytes of `text`, base64 as in FORMATS 1. FormatError unless it is what those bytes encode to."""
    try:
        raw = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        raise FormatError("this is not base64") from None
    if b64encode(raw).decode() != text:
        raise FormatError("this base64 is not in its one spelling")
    return raw


def parse_decimal(text: str) -> int:
    """Return the number written as ASCII digits without leading zeros, at most 2**63 - 1. FormatError otherwise."""
    if not _DECIMAL.fullmatch(text) or int(text) > MAX_TIME:
        raise FormatError("this is not a decimal number below 2**63")
    return int(text)


def key_id(name: str, kind: int, public: PublicKey) -> bytes:
    """Return the four bytes that name a key in signature lines."""
    return sha256(name.encode() + b"\n" + bytes((kind,)) + public.raw).digest()[:_KEY_ID]


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A named Ed25519 key of kind 0x01 or 0x04; `text` is its vkey. FormatError for a bad name or another kind."""

    name: str
    kind: int
    public: PublicKey
    key_id: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise FormatError("a key name has 1 to 255 characters, none of them a space, a plus or a control character")
        if self.kind not in {LOG_KIND, CLOCK_KIND}:
            raise FormatError(f"keys of kind {self.kind} are not known here")
        object.__setattr__(self, "key_id", key_id(self.name, self.kind, self.public))

    @property
    def text(self) -> str:
        """Return the vkey."""
        return f"{self.name}+{self.key_id.hex()}+{b64encode(bytes((self.kind,)) + self.public.raw).decode()}"


def parse_vkey(text: str) -> VerifierKey:
    """Return the key that a vkey names. FormatError if it is no vkey, of an unknown kind, or its id is not its own."""
    parts = text.split("+", 2)
    if len(parts) != 3 or not _VKEY_ID.fullmatch(parts[1]):  # noqa: PLR2004 - name, id, key
        raise FormatError("a verifier key is NAME+ID+BASE64")
    raw = parse_base64(parts[2])
    if len(raw) != 1 + _KEY:
        raise FormatError("a verifier key holds one kind byte and 32 bytes of key")
    key = VerifierKey(parts[0], raw[0], PublicKey(raw[1:]))
    if key.key_id.hex() != parts[1]:
        raise FormatError("the id of this verifier key is not that of its name and key")
    return key


@dataclass(frozen=True, slots=True)
class Line:
    """One signature line. For kind 0x04 `signature` begins with 8 bytes of time."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def text(self) -> str:
        """Return the line without its newline."""
        return f"{_DASH}{self.name} {b64encode(self.key_id + self.signature).decode()}"


@dataclass(frozen=True, slots=True)
class Note:
    """Signed text (it ends in a newline) and its lines, in order."""

    text: str
    lines: tuple[Line, ...] = ()

    def encode(self) -> bytes:
        """Return the bytes of the note. FormatError for a note without lines."""
        if not self.lines:
            raise FormatError("a note without a signature line cannot be written")
        return "".join((self.text, "\n", *(f"{line.text}\n" for line in self.lines))).encode()

    def lines_of(self, key: VerifierKey) -> list[Line]:
        """Return the lines that name `key`, good or bad."""
        return [line for line in self.lines if line.name == key.name and line.key_id == key.key_id]

    def with_lines(self, *lines: Line) -> Note:
        """Return the note with `lines` after its own."""
        return Note(self.text, self.lines + lines)


def parse_note(raw: bytes) -> Note:
    """Return the note in `raw`, at most Limits.note bytes. FormatError unless `encode` gives `raw` back."""
    if len(raw) > LIMITS.note:
        raise FormatError(f"a note has at most {LIMITS.note} bytes")
    try:
        whole = raw.decode()
    except UnicodeDecodeError:
        raise FormatError("a note is UTF-8") from None
    if _CONTROL.search(whole):
        raise FormatError("a note has no control characters")
    head, gap, tail = whole.rpartition("\n\n")
    if not gap or not tail.endswith("\n"):
        raise FormatError("a note is text, an empty line, and signature lines")
    return Note(f"{head}\n", tuple(_parse_line(line) for line in tail[:-1].split("\n")))


def _parse_line(text: str) -> Line:
    name, gap, encoded = text.removeprefix(_DASH).partition(" ")
    if not text.startswith(_DASH) or not gap or not _NAME.fullmatch(name):
        raise FormatError("a signature line is a dash, a key name and base64")
    raw = parse_base64(encoded)
    if len(raw) <= _KEY_ID:
        raise FormatError("a signature line holds a key id and a signature")
    return Line(name, raw[:_KEY_ID], raw[_KEY_ID:])


def _clock_message(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def log_line(text: str, name: str, signer: Signer, key_id: bytes | None = None) -> Line:
    """Return the line of a log key named `name` over `text`. `key_id`: of that key, from a caller that signs often."""
    known = VerifierKey(name, LOG_KIND, signer.public).key_id if key_id is None else key_id
    return Line(name, known, signer.sign(text.encode()))


def clock_line(text: str, name: str, signer: Signer, time: int, key_id: bytes | None = None) -> Line:
    """Return the line of a clock key or witness named `name` over `text` at `time` (seconds since 1970). `key_id`: as above."""
    if not 0 <= time <= MAX_TIME:
        raise FormatError(f"{time} is no time")
    signature = signer.sign(_clock_message(text, time))
    known = VerifierKey(name, CLOCK_KIND, signer.public).key_id if key_id is None else key_id
    return Line(name, known, time.to_bytes(_TIME) + signature)


def line_time(line: Line) -> int:
    """Return the time in a line of kind 0x04, verified or not. FormatError if it holds none."""
    time = int.from_bytes(line.signature[:_TIME])
    if len(line.signature) != _TIME + _SIGNATURE or time > MAX_TIME:
        raise FormatError("this line holds no time")
    return time


def check_line(note: Note, line: Line, key: VerifierKey) -> bool:
    """Tell whether `line` is a good line of `key` over the text of `note`."""
    if (line.name, line.key_id) != (key.name, key.key_id):
        return False
    if key.kind == LOG_KIND:
        return len(line.signature) == _SIGNATURE and key.public.verify(line.signature, note.text.encode())
    try:
        time = line_time(line)
    except FormatError:
        return False
    return key.public.verify(line.signature[_TIME:], _clock_message(note.text, time))


def good_lines(note: Note, keys: Iterable[VerifierKey]) -> dict[VerifierKey, Line]:
    """Return the line of each known key; of two lines of one key the first counts. Keys without a line are not in it.

    Raise SignatureError when any line of a known key is bad.
    """
    found = {}
    for key in keys:
        lines = note.lines_of(key)
        if not all(check_line(note, line, key) for line in lines):
            raise SignatureError(f"a line of {key.name} is not a signature of this note", key=key.text)
        if lines:
            found[key] = lines[0]
    return found
