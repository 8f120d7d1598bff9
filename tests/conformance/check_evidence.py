"""Check a file of evidence offline: check_evidence.py FILE KEY [KEY …], the log, clock and admin keys of a root that you trust.

Exits 0 when the keys contradict themselves (two trees of one log, a clock that went back), 3 when only what was signed is proven,
else 1. Shares nothing with the product."""

import json
import re
import sys
from base64 import b64decode
from functools import partial
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

unbase64 = partial(b64decode, validate=True)
Fact = dict[str, Any]


def is_good(raw_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        return Ed25519PublicKey.from_public_bytes(raw_key).verify(signature, message) is None
    except (InvalidSignature, ValueError):
        return False


def check_note(raw: bytes, vkeys: list[str]) -> Fact | None:
    text, _, lines = raw.decode().rpartition("\n\n")
    match = re.fullmatch(r"(\S+)\n(0|[1-9][0-9]{0,18})\n(\S+)", text)
    found: Fact = {"log": False, "clocks": {}}
    for vkey in vkeys if match else ():
        name, shown, encoded = vkey.split("+", 2)
        key, message = unbase64(encoded), f"{text}\n".encode()
        key_id = sha256(name.encode() + b"\n" + key).digest()[:4]
        for line in (unbase64(one.rpartition(" ")[2]) for one in lines.split("\n") if one.startswith(f"— {name} ")):
            if match is None or line[:4] != key_id or key_id.hex() != shown:
                continue
            if key[0] == 1 and name == match[1] and is_good(key[1:], line[4:], message):
                found["log"] = True
            time = int.from_bytes(line[4:12], "big")
            if key[0] == 4 and name == f"{match[1]}/clock" and is_good(key[1:], line[12:], b"cosignature/v1\ntime %d\n" % time + message):
                found["clocks"].setdefault(vkey, time)
    return {**found, "origin": match[1], "size": int(match[2]), "root": unbase64(match[3])} if match and found["log"] else None


def climb(node: bytes, index: int, last: int, proof: list[bytes], *, old: bool = False) -> bytes:
    """Return the root that a proof leads to from the node at `index`, that of the `old` tree by the siblings on the left alone."""
    left = list(reversed(proof))
    while last:
        if index & 1:
            node = sha256(b"\x01" + left.pop() + node).digest()
        elif index < last:
            above = sha256(b"\x01" + node + left.pop()).digest()
            node = node if old else above
        index, last = index >> 1, last >> 1
    return b"" if left else node


def check_receipt(raw: bytes, vkeys: list[str]) -> Fact:
    head, _, text = raw.decode().partition("\n\n")
    match = re.fullmatch(r"c2sp\.org/tlog-proof@v1\nextra (\S+)\nindex (0|[1-9][0-9]{0,18})((?:\n\S+)*)", head)
    note = check_note(text.encode(), vkeys)
    if match is None or note is None:
        raise ValueError("a receipt is not under a signed note")
    entry, index, proof = unbase64(match[1]), int(match[2]), [unbase64(one) for one in match[3].split()]
    if index >= note["size"] or climb(sha256(b"\x00" + entry).digest(), index, note["size"] - 1, proof) != note["root"]:
        raise ValueError("the proof of a receipt does not lead to the signed root")
    return {"origin": note["origin"], "index": index, "entry": entry}


def check_extension(one: Fact, notes: list[Fact]) -> list[Fact]:
    root, hashes = bytes.fromhex(one["root"]), [bytes.fromhex(node) for node in one["hashes"]]
    level = (one["old"] & -one["old"]).bit_length() - 1
    index, last = (one["old"] - 1) >> level, (one["new"] - 1) >> level
    seed, path = (hashes[0], hashes[1:]) if index else (root, hashes)
    after, before = climb(seed, index, last, path), climb(seed, index, last, path, old=True)
    shown = [note for note in notes if note["size"] == one["new"] and note["root"] == after and before == root]
    return [{**note, "size": one["old"], "root": root, "clocks": {}} for note in shown]


def check_root(raw: bytes, admins: dict[str, bytes]) -> list[str]:
    envelope = json.loads(raw)
    payload, kind = unbase64(envelope["payload"]), envelope["payloadType"].encode()
    body, message = json.loads(payload)["body"], b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    signed = {one["keyid"]: unbase64(one["sig"]) for one in envelope["signatures"] if one["keyid"] in admins}
    enough = sum(is_good(admins[keyid], signature, message) for keyid, signature in signed.items()) >= body["threshold"]
    return [one["vkey"] for one in body["log_keys"]] if enough else []


def check(case: Fact, keys: list[str]) -> tuple[int, list[str]]:
    admins = {sha256(key).hexdigest(): key for key in (unbase64(one[8:]) for one in keys if one.startswith("ed25519:"))}
    roots = [listed for one in case["roots"] if (listed := check_root(unbase64(one), admins))]
    known = [*(one for one in keys if not one.startswith("ed25519:")), *(vkey for listed in roots for vkey in listed)]
    notes = [note for one in case["notes"] if (note := check_note(unbase64(one), known))]
    logged = [check_receipt(unbase64(one), known) for one in case["receipts"]]
    trees = [*notes, *(tree for one in case["extensions"] for tree in check_extension(one, notes))]
    proven = [
        f"split view: entry {a['index']} of one log is two entries"
        for a, b in combinations(logged, 2)
        if {**a, "entry": b["entry"]} == b != a
    ]
    for one, other in combinations(sorted(trees, key=lambda tree: int(tree["size"])), 2):
        if (one["origin"], one["size"]) == (other["origin"], other["size"]) and one["root"] != other["root"]:
            proven.append(f"split view: two trees of size {one['size']}")
        both = one["clocks"].keys() & other["clocks"].keys()
        if one["size"] < other["size"] and any(one["clocks"][vkey] > other["clocks"][vkey] for vkey in both):
            proven.append(f"rollback: size {one['size']} was the largest after size {other['size']} was")
    said = [f"signed: a tree of size {note['size']} with the root {note['root'].hex()}" for note in notes]
    said += [f"signed: a root that lists {', '.join(listed)}" for listed in roots]
    said += [f"logged: entry {one['index']}, SHA-256 {sha256(one['entry']).hexdigest()}" for one in logged]
    return (0 if proven else 3 if notes else 1), [*proven, *said] or ["nothing: no key that is trusted signed a note in it"]


if __name__ == "__main__":
    code, found = check(json.loads(Path(sys.argv[1]).read_bytes()), sys.argv[2:])
    print("\n".join(found))
    sys.exit(code)
