"""Batches of entries as chains hold them (FORMATS 11; ADR 0080 fixes codec 0x02).

A batch is one codec byte and what that codec makes of 1 to 1,000 entries. Whatever is not exactly that holds no entries: `decode` says
so by FormatError, and a reader goes on. Every step is bounded before it is taken; no batch inflates beyond 4 MiB.

Codec 0x02 is `0x02 ‖ varint(length of C) ‖ C ‖ raw`. C is one zstd frame (RFC 8878) of a single segment that states its content's size,
without checksum and dictionary id, written with the frozen dictionary as raw content. Inflated it is, varints being LEB128 of at most 4
bytes without needless ones, and lines ending by 0x0A, at most 300,000 of them from the keyids on:

    number of entries, number of shapes, the shapes, one a line,
    for each entry the number of its shape, from 1; 0 for one that stands verbatim,
    for each entry with a shape its number of signatures, one byte,
    for each verbatim entry its length and bytes,
    for each signature the token of its keyid, one a line,
    for each column, in the order in which shapes name them, the values of all entries, one a line.

Entries with a shape take from `raw` in their order: the hex of their values, then per signature the keyid's if it is new, and 64 bytes.
"""

from __future__ import annotations

import zlib
from itertools import chain
from typing import TYPE_CHECKING, Final

import zstandard

from blockchain_adapters.columns import HOLE, TokenReader, TokenWriter, columns_of, cut
from blockchain_adapters.dictionary import DICTIONARY
from ledger.core.envelope import Signature, parse_envelope, seal
from ledger.core.errors import FormatError, TooLargeError
from ledger.core.limits import LIMITS
from ledger.core.tiles import frame, unframe

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ledger.core.envelope import Envelope

PLAIN: Final = 0x01
PACKED: Final = 0x02
LEVEL: Final = 17  # a batch of 100 in 1 ms; the levels above take twice as long for the same size

_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_CHOICES: Final = 0x3F  # of the frame header's descriptor, all but how many bytes state the size (RFC 8878, 3.1.1.1.1)
_SINGLE_SEGMENT: Final = 0x20
_LINE: Final = b"\n"
_VERBATIM: Final = 0
_MAX_LINES: Final = 300_000  # 1,000 entries of 256 values and 16 signers, with room
_MORE: Final = 0x80  # in a byte of a number: another one follows
_MAX_VARINT: Final = 4


def encode(entries: Sequence[bytes]) -> bytes:
    """Return a packed batch of 1 to 1,000 entries. TooLargeError when they are more than a batch holds, or none."""
    if not 1 <= len(entries) <= LIMITS.batch_entries or sum(map(len, entries)) + 2 * len(entries) > LIMITS.inflated:
        raise TooLargeError(f"a batch holds 1 to {LIMITS.batch_entries} entries of together at most {LIMITS.inflated} bytes")
    tokens, raw = _pack(entries)
    compressor = zstandard.ZstdCompressor(level=LEVEL, dict_data=_dictionary(), write_content_size=True, write_checksum=False)
    frame_of_tokens = compressor.compress(tokens)
    return b"".join((bytes([PACKED]), _varint(len(frame_of_tokens)), frame_of_tokens, raw))


def encode_fitting(entries: Sequence[bytes], most: int) -> tuple[bytes, int]:
    """Return the batch of as many entries as fit into `most` bytes, and how many. TooLargeError when the first alone does not."""
    taken = len(entries)
    while taken:
        batch = encode(entries[:taken])
        if len(batch) <= most:
            return batch, taken
        if taken == 1:
            raise TooLargeError(f"one entry takes {len(batch)} bytes of a transaction, and {most} fit")
        taken = max(1, min(taken - 1, taken * most * 19 // (len(batch) * 20)))
    return b"", 0


def encode_plain(entries: Sequence[bytes]) -> bytes:
    """Return a batch by codec 0x01: the framed entries as one zlib stream."""
    return bytes([PLAIN]) + zlib.compress(frame(entries), 9)


def decode(batch: bytes) -> list[bytes]:
    """Return the entries of a batch; an empty one has none. FormatError for a batch that is not well-formed: it holds none either."""
    if not batch:
        return []
    if batch[0] == PLAIN:
        entries = unframe(_inflate(batch[1:]), LIMITS.batch_entries)
    elif batch[0] == PACKED:
        entries = _unpack(batch[1:])
    else:
        raise FormatError(f"codec {batch[0]:#04x} is not known")
    if not entries:
        raise FormatError("a batch holds at least one entry")
    return entries


def _inflate(stream: bytes) -> bytes:
    inflator = zlib.decompressobj()
    try:
        raw = inflator.decompress(stream, LIMITS.inflated + 1)
    except zlib.error as error:
        raise FormatError("not one zlib stream") from error
    if len(raw) > LIMITS.inflated or not inflator.eof or inflator.unused_data:
        raise FormatError("not one whole zlib stream of at most 4 MiB")
    return raw


def _dictionary() -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(DICTIONARY, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


# -- packing ---------------------------------------------------------------------------------------------------------


def _pack(entries: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return the text to compress and the raw bytes beside it."""
    shapes: dict[bytes, tuple[int, list[list[bytes]]]] = {}
    columns: dict[bytes, list[bytes]] = {}
    numbers, counts, verbatim, signers = bytearray(), bytearray(), bytearray(), list[bytes]()
    writer = TokenWriter()
    for entry in entries:
        found = _cut(entry)
        if found is None:
            numbers += _varint(_VERBATIM)
            verbatim += _varint(len(entry)) + entry
            continue
        envelope, shape, values = found
        if shape not in shapes:
            shapes[shape] = len(shapes) + 1, [columns.setdefault(name, []) for name in columns_of(shape)]
        number, filled = shapes[shape]
        numbers += _varint(number)
        for column, token in zip(filled, writer.values(envelope.payload, shape, values), strict=True):
            column.append(token)
        counts.append(len(envelope.signatures))
        signers += [writer.hex(one.keyid.encode()) for one in envelope.signatures]
        writer.raw += b"".join([one.sig for one in envelope.signatures])
    lines = [*signers, *chain.from_iterable(columns.values())]
    head = _varint(len(entries)) + _varint(len(shapes)) + _lines(shapes)
    return b"".join((head, bytes(numbers), bytes(counts), bytes(verbatim), _lines(lines))), bytes(writer.raw)


def _cut(entry: bytes) -> tuple[Envelope, bytes, list[bytes]] | None:
    try:
        envelope = parse_envelope(entry)
    except FormatError:
        return None
    found = cut(envelope.payload)
    return None if found is None else (envelope, *found)


def _lines(lines: Collection[bytes]) -> bytes:
    text = _LINE.join(lines)
    return text + _LINE if lines else text


def _varint(number: int) -> bytes:
    """Return a number as LEB128."""
    text = bytearray()
    while number >= _MORE:
        text.append(number % _MORE | _MORE)
        number >>= 7
    return bytes([*text, number])


# -- unpacking -------------------------------------------------------------------------------------------------------


class _Text:
    """The inflated text, read from its start."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self.at = 0

    def varint(self) -> int:
        number = 0
        for place in range(_MAX_VARINT):
            [byte] = self.take(1)
            number |= byte % _MORE << 7 * place
            if byte < _MORE:
                if byte == 0 and place:
                    break
                return number
        raise FormatError("not a number in its one spelling")

    def take(self, count: int) -> bytes:
        self.at += count
        if self.at > len(self._text):
            raise FormatError("the packed text ends too early")
        return self._text[self.at - count : self.at]

    def line(self) -> bytes:
        end = self._text.find(_LINE, self.at)
        if end < 0:
            raise FormatError("the packed text ends too early")
        return self.take(end + 1 - self.at)[:-1]

    def rest(self) -> list[bytes]:
        """Return the lines up to the end."""
        if self._text.count(_LINE, self.at) > _MAX_LINES:
            raise FormatError("the packed text has too many lines")
        *lines, last = self._text[self.at :].split(_LINE)
        if last:
            raise FormatError("the last line does not end")
        return lines


def _unpack(batch: bytes) -> list[bytes]:
    outer = _Text(batch)
    text = _Text(_decompress(outer.take(outer.varint())))
    count, shapes_count = text.varint(), text.varint()
    if count > LIMITS.batch_entries or shapes_count > count:
        raise FormatError(f"a batch holds at most {LIMITS.batch_entries} entries, and no more shapes")
    shapes = [text.line() for _ in range(shapes_count)]
    if max(map(len, shapes), default=0) > LIMITS.entry:
        raise FormatError("a shape is longer than an entry")
    numbers = [text.varint() for _ in range(count)]
    if max(numbers, default=0) > shapes_count:
        raise FormatError("a shape that is not there")
    signed = iter(text.take(count - numbers.count(_VERBATIM)))
    counts = [0 if number == _VERBATIM else next(signed) for number in numbers]
    verbatim = [text.take(text.varint()) for number in numbers if number == _VERBATIM]
    layout = _Layout(shapes, numbers, counts, text.rest())
    return layout.entries(iter(verbatim), TokenReader(batch[outer.at :]))


def _decompress(frame_of_tokens: bytes) -> bytes:
    # Readers must agree on every byte, and zstd's decoders differ on what a frame may ask for: so a frame asks for nothing.
    if frame_of_tokens[:4] != _MAGIC or len(frame_of_tokens) <= len(_MAGIC) or frame_of_tokens[4] & _CHOICES != _SINGLE_SEGMENT:
        raise FormatError("not a frame of one segment that states its size, without checksum and dictionary id")
    try:
        if not 0 <= zstandard.frame_content_size(frame_of_tokens) <= LIMITS.inflated:
            raise FormatError("the frame does not state a size of at most 4 MiB")
        return zstandard.ZstdDecompressor(dict_data=_dictionary()).decompress(frame_of_tokens, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise FormatError("not one zstd frame") from error


class _Layout:
    """Which line belongs to which hole of which entry. FormatError unless the lines fill them exactly."""

    def __init__(self, shapes: list[bytes], numbers: list[int], counts: list[int], lines: list[bytes]) -> None:
        self._numbers, self._counts = numbers, counts
        self._pieces = [shape.split(HOLE) for shape in shapes]
        names = [columns_of(shape) for shape in shapes]
        lengths = {name: 0 for columns in names for name in columns}
        for number in numbers:
            for name in names[number - 1] if number else ():
                lengths[name] += 1
        at = sum(counts)
        self._signers = iter(lines[:at])
        columns = {}
        for name, length in lengths.items():
            columns[name] = iter(lines[at : at + length])
            at += length
        if at != len(lines):
            raise FormatError("the lines do not fill the columns")
        self._columns = [[columns[name] for name in one] for one in names]

    def entries(self, verbatim: Iterable[bytes], reader: TokenReader) -> list[bytes]:
        """Return the entries. They are bounded together as what codec 0x01 inflates."""
        waiting = iter(verbatim)
        entries: list[bytes] = []
        size = 0
        for number, count in zip(self._numbers, self._counts, strict=True):
            entries.append(next(waiting) if number == _VERBATIM else self._packed(number - 1, count, reader))
            size += len(entries[-1]) + 2
            if size > LIMITS.inflated or len(entries[-1]) > LIMITS.entry:
                raise FormatError("the entries are too large")
        if not reader.exhausted:
            raise FormatError("raw bytes are left over")
        return entries

    def _packed(self, shape: int, count: int, reader: TokenReader) -> bytes:
        payload = reader.payload(self._pieces[shape], [next(column) for column in self._columns[shape]])
        keyids = [reader.value(next(self._signers)).decode() for _ in range(count)]
        signatures = [Signature(keyid, reader.take(64)) for keyid in keyids]
        if signatures != sorted(signatures):
            raise FormatError("signatures stand in ascending order of keyid")
        return seal(payload, signatures).entry
