"""A network to measure: a root, the default permissions and rules, one author, and as many policies as are asked for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from ledger.core import canonical
from ledger.core.envelope import Envelope, sign
from ledger.core.keys import PrivateKey
from ledger.core.root import Admin, Root
from ledger.core.statement import Statement, derive_id
from ledger.kinds import standard_schemas
from master.defaults import default_permissions, permissions_id
from tests.demo.airports import policies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.core.canonical import JSONObject

IAT = "2026-11-22T12:00:00Z"


def key_of(name: str) -> PrivateKey:
    """Return the key of a name, the same in every run."""
    return PrivateKey(hashlib.sha256(name.encode()).digest())


@dataclass(frozen=True, slots=True)
class Network:
    """The first entries of a network, its id, and the member that writes the rest."""

    id: str
    genesis: list[Envelope]
    author: PrivateKey

    def envelopes(self, count: int) -> Iterator[Envelope]:
        """Yield `count` first puts by the author: the demo's policies, then the same airports again under other names."""
        for body, kind in islice(_bodies(), count):
            given = body.pop("id", None)
            policy_id = given if isinstance(given, str) else derive_id(kind, body)
            yield sign(Statement(self.id, "put", kind, policy_id, None, self.author.public.keyid, IAT, body), [self.author])


def _bodies() -> Iterator[tuple[JSONObject, str]]:
    """Yield bodies and kinds without end."""
    lap = 1
    while True:
        for policy in policies(None):
            ((kind, shown),) = policy.items()
            if lap > 1 and kind != "site":
                continue
            body = canonical.load(json.dumps(shown if lap == 1 else {**shown, "icao": f"{shown['icao']}-{lap}"}))
            if isinstance(body, dict):
                yield body, kind
        lap += 1


def make_network() -> Network:
    """Return a network whose author may write what the demo writes."""
    admin, author = key_of("admin"), key_of("author")
    root = _root(admin)
    first = Statement("", "put", "root", "root", None, "root", IAT, root.body)
    network = first.digest
    genesis = [sign(first, [admin])]
    for kind, bodies in (("permissions", default_permissions()), ("schema", standard_schemas())):
        genesis += [sign(Statement(network, "put", kind, name, None, "root", IAT, dict(body)), [admin]) for name, body in bodies.items()]
    member: JSONObject = {"name": "author", "type": "user", "key": author.public.text, "permissions": [permissions_id("user")]}
    genesis.append(sign(Statement(network, "put", "member", "member-author", None, "root", IAT, member), [admin, author]))
    return Network(network, genesis, author)


def _root(admin: PrivateKey) -> Root:
    return Root(
        name="bench",
        origin="ledger.internal/bench/0123456789abcdef",
        version=1,
        fold=1,
        order={"type": "log"},
        admins=(Admin("admin", admin.public),),
        threshold=1,
        authority_threshold=1,
        log_keys=(),
        clock_keys=(),
        mark_keys=(key_of("mark").public,),
        witnesses=(),
        quorum=0,
        fresh_for=300,
        stale_after=86_400,
        state_every=65_536,
        expires=None,
    )
