"""Check a receipt offline: verify_receipt.py RECEIPT --vkey VKEY [--policy FILE]. Shares nothing with the product.

Prints index and payload and exits 0 when the log key signed a tree that holds the entry at that index (and the payload
puts the policy in FILE: its kind, id and body). Else says why on stderr and exits 1."""

import argparse
import json
import re
import sys
from base64 import b64decode
from functools import partial
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

unbase64 = partial(b64decode, validate=True)


def verify_note(note: str, vkey: str) -> tuple[int, bytes]:
    """Return size and root of the checkpoint that the key signed (signed-note, tlog-checkpoint)."""
    name, shown_id, encoded = vkey.split("+", 2)
    key = unbase64(encoded)
    key_id = sha256(name.encode() + b"\n" + key).digest()[:4]
    text, _, lines = note.rpartition("\n\n")
    match = re.fullmatch(re.escape(name) + r"\n(0|[1-9][0-9]{0,18})\n(\S+)", text)
    if key[0] != 1 or key_id.hex() != shown_id or match is None:
        raise ValueError("this is not the vkey of a log, or the note is no checkpoint of that log")
    signatures = [unbase64(line.split(" ")[2]) for line in lines.split("\n") if line.startswith(f"— {name} ")]
    for signature in [one[4:] for one in signatures if one[:4] == key_id] or [b""]:  # a bad second line spoils the note too
        Ed25519PublicKey.from_public_bytes(key[1:]).verify(signature, f"{text}\n".encode())
    return int(match[1]), unbase64(match[2])


def verify_inclusion(node: bytes, index: int, size: int, proof: list[bytes]) -> bytes:
    """Return the root that the proof leads to, b"" if it has the wrong length (RFC 9162 section 2.1.3.2)."""
    last = size - 1
    for sibling in proof:
        if last == 0:
            return b""
        if index & 1 or index == last:
            node = sha256(b"\x01" + sibling + node).digest()
            while not index & 1:
                index, last = index >> 1, last >> 1
        else:
            node = sha256(b"\x01" + node + sibling).digest()
        index, last = index >> 1, last >> 1
    return b"" if last else node


def verify(receipt: str, vkey: str, policy: str | None) -> str:
    head, _, note = receipt.partition("\n\n")
    match = re.fullmatch(r"c2sp\.org/tlog-proof@v1\nextra (\S+)\nindex (0|[1-9][0-9]{0,18})((?:\n\S+)*)", head)
    if match is None:
        raise ValueError("this is not a tlog-proof with an entry")
    entry, index, hashes = unbase64(match[1]), int(match[2]), match[3].split()
    size, root = verify_note(note, vkey)
    if index >= size or verify_inclusion(sha256(b"\x00" + entry).digest(), index, size, [unbase64(one) for one in hashes]) != root:
        raise ValueError("the proof does not lead to the signed root")
    payload = unbase64(json.loads(entry)["payload"]).decode()
    if policy is not None:
        said, ((kind, body),) = json.loads(payload), json.loads(policy).items()
        base = {"date": said["iat"], "id": said["id"], "ledger": body.get("ledger")}
        shown, wanted = (json.dumps(base | one, sort_keys=True) for one in (said["body"] or {}, body))
        if (said["op"], said["kind"], shown) != ("put", kind, wanted):
            raise ValueError("the entry puts another policy")
    return f"index {index}\n{payload}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("receipt", type=Path)
    parser.add_argument("--vkey", required=True)
    parser.add_argument("--policy", type=Path)
    asked = parser.parse_args()
    try:
        print(verify(asked.receipt.read_bytes().decode(), asked.vkey, asked.policy and asked.policy.read_text()))
    except (InvalidSignature, ValueError, LookupError, TypeError, AttributeError, RecursionError, OSError) as error:
        sys.exit(f"not verified: {error!r}")
