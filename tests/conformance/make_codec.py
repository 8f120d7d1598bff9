"""make_codec.py: write vectors/codec: batches of both codecs, each with the entries that it holds, or none.

Run as `python -m tests.conformance.make_codec` from the top of the repository. Batches are written once and frozen: a later encoder may
choose other bytes for the same entries, so a batch that is in the file already stays as it is. Nothing is written when the reader that
knows nothing of the project disagrees.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import zstandard

from blockchain_adapters.codec import encode, encode_plain
from blockchain_adapters.dictionary import DICTIONARY
from ledger.core.envelope import Signature, seal, sign
from ledger.core.statement import Statement, derive_id
from tests.conformance.unpack_batch import HoldsNoneError, unpack
from tests.support.small_network import IAT, SmallNetwork, key

HERE = Path(__file__).parent / "vectors" / "codec"
STATEMENT = b'{"body":{"a":1},"by":"root","iat":"","id":"\0","kind":"k","ledger":"","op":"put","prev":null,"v":1}'


def held() -> dict[str, bytes]:
    """Return batches that hold entries, by name."""
    network = SmallNetwork()
    things = [one.entry for one in network.things(6)]
    versions = [network.put("changing", value=at).entry for at in range(4)]
    many = sign(Statement("", "drop", "thing", "a", "ab" * 32, "root", IAT, None), [key(str(at)) for at in range(16)]).entry
    odd = [b"", b"{}", b"a\nb", b'"', b'{"a":"\\"}', b"\xff\xfe", b"[" + b"1," * 300 + b"1]"]
    sealed = [seal(payload, [Signature("ab" * 32, bytes(range(64)))]).entry for payload in odd]
    derived = Statement("", "put", "thing", derive_id("thing", {"n": "ü"}), None, "root", IAT, {"n": "ü"})
    groups = {
        "the first entries of a network": [one.entry for one in network.first],
        "entries of one shape": things,
        "each follows the one before": versions,
        "a derived id": [sign(derived, [key("admin")]).entry],
        "sixteen signatures": [many, *things[:1], many],
        "payloads that are no statements": sealed,
        "what is no envelope": [b"", b"x", things[0][:-1], things[0], b"\0\n\xff"],
        "the same entry twice": [things[0], things[0]],
    }
    packed = {f"packed: {name}": encode(entries) for name, entries in groups.items()}
    return {**packed, "plain: entries": encode_plain(things), "plain: an entry of no bytes": encode_plain([b""]), "an anchor": b""}


def none() -> dict[str, bytes]:
    """Return batches that hold no entries, by name: one for each rule."""
    [good] = [encode([one.entry for one in SmallNetwork().things(1)])]
    texts: dict[str, tuple[bytes, bytes]] = {
        "no entries": (b"\0\0", b""),
        "1,001 entries": (b"\xe9\x07\0" + b"\0" * 2002, b""),
        "a number with a needless byte": (b"\x81\0\0\0\1x", b""),
        "a number of five bytes": (b"\x80\x80\x80\x80\x01", b""),
        "more shapes than entries": (b"\1\2a\nb\n\1\1\x0332\n", b"\0" * 96),
        "a shape that is not there": (b"\1\1a\n\2\1\x0332\n", b"\0" * 96),
        "a verbatim entry that is cut off": (b"\1\0\0\5abc", b""),
        "raw bytes that end too early": (b"\1\1a\n\1\1\x0332\n", b"\0" * 95),
        "raw bytes left over": (b"\1\1a\n\1\1\x0332\n", b"\0" * 97),
        "a line that does not end": (b"\1\1a\n\1\1\x0332", b"\0" * 96),
        "a line too many": (b"\1\1a\n\1\1\x0332\nx\n", b"\0" * 96),
        "a line too few": (b"\1\1\0\n\1\1\x0332\n", b"\0" * 96),
        "hex that never stood before": (b"\1\1a\n\1\1\x020\n", b"\0" * 64),
        "a payload before the first": (b"\1\1a\n\1\1\x042\n", b"\0" * 64),
        "a keyid that is text": (b"\1\1a\n\1\1" + b"0" * 64 + b"\n", b"\0" * 64),
        "a short keyid": (b"\1\1a\n\1\1\x0331\n", b"\0" * 95),
        "a token of another kind": (b"\1\1\0\n\1\1\x0332\n\x000\n", b"\0" * 96),
        "a number in another spelling": (b"\1\1a\n\1\1\x03032\n", b"\0" * 96),
        "no signature": (b"\1\1a\n\1\0", b""),
        "seventeen signatures": (b"\1\1a\n\1\x11" + b"\x0332\n" * 17, b"".join(bytes([at]) * 96 for at in range(17))),
        "one key twice": (b"\1\1a\n\1\2\x0332\n\x020\n", b"\0" * 160),
        "keys in descending order": (b"\1\1a\n\1\2\x0332\n\x0332\n", b"\xff" * 96 + b"\0" * 96),
        "a derived id in no statement": (b"\1\1\0\n\1\1\x0332\n\1\n", b"\0" * 96),
        "a derived id with the id before it": (b"\1\1x" + STATEMENT + b"\n\1\1\x0332\n\1\n", b"\0" * 96),
        "a payload of 32,769 bytes": (b"\1\1" + b"x" * 32_769 + b"\n\1\1\x0332\n", b"\0" * 96),
        "more than 4 MiB together": (b"\x80\x01\0" + b"\0" * 128 + (b"\xff\xff\x03" + bytes(65_535)) * 65, b""),
    }
    cases = {f"packed: {name}": around(text, raw) for name, (text, raw) in texts.items()}
    stranger = zstandard.ZstdCompressor(write_checksum=True, dict_data=dictionary()).compress(b"\1\0\0\1x")
    sizeless = zstandard.ZstdCompressor(write_content_size=False, dict_data=dictionary()).compress(b"\1\0\0\1x")
    unused = bytearray(zstandard.ZstdCompressor(dict_data=dictionary()).compress(b"\1\0\0\1x"))
    unused[4] |= 0x10
    return {
        **cases,
        "packed: a frame with a checksum": wrapped(stranger),
        "packed: a frame that does not state its size": wrapped(sizeless),
        "packed: a frame with the unused bit": wrapped(bytes(unused)),
        "packed: two frames": wrapped(stranger + stranger),
        "packed: cut off": good[:-1],
        "packed: a byte more": good + b"\0",
        "packed: nothing": b"\x02",
        "plain: nothing": b"\x01",
        "plain: no entries": b"\x01" + zlib.compress(b""),
        "plain: 1,001 entries": b"\x01" + zlib.compress(b"\0\0" * 1001, 9),
        "plain: an entry that is cut off": b"\x01" + zlib.compress(b"\0\2x"),
        "plain: a byte after the stream": b"\x01" + zlib.compress(b"\0\1x") + b"\0",
        "plain: more than 4 MiB": b"\x01" + zlib.compress((b"\xff\xff" + bytes(65_535)) * 65, 9),
        "an unknown codec": b"\x03" + good[1:],
    }


def dictionary() -> zstandard.ZstdCompressionDict:
    """Return the dictionary as zstd takes it."""
    return zstandard.ZstdCompressionDict(DICTIONARY, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


def around(text: bytes, raw: bytes) -> bytes:
    """Return the packed batch of a text and raw bytes."""
    return wrapped(zstandard.ZstdCompressor(level=19, dict_data=dictionary()).compress(text)) + raw


def wrapped(frame: bytes) -> bytes:
    """Return a packed batch of a frame alone."""
    size, length = len(frame), bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([2, *length, size]) + frame


def case(name: str, batch: bytes, *, holds: bool) -> dict[str, Any]:
    """Return a case as it stands in the file, once the independent reader agrees."""
    try:
        entries = unpack(batch, DICTIONARY)
    except HoldsNoneError:
        assert not holds, name
        return {"name": name, "batch": batch.hex(), "entries": None}
    assert holds, name
    return {"name": name, "batch": batch.hex(), "entries": [entry.hex() for entry in entries]}


def main() -> None:
    """Write the vectors; keep the batches that are there."""
    HERE.mkdir(exist_ok=True)
    target = HERE / "batches.json"
    before = {one["name"]: bytes.fromhex(one["batch"]) for one in json.loads(target.read_text())} if target.exists() else {}
    cases = [case(name, before.get(name, batch), holds=True) for name, batch in held().items()]
    cases += [case(name, before.get(name, batch), holds=False) for name, batch in none().items()]
    target.write_text(json.dumps(cases, indent=1) + "\n")
    (HERE / "dictionary").write_bytes(DICTIONARY)


if __name__ == "__main__":
    main()
