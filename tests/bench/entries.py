"""Entries as they are in life: airports and operators, signed, with what an author of a real network puts in them."""

from __future__ import annotations

import hashlib
import json
import statistics
from itertools import islice
from typing import TYPE_CHECKING

from ledger.core import canonical
from ledger.core.envelope import sign
from ledger.core.keys import PrivateKey
from ledger.core.statement import Statement, derive_id
from tests.bench.figures import Figure, Report
from tests.demo.airports import policies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.core.envelope import Envelope

NETWORK = hashlib.sha256(b"bench").hexdigest()
IAT = "2026-11-22T12:00:00Z"


def signed_policies(network: str, author: PrivateKey, sites: int | None) -> Iterator[tuple[str, Envelope]]:
    """Yield kind and envelope of the demo's policies, each the first put of its id by `author`."""
    for policy in policies(sites):
        ((kind, shown),) = policy.items()
        body = canonical.load(json.dumps(shown))
        if not isinstance(body, dict):
            raise TypeError("a policy has an object under its kind")
        given = body.pop("id", None)
        policy_id = given if isinstance(given, str) else derive_id(kind, body)
        statement = Statement(network, "put", kind, policy_id, None, author.public.keyid, IAT, body)
        yield kind, sign(statement, [author])


def some_entries(count: int) -> list[bytes]:
    """Return the entries of `count` policies of the demo."""
    author = PrivateKey(hashlib.sha256(b"author").digest())
    return [envelope.entry for _, envelope in islice(signed_policies(NETWORK, author, None), count)]


def measure_sizes(report: Report) -> None:
    """Add the sizes of the demo's entries by kind, beside those of their statements."""
    author = PrivateKey(hashlib.sha256(b"author").digest())
    sizes: dict[str, list[tuple[int, int]]] = {}
    for kind, envelope in signed_policies(NETWORK, author, 3_000):
        sizes.setdefault(kind, []).append((len(envelope.payload), len(envelope.entry)))
    for kind, both in sizes.items():
        payloads, entries = zip(*both, strict=True)
        name = f"statement, {kind}"
        report.add(Figure(name, statistics.median(payloads), "B", remark=f"median; {min(payloads)} to {max(payloads)}"))
        report.add(Figure(f"entry, {kind}", statistics.median(entries), "B", name, remark=f"median; {min(entries)} to {max(entries)}"))
