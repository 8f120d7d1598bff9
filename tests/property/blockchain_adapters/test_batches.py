"""Batches under any input: entries come back to the bit, bytes from strangers do no harm, and two readers agree."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, cast

import zstandard
from hypothesis import given
from hypothesis import strategies as st

from blockchain_adapters.codec import decode, encode, encode_plain
from blockchain_adapters.dictionary import DICTIONARY
from ledger.core.canonical import dump
from ledger.core.envelope import Signature, seal
from ledger.core.errors import FormatError
from ledger.core.statement import derive_id
from tests.conformance.unpack_batch import HoldsNoneError, unpack

if TYPE_CHECKING:
    from ledger.core.canonical import JSONObject

TEXT = st.text(max_size=12).filter(lambda text: "\0" not in text and text.isprintable())
HEX = st.binary(min_size=32, max_size=32).map(bytes.hex)
SHARED = st.sampled_from([bytes([at] * 32).hex() for at in range(4)])
SCALARS = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT | SHARED | HEX | st.sampled_from(["active", "US", ""])
JSONS = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12)
BODIES = st.none() | st.dictionaries(
    st.sampled_from(["name", "ip", "port", "list", "key", 'qu"ote', "back\\slash", "ü"]), JSONS, max_size=5
)


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """Return the payload of a statement, or of something like one."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=80) | st.text(alphabet='{}[]",:\\0x\n', max_size=60).map(str.encode))
    body = cast("JSONObject | None", draw(BODIES))
    kind = draw(st.sampled_from(["operator", "site", "k"]))
    name = draw(st.sampled_from(["given", "0" * 40]) | st.just(derive_id(kind, body) if isinstance(body, dict) else "x"))
    members: JSONObject = {"v": 1, "ledger": draw(SHARED), "op": "put", "kind": kind, "id": name, "prev": draw(st.none() | SHARED | HEX)}
    return dump({**members, "by": draw(SHARED), "iat": "2026-11-21T10:00:00Z", "body": body})


@st.composite
def entries(draw: st.DrawFn) -> bytes:
    """Return an entry: an envelope mostly, anything else sometimes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=100))
    keyids = draw(st.lists(SHARED | HEX, min_size=1, max_size=3, unique=True))
    return seal(draw(payloads()), [Signature(one, draw(st.binary(min_size=64, max_size=64))) for one in keyids]).entry


@given(st.lists(entries(), min_size=1, max_size=12))
def test_entries_come_back_to_the_bit(found: list[bytes]) -> None:
    batch = encode(found)
    assert decode(batch) == found
    assert unpack(batch, DICTIONARY) == found
    assert decode(encode_plain(found)) == found


@given(st.binary(max_size=200))
def test_any_bytes_hold_entries_or_none(batch: bytes) -> None:
    agree(batch)
    agree(b"\x01" + batch)
    agree(b"\x02" + batch)


@given(st.lists(entries(), min_size=1, max_size=6), st.data())
def test_a_changed_batch_means_the_same_to_both_readers(found: list[bytes], data: st.DataObject) -> None:
    batch = bytearray(encode(found))
    for _ in range(data.draw(st.integers(1, 3))):
        batch[data.draw(st.integers(0, len(batch) - 1))] = data.draw(st.integers(0, 255))
    agree(bytes(batch))


TOKENS = st.sampled_from(
    [b"\x01", b"\x020", b"\x021", b"\x0332", b"\x0316", b"\x041", b"\x042", b"\x00", b"x", b"1", b"", b"\x02", b"\x0399"]
)
SHAPES = st.sampled_from(
    [
        b"",
        b"\0",
        b"a\0,b\0",
        b'{"body":{"a":\0},"by":"root","iat":"","id":"\0","kind":"k","ledger":"","op":"put","prev":null,"v":1}',
        b"\0\0",
    ]
)


@given(st.lists(SHAPES, max_size=3), st.lists(st.integers(0, 3), max_size=4), st.lists(TOKENS, max_size=14), st.integers(0, 400))
def test_any_packed_text_means_the_same_to_both_readers(shapes: list[bytes], numbers: list[int], lines: list[bytes], raw: int) -> None:
    counts = bytes(1 for number in numbers if number)
    verbatim = b"".join(b"\1v" for number in numbers if not number)
    text = bytes([len(numbers), len(shapes)]) + b"".join(one + b"\n" for one in shapes) + bytes(numbers) + counts + verbatim
    text += b"".join(one + b"\n" for one in lines)
    dictionary = zstandard.ZstdCompressionDict(DICTIONARY, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    frame = zstandard.ZstdCompressor(dict_data=dictionary).compress(text)
    length = bytes([len(frame)]) if len(frame) < 128 else bytes([len(frame) % 128 + 128, len(frame) // 128])
    agree(b"\x02" + length + frame + (bytes(range(256)) * 2)[:raw])


def agree(batch: bytes) -> None:
    """Let both readers read a batch; they find the same."""
    ours = theirs = None
    with suppress(FormatError):
        ours = decode(batch)
    with suppress(HoldsNoneError):
        theirs = unpack(batch, DICTIONARY)
    assert ours == theirs
