"""Taking a log up again that is older than what left it: the draft of a root with `continues` (docs/formats.md, section 11).

Whoever holds more goes back to the log as it lies here, and follows the new keys. The new keys are made in the home of the log and
never leave it; the root that names them is signed and published as every root is.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ledger.client.ceremony import RootFile, draft_body, present_root
from ledger.core.errors import NotAllowedError, UsageError
from ledger.core.root import parse_root
from ledger.engine.genesis import new_origin
from ledger.engine.keyfiles import CLOCK, LOG, names_of
from ledger.engine.signing import clock_vkey, log_vkey

if TYPE_CHECKING:
    from auth.keystore import KeyStore
    from ledger.client.ceremony import RootChanges
    from ledger.client.client import LedgerClient
    from ledger.core.canonical import JSONObject

FIXED = frozenset({"order", "origin", "log_keys", "clock_keys"})


async def draft_continuing(client: LedgerClient, changes: RootChanges) -> RootFile:
    """Return the unsigned file of the root that takes up the log of this home where it ends, with `changes` beside that.

    Each draft has an origin and keys of its own: a key that waits in the home may have signed what was lost. NotAllowedError in a home
    that does not hold the log, UsageError where a chain orders it and for a patch of what the draft brings itself, FormatError when the
    changes make no root.
    """
    placed, present = await present_root(client)
    if placed.root.order["type"] != "log":
        raise UsageError("a chain orders this network", advice="A root that moves it elsewhere is drafted with --patch: docs/formats.md.")
    keys = client.place.keys
    if not client.copy.is_log or not await asyncio.to_thread(names_of, keys, LOG):
        raise NotAllowedError("this home does not hold the log", advice="Do it in the master's home.")
    fixed = sorted(FIXED & changes.patch.keys())
    if fixed:
        raise UsageError(f"a patch cannot say {', '.join(fixed)}: a root that continues a log brings its own")
    body = changes.apply(placed.root, present.get("note"))
    parse_root(body)
    head = await client.copy.store.read(lambda snapshot: snapshot.head())
    order: JSONObject = {**placed.root.order, "continues": {"size": head.size, "root": head.root.hex()}}
    opened = await asyncio.to_thread(_open, keys, new_origin(placed.root.name))
    return await draft_body(client, placed, {**body, **opened, "order": order})


def _open(keys: KeyStore, origin: str) -> JSONObject:
    """Make the keys of a log of that origin; return what a root says of them (blocking)."""
    name = origin.rpartition("/")[2]
    log, clock = (keys.create(f"{kind}-{name}") for kind in (LOG, CLOCK))
    return {"origin": origin, "log_keys": [{"vkey": log_vkey(origin, log), "until": None}], "clock_keys": [clock_vkey(origin, clock)]}
