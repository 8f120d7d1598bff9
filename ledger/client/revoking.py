"""Taking an identity out of a network by its name: its member policy, or its invites, are dropped.

The drop of a member cannot be outrun (docs/formats.md, section 3). From the next index on its tokens and streams end and its
certificates are on the revocation list; what it wrote before stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.client.publishing import Manner, dropped
from ledger.core.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.client.answers import Published
    from ledger.client.client import LedgerClient
    from ledger.core.state import Record
    from ledger.engine.snapshot import Snapshot

LISTED: Mapping[str, str] = {
    "member": "List the members with `ledger-cli get member`.",
    "invite": "List the invites with `ledger-cli get invites`.",
}


async def named(client: LedgerClient, kind: str, name: str) -> list[Record]:
    """Return the live members, or invites, of that name; the copy is brought up to date first. NotFoundError when there is none."""
    await client.sync()

    def work(snapshot: Snapshot) -> list[Record]:
        return [record for record in snapshot.state().of_kind(kind) if record.content["name"] == name]

    found = await client.reader.store.read(work)
    if not found:
        raise NotFoundError(f"there is no live {kind} {name}", advice=LISTED[kind])
    return found


async def revoke(client: LedgerClient, records: list[Record], *, as_root: bool = False, dry_run: bool = False) -> list[Published]:
    """Drop these members or invites; with `dry_run` only judge whether that could be. Raises the error that refuses one."""
    manner = Manner(None, as_root, dry_run)
    return [await client.submit(dropped(record, record.id), manner) for record in records]
