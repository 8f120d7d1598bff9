"""unpack_batch.py: read a batch (FORMATS 11) with nothing of this project, to see that the text of ADR 0080 is enough.

    python tests/conformance/unpack_batch.py DICTIONARY < BATCH > ENTRIES     (framed as in tlog-tiles; exit 1: it holds none)

Needs Python and the `zstandard` package. Written from the text, not from the code: where the two differ, one of them is wrong.
"""

from __future__ import annotations

import base64
import hashlib
import re
import sys
import zlib
from itertools import pairwise
from pathlib import Path

import zstandard

MOST = 4 << 20
TAIL = re.compile(rb',"by":"[^"\\]*","iat":"[^"\\]*","id":"","kind":"([^"\\]*)","ledger":"[^"\\]*","op":"[^"\\]*","prev":[^,]*,"v":1\}\Z')


class HoldsNoneError(Exception):
    """The batch is not well-formed."""


def need(condition: object) -> None:
    if not condition:
        raise HoldsNoneError


class Bytes:
    """Bytes read from the front."""

    def __init__(self, text: bytes) -> None:
        self.text = text

    def take(self, count: int) -> bytes:
        need(count <= len(self.text))
        taken, self.text = self.text[:count], self.text[count:]
        return taken

    def number(self) -> int:
        value = 0
        for place in range(4):
            byte = self.take(1)[0]
            value += (byte & 127) << 7 * place
            if byte < 128:
                need(byte or not place)
                return value
        raise HoldsNoneError

    def line(self) -> bytes:
        need(b"\n" in self.text)
        line, _, self.text = self.text.partition(b"\n")
        return line


def unpack(batch: bytes, dictionary: bytes) -> list[bytes]:
    """Return the entries of a batch; HoldsNoneError."""
    if not batch:
        return []
    entries = plain(batch[1:]) if batch[0] == 1 else packed(batch[1:], dictionary) if batch[0] == 2 else []
    need(1 <= len(entries) <= 1000)
    need(sum(len(entry) + 2 for entry in entries) <= MOST)
    return entries


def plain(stream: bytes) -> list[bytes]:
    inflator = zlib.decompressobj()
    try:
        text = Bytes(inflator.decompress(stream, MOST + 1))
    except zlib.error:
        raise HoldsNoneError from None
    need(inflator.eof and not inflator.unused_data and len(text.text) <= MOST)
    entries = []
    while text.text:
        entries.append(text.take(int.from_bytes(text.take(2))))
    return entries


def inflate(frame: bytes, dictionary: bytes) -> bytes:
    need(frame[:4] == b"\x28\xb5\x2f\xfd" and len(frame) > 4 and frame[4] & 0x3F == 0x20)
    content = zstandard.ZstdCompressionDict(dictionary, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    try:
        need(0 <= zstandard.frame_content_size(frame) <= MOST)
        return zstandard.ZstdDecompressor(dict_data=content).decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError:
        raise HoldsNoneError from None


class Tokens:
    """What tokens stand for."""

    def __init__(self, raw: bytes) -> None:
        self.raw = Bytes(raw)
        self.hex: list[bytes] = []
        self.payloads: list[bytes] = []

    def read(self, token: bytes) -> bytes:
        kind, digits = token[:1], token[1:]
        need(re.fullmatch(rb"0|[1-9][0-9]{0,6}", digits))
        number = int(digits)
        if kind == b"\x03":
            self.hex.append(self.raw.take(number).hex().encode())
            return self.hex[-1]
        if kind == b"\x02":
            need(number < len(self.hex))
            return self.hex[number]
        need(kind == b"\x04" and 1 <= number <= len(self.payloads))
        return hashlib.sha256(self.payloads[-number]).hexdigest().encode()


def packed(rest: bytes, dictionary: bytes) -> list[bytes]:
    outer = Bytes(rest)
    text = Bytes(inflate(outer.take(outer.number()), dictionary))
    count, kinds = text.number(), text.number()
    need(count <= 1000 and kinds <= count)
    shapes = [text.line() for _ in range(kinds)]
    need(all(len(shape) <= 65535 for shape in shapes))
    numbers = [text.number() for _ in range(count)]
    need(all(number <= kinds for number in numbers))
    signatures = [text.take(1)[0] if number else 0 for number in numbers]
    verbatim = [text.take(text.number()) for number in numbers if not number]
    need(text.text.count(b"\n") <= 300_000 and (not text.text or text.text.endswith(b"\n")))
    keyids = [text.line() for _ in range(sum(signatures))]
    names = [[piece.rpartition(b",")[2] for piece in shape.split(b"\0")[:-1]] for shape in shapes]
    columns: dict[bytes, list[bytes]] = {name: [] for one in names for name in one}
    for name, column in columns.items():
        column += [text.line() for number in numbers if number for other in names[number - 1] if other == name]
    need(not text.text)
    tokens = Tokens(outer.text)
    entries, size = [], 0
    for number, signed in zip(numbers, signatures, strict=True):
        if number:
            values = [columns[name].pop(0) for name in names[number - 1]]
            entries.append(entry(shapes[number - 1], values, [keyids.pop(0) for _ in range(signed)], tokens))
        else:
            entries.append(verbatim.pop(0))
        size += len(entries[-1]) + 2
        need(len(entries[-1]) <= 65535 and size <= MOST)
    need(not tokens.raw.text)
    return entries


def entry(shape: bytes, lines: list[bytes], keyids: list[bytes], tokens: Tokens) -> bytes:
    values = [line if line == b"\x01" or not b"\0" <= line[:1] < b"\x05" or not line else tokens.read(line) for line in lines]
    need(sum(map(len, values)) <= 65535)
    if b"\x01" in values:
        payload = fill(shape, [b"" if value == b"\x01" else value for value in values])
        found = TAIL.search(payload)
        need(found and payload.startswith(b'{"body":'))
        assert found is not None
        derived = hashlib.sha256(b'{"' + found[1] + b'":' + payload[8 : found.start()] + b"}").hexdigest()[:40].encode()
        values = [derived if value == b"\x01" else value for value in values]
    payload = fill(shape, values)
    need(len(payload) <= 32768)
    tokens.payloads.append(payload)
    names = [tokens.read(line) for line in keyids]
    need(1 <= len(names) <= 16 and all(len(name) == 64 for name in names))
    need(all(before < after for before, after in pairwise(names)))
    signed = b",".join(b'{"keyid":"' + name + b'","sig":"' + base64.b64encode(tokens.raw.take(64)) + b'"}' for name in names)
    kind = b'","payloadType":"application/vnd.metaledger.statement.v1+json","signatures":['
    return b'{"payload":"' + base64.b64encode(payload) + kind + signed + b"]}"


def fill(shape: bytes, values: list[bytes]) -> bytes:
    pieces = shape.split(b"\0")
    return b"".join(piece + value for piece, value in zip(pieces, [*values, b""], strict=True))


def main() -> int:
    """Unpack stdin; see the module."""
    try:
        entries = unpack(sys.stdin.buffer.read(), Path(sys.argv[1]).read_bytes())
    except HoldsNoneError:
        return 1
    for one in entries:
        sys.stdout.buffer.write(len(one).to_bytes(2) + one)
    return 0


if __name__ == "__main__":
    sys.exit(main())
