"""What the figures of chains are measured on: the demo's airports and operators of 500 bytes, signed as a network would have them."""

from __future__ import annotations

import hashlib
import json
import random
from typing import TYPE_CHECKING

from ledger.core.canonical import format_time
from ledger.core.checkpoint import Checkpoint
from ledger.core.envelope import sign
from ledger.core.keys import PrivateKey
from ledger.core.merkle import Frontier, leaf_hashes
from ledger.core.note import Note, clock_line, log_line
from ledger.core.statement import Statement, derive_id
from tests.demo import airports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.core.canonical import JSONObject

START = 1_795_000_000
NETWORK = hashlib.sha256(b"a network for figures").hexdigest()
ORIGIN = "ledger.internal/figures/0011223344556677"
SIZE = 500  # bytes of an operator, as JSON


def key(name: str) -> PrivateKey:
    """Return the key of a name."""
    return PrivateKey(hashlib.sha256(name.encode()).digest())


def signed(policies: Iterator[tuple[str, JSONObject]]) -> Iterator[bytes]:
    """Yield policies as entries of one author, ten a second."""
    author = key("author")
    for at, (kind, body) in enumerate(policies):
        time = format_time(START + at // 10)
        yield sign(Statement(NETWORK, "put", kind, derive_id(kind, body), None, author.public.keyid, time, body), [author]).entry


def sites(count: int) -> list[bytes]:
    """Return airports, signed."""
    found = ((kind, body) for policy in airports.policies(count) for kind, body in policy.items() if kind == "site")
    return list(signed((kind, json.loads(json.dumps(body))) for kind, body in found))[:count]


def operators(count: int) -> list[bytes]:
    """Return operators of 500 bytes, signed: names, addresses, places, ids of clusters and owners, and hex that nothing can shrink."""
    return list(signed(("operator", _operator(at, random.Random(at))) for at in range(count)))


def _operator(at: int, chance: random.Random) -> JSONObject:
    body: JSONObject = {
        "name": f"operator-{at:05d}", "company": "Example Energy Co", "hostname": f"edge-{at:05d}.plant-{at % 17}.example.net",
        "ip": f"203.0.113.{at % 250}", "internal_ip": f"10.{at % 200}.{at % 250}.7", "port": 32148, "rest_port": 32149,
        "cluster": _hex(f"cluster {at % 9}")[:32], "country": "US", "state": "CA", "city": "San Diego", "member": at,
        "loc": f"32.{chance.randrange(10**6):06d},-117.{chance.randrange(10**6):06d}", "owner": _hex(f"owner {at}")[:40], "pad": "",
    }  # fmt: skip
    short = SIZE - len(json.dumps({"operator": body}, separators=(",", ":")))
    return {**body, "pad": (_hex(f"pad {at}") * 4)[:short]}


def _hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def note(entries: list[bytes]) -> bytes:
    """Return the note that a master without witnesses signs for a log of these entries."""
    tree = Frontier()
    tree.append_many(leaf_hashes(entries))
    text = Checkpoint(ORIGIN, len(entries), tree.root()).text
    lines = (log_line(text, ORIGIN, key("log")), clock_line(text, f"{ORIGIN}/clock", key("clock"), START))
    return Note(text, lines).encode()
