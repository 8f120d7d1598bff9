"""Batches of entries: packed and plain, and everything that holds no entries."""

from __future__ import annotations

import tracemalloc
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import zstandard

from blockchain_adapters import codec
from blockchain_adapters.codec import PACKED, decode, encode, encode_plain
from blockchain_adapters.dictionary import DICTIONARY
from ledger.core.envelope import Signature, parse_envelope, seal, sign
from ledger.core.errors import FormatError, TooLargeError
from ledger.core.limits import LIMITS
from ledger.core.statement import Statement, derive_id
from ledger.core.tiles import frame
from tests.support.small_network import IAT, SmallNetwork, key

if TYPE_CHECKING:
    from ledger.core.canonical import JSONObject


def things(count: int) -> list[bytes]:
    network = SmallNetwork()
    return [one.entry for one in [*network.first, *network.things(count - 3)]][:count]


def packed(text: bytes, raw: bytes = b"", *, compress: bool = True) -> bytes:
    """Return a batch of codec 0x02 around a text of one's own."""
    dictionary = zstandard.ZstdCompressionDict(DICTIONARY, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    inner = zstandard.ZstdCompressor(dict_data=dictionary).compress(text) if compress else text
    return bytes([PACKED]) + codec._varint(len(inner)) + inner + raw


@pytest.mark.parametrize("count", [1, 2, 10, 300, 1000])
def test_entries_come_back_to_the_bit(count: int) -> None:
    entries = things(count)
    assert decode(encode(entries)) == entries
    assert decode(encode_plain(entries)) == entries


def test_a_packed_batch_is_much_smaller_than_a_plain_one() -> None:
    entries = things(100)
    assert len(encode(entries)) < len(encode_plain(entries)) * 0.65


def test_an_empty_batch_is_an_anchor_and_has_no_entries() -> None:
    assert decode(b"") == []


def test_what_is_no_envelope_stands_verbatim() -> None:
    [good] = things(1)
    entries = [b"", good, b"\x00\n\xff", good[:-1], b"x" * LIMITS.entry, good]
    assert decode(encode(entries)) == entries


def test_payloads_that_are_no_statements_come_back_too() -> None:
    signature = Signature("ab" * 32, bytes(range(64)))
    payloads = [
        b"", b"{}", b"\x01", b"a\nb", b'"', b'"\\', b'{"a":"\\"}', b"[1,2,3]", b'{"a":[{"b":null},true]}', b"\xff\xfe" * 9, b'"\\"' * 5000,
        b"[" + b"1," * 300 + b"1]",
        b'{"body":{},"by":"","iat":"","id":"' + b"0" * 40 + b'","kind":"k","ledger":"","op":"","prev":null,"v":1}',
    ]  # fmt: skip
    entries = [seal(payload, [signature]).entry for payload in payloads]
    assert decode(encode(entries)) == entries


def test_a_derived_id_costs_nothing_and_another_one_comes_back() -> None:
    body: JSONObject = {"name": "n", "list": [1, 2.5, "ü"]}
    derived = sign(Statement("", "put", "thing", derive_id("thing", body), None, "root", IAT, body), [key("a")]).entry
    given = sign(Statement("", "put", "thing", derive_id("thing", {}), None, "root", IAT, body), [key("a")]).entry
    assert decode(encode([derived, given])) == [derived, given]
    assert len(encode([derived])) + 15 <= len(encode([given]))


def test_a_digest_of_the_same_batch_costs_nothing() -> None:
    network = SmallNetwork()
    versions = [network.put("a").entry for _ in range(20)]
    assert decode(encode(versions)) == versions
    assert len(encode(versions)) < 20 * (64 + 12) + 350


def test_many_signers_come_back() -> None:
    statement = Statement("", "drop", "thing", "a", "ab" * 32, "root", IAT, None)
    entries = [sign(statement, [key(str(at)) for at in range(first, 16)]).entry for first in range(16)]
    assert decode(encode(entries)) == entries


@pytest.mark.parametrize("count", [0, 1001])
def test_only_1_to_1000_entries_are_encoded(count: int) -> None:
    with pytest.raises(TooLargeError):
        encode([b"x"] * count)


def test_more_than_4_mib_are_not_encoded() -> None:
    with pytest.raises(TooLargeError):
        encode([b"x" * LIMITS.entry] * 65)


def test_every_cut_of_a_batch_holds_none_and_no_changed_byte_does_harm() -> None:
    entries = things(4)
    batch = encode(entries)
    for end in range(1, len(batch)):
        with pytest.raises(FormatError):
            decode(batch[:end])
    with pytest.raises(FormatError):
        decode(batch + b"\0")
    for at in range(len(batch)):
        for bit in (1, 16, 128):
            changed = bytearray(batch)
            changed[at] ^= bit
            with suppress(FormatError):
                decode(bytes(changed))


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        (b"", b""),
        (b"\x00\x00", b""),  # no entries
        (b"\xe9\x07\x00" + b"\0" * 1001, b""),  # 1,001 entries
        (b"\x81\x00\x00\x00\x00", b""),  # a number with a needless byte
        (b"\x01\x02a\nb\n\x01\x01", b""),  # more shapes than entries
        (b"\x01\x01a\n\x02\x01", b""),  # a shape that is not there
        (b"\x01\x00\x00\x05abc", b""),  # a verbatim entry that is cut off
        (b"\x01\x01a\n\x01\x01\x0332\n", b"\0" * 95),  # a signature that is cut off
        (b"\x01\x01a\n\x01\x01\x0332\n", b"\0" * 97),  # raw bytes left over
        (b"\x01\x01a\n\x01\x01\x0332", b"\0" * 96),  # a line that does not end
        (b"\x01\x01a\n\x01\x01\x0332\nx\n", b"\0" * 96),  # a line too many
        (b"\x01\x01\x00\n\x01\x01\x0332\n", b"\0" * 96),  # a line too few
        (b"\x01\x01a\n\x01\x01\x020\n", b"\0" * 64),  # hex that never stood before
        (b"\x01\x01a\n\x01\x01\x042\n", b"\0" * 64),  # a payload before the first
        (b"\x01\x01a\n\x01\x01\x0331\n", b"\0" * 95),  # a short key id
        (b"\x01\x01a\n\x01\x01\x03032\n", b"\0" * 96),  # a number in another spelling
        (b"\x01\x01a\n\x01\x01\x03\n", b"\0" * 96),  # no number
        (b"\x01\x01a\n\x01\x00", b""),  # no signature
        (b"\x01\x01a\n\x01\x02\x0332\n\x020\n", b"\0" * 160),  # one key twice
        (b"\x01\x01a\n\x01\x02\x0332\n\x0332\n", b"\xff" * 32 + b"\0" * 160),  # keys in descending order
        (b"\x01\x01\x00\n\x01\x01\x0332\n\x01\n", b"\0" * 96),  # an id derived from no statement
    ],
)
def test_packed_text_that_nobody_wrote_holds_no_entries(text: bytes, raw: bytes) -> None:
    with pytest.raises(FormatError):
        decode(packed(text, raw))


def test_the_smallest_packed_entry_is_read_as_the_table_above_means_it() -> None:
    [entry] = decode(packed(b"\x01\x01a\n\x01\x01\x0332\n", b"\1" * 96))
    assert parse_envelope(entry).payload == b"a"


@pytest.mark.parametrize(
    "batch",
    [
        b"\x00",
        b"\x03abc",
        b"\x01",
        b"\x02",
        b"\x02\x05abc",
        b"\x01" + zlib.compress(b"")[:-1],
        b"\x01" + zlib.compress(b"") + b"x",
        b"\x02\x03abc",
    ],
)
def test_other_bytes_hold_no_entries(batch: bytes) -> None:
    with pytest.raises(FormatError):
        decode(batch)


def test_a_plain_batch_has_1_to_1000_entries() -> None:
    assert len(decode(encode_plain([b"x"] * 1000))) == 1000
    for count in (0, 1001):
        with pytest.raises(FormatError):
            decode(encode_plain([b"x"] * count))


def bombs() -> dict[str, bytes]:
    huge = zstandard.ZstdCompressor().compress(bytes(64 << 20))
    endless = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(64 << 20))
    wide = b"\xe8\x07\x01" + b"\x00" * 4000 + b"\n" + b"\x01" * 2000 + b"x\n" * 1_000_000
    long = b"\x01\x01" + b"\x00" * 60_000 + b"\n\x01\x01" + b"\x020\n" * 60_000
    fat = b"\xe8\x07\x01" + b"y" * 32_000 + b"\n" + b"\x01" * 2000 + b"\x0332\n" + b"\x020\n" * 999
    return {
        "plain": b"\x01" + zlib.compress(bytes(64 << 20), 9),
        "a frame that says so": packed(huge, compress=False),
        "a frame that does not": packed(endless, compress=False),
        "lines": packed(wide),
        "references": packed(long, bytes(128)),
        "a shape many times": packed(fat, bytes(64 * 1000 + 32)),
    }


@pytest.mark.parametrize("name", bombs())
def test_a_bomb_is_refused_before_it_goes_off(name: str) -> None:
    batch = bombs()[name]
    assert len(batch) < 131_072
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            decode(batch)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


def test_a_plain_batch_is_framed_as_bundles_are() -> None:
    assert zlib.decompress(encode_plain([b"a", b"bc"])[1:]) == frame([b"a", b"bc"]) == b"\0\1a\0\2bc"
