"""Check a file of evidence offline: check_evidence.py FILE VKEY [VKEY …]. Shares nothing with the product.

VKEY are the log and clock keys of the network's root, from a source that you trust. Prints what the file proves and exits 0 when
the keys contradict themselves (two trees of one log, or a clock that went back), 3 when the file proves what was signed or
logged but no contradiction, 1 when it proves nothing."""

import json
import re
import sys
from base64 import b64decode, b64encode
from functools import partial
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

unbase64 = partial(b64decode, validate=True)


def is_good(raw_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        return Ed25519PublicKey.from_public_bytes(raw_key).verify(signature, message) is None
    except (InvalidSignature, ValueError):
        return False


def check_note(raw: bytes, vkeys: list[str]) -> dict[str, Any] | None:
    """Return origin, size, root and clock lines of a note that one of the log keys signed, None for any other."""
    text, _, lines = raw.decode().rpartition("\n\n")
    match = re.fullmatch(r"(\S+)\n(0|[1-9][0-9]{0,18})\n(\S+)", text)
    found: dict[str, Any] = {"log": False, "clocks": {}}
    for vkey in vkeys:
        name, shown, encoded = vkey.split("+", 2)
        key = unbase64(encoded)
        key_id = sha256(name.encode() + b"\n" + key).digest()[:4]
        for line in (unbase64(one.rpartition(" ")[2]) for one in lines.split("\n") if one.startswith(f"— {name} ")):
            if match is None or line[:4] != key_id or key_id.hex() != shown:
                continue
            signature, message = line[4:], f"{text}\n".encode()
            if key[0] == 4:
                time = int.from_bytes(signature[:8], "big")
                signature, message = signature[8:], b"cosignature/v1\ntime %d\n" % time + message
                if is_good(key[1:], signature, message) and name == f"{match[1]}/clock":
                    found["clocks"].setdefault(vkey, time)
            elif is_good(key[1:], signature, message) and name == match[1]:
                found["log"] = True
    return {**found, "origin": match[1], "size": int(match[2]), "root": match[3]} if match and found["log"] else None


def root_of(node: bytes, index: int, size: int, proof: list[bytes]) -> bytes:
    """Return the root that an inclusion proof leads to, b"" if it has the wrong length (RFC 9162 section 2.1.3.2)."""
    last, left = size - 1, list(reversed(proof))
    while last:
        if index & 1 or index < last:
            sibling = left.pop() if left else b""
            node = sha256(b"\x01" + (sibling + node if index & 1 else node + sibling)).digest()
        index, last = index >> 1, last >> 1
    return b"" if left else node


def check_receipt(raw: bytes, vkeys: list[str]) -> tuple[str, int, bytes]:
    """Return origin, index and entry of a receipt under a note that a log key signed."""
    head, _, text = raw.decode().partition("\n\n")
    match = re.fullmatch(r"c2sp\.org/tlog-proof@v1\nextra (\S+)\nindex (0|[1-9][0-9]{0,18})((?:\n\S+)*)", head)
    note = check_note(text.encode(), vkeys)
    if match is None or note is None:
        raise ValueError("a receipt is not under a signed note")
    entry, index, proof = unbase64(match[1]), int(match[2]), [unbase64(one) for one in match[3].split()]
    if index >= note["size"] or root_of(sha256(b"\x00" + entry).digest(), index, note["size"], proof) != unbase64(note["root"]):
        raise ValueError("the proof of a receipt does not lead to the signed root")
    return note["origin"], index, entry


def check_root(raw: bytes) -> tuple[int, list[str]]:
    """Return version and log keys of a root that enough of its own admins signed."""
    envelope = json.loads(raw)
    payload, kind = unbase64(envelope["payload"]), envelope["payloadType"].encode()
    body = json.loads(payload)["body"]
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    admins = {sha256(key).hexdigest(): key for key in (unbase64(one["key"].removeprefix("ed25519:")) for one in body["admins"])}
    signed = {one["keyid"] for one in envelope["signatures"] if one["keyid"] in admins}
    good = [
        one for one in envelope["signatures"] if one["keyid"] in signed and is_good(admins[one["keyid"]], unbase64(one["sig"]), message)
    ]
    if len({one["keyid"] for one in good}) < body["threshold"]:
        raise ValueError("a root in the file is not signed by its own admins")
    return body["version"], [one["vkey"] for one in body["log_keys"]]


def roots_of(old: int, new: int, start: bytes, proof: list[bytes]) -> tuple[bytes, bytes]:
    """Return the roots at `old` and `new` that a consistency proof leads to (RFC 9162 section 2.1.4.2); `start` is the root at `old`."""
    path = [start, *proof] if old & (old - 1) == 0 else proof
    index, last = old - 1, new - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if index & 1 or index == last:
            before, after = (sha256(b"\x01" + sibling + node).digest() for node in (before, after))
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            after = sha256(b"\x01" + after + sibling).digest()
        index, last = index >> 1, last >> 1
    return (b"", b"") if last else (before, after)


def contradictions(notes: list[dict[str, Any]], logged: list[tuple[str, int, bytes]]) -> list[str]:
    """Return what the keys said that cannot all be true."""
    found = [f"split view: entry {a[1]} of one log is two entries" for a, b in combinations(logged, 2) if a[:2] == b[:2] and a[2] != b[2]]
    for one, other in combinations(sorted(notes, key=lambda note: int(note["size"])), 2):
        if one["origin"] == other["origin"] and one["size"] == other["size"] and one["root"] != other["root"]:
            found.append(f"split view: two trees of size {one['size']}")
        both = one["clocks"].keys() & other["clocks"].keys()
        if one["size"] < other["size"] and any(one["clocks"][vkey] > other["clocks"][vkey] for vkey in both):
            found.append(f"rollback: size {one['size']} was the largest after size {other['size']} was")
    return found


def check(case: dict[str, Any], vkeys: list[str]) -> tuple[int, list[str]]:
    """Return the exit code and what the case proves."""
    roots = [check_root(unbase64(one)) for one in case["roots"]]
    known = [*vkeys, *(vkey for _, listed in roots for vkey in listed)]
    notes = [note for one in case["notes"] if (note := check_note(unbase64(one), known))]
    logged = [check_receipt(unbase64(one), known) for one in case["receipts"]]
    said = [f"signed: a tree of size {note['size']} with the root {note['root']}" for note in notes]
    said += [f"signed: root {version}" for version, _ in roots]
    said += [f"logged: entry {index}, SHA-256 {sha256(entry).hexdigest()}" for _, index, entry in logged]
    implied = []
    for one in case["extensions"]:
        claimed, hashes = bytes.fromhex(one["root"]), [bytes.fromhex(node) for node in one["hashes"]]
        before, after = roots_of(one["old"], one["new"], claimed, hashes)
        signed = [note for note in notes if note["size"] == one["new"] and unbase64(note["root"]) == after and before == claimed]
        implied += [{**note, "size": one["old"], "root": b64encode(before).decode(), "clocks": {}} for note in signed]
    proven = contradictions([*notes, *implied], logged)
    return (0 if proven else 3 if notes else 1), [*proven, *said] or ["nothing: no key that is trusted signed a note in it"]


if __name__ == "__main__":
    try:
        code, lines = check(json.loads(Path(sys.argv[1]).read_bytes()), sys.argv[2:])
    except (ValueError, KeyError, TypeError) as error:
        sys.exit(f"not the evidence that it should be: {error}")
    print("\n".join(lines))
    sys.exit(code)
