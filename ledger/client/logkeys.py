"""Giving a log another key: a root that lists both, and one that closes the old key with `until`. Nobody misses a note in between.

The new key is made in the home of the log and never leaves it. Where the home's own admin key is enough, the roots are signed
and published at once; else each becomes a file for the ceremony, and the same command goes on where it stands.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.client.ceremony import RootFile, draft_body, present_root, publish_root
from ledger.client.place import ADMIN
from ledger.core.errors import NotAllowedError, NotFoundError
from ledger.engine.keyfiles import CLOCK, LOG, names_of
from ledger.engine.signing import clock_vkey, log_vkey

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth.keystore import KeyStore
    from ledger.client.client import LedgerClient
    from ledger.core.canonical import JSON, JSONObject
    from ledger.core.keys import PrivateKey
    from ledger.core.root import Root
    from ledger.core.trust import PlacedRoot


@dataclass(frozen=True, slots=True)
class LogKeyStep:
    """One root of a rotation: which keys sign from it on, which it closes, and where it is: published, or in a file to be signed."""

    version: int
    opened: tuple[str, ...]
    closed: tuple[str, ...]
    index: int | None = None
    file: RootFile | None = None

    def facts(self) -> dict[str, object]:
        """Return what `-o json` shows."""
        return {"version": self.version, "open": list(self.opened), "closed": list(self.closed), "index": self.index}


async def rotate_log_key(client: LedgerClient, *, overlap: bool = False, stolen: bool = False) -> list[LogKeyStep]:
    """Do what is next: open a new key, close the old one. With `overlap` only the next of these.

    With `stolen` one root does both, and names a new clock key: with the two keys somebody could show a fork that looks fresh.
    NotAllowedError in a home that holds no log key in use. A step that this home cannot sign alone ends the list, as a file.
    """
    steps: list[LogKeyStep] = []
    while True:
        await client.sync()
        placed, body = await present_root(client)
        step = await _step(client, placed, body, stolen=stolen)
        steps.append(step)
        if step.file is not None or step.closed or overlap:
            return steps


async def _step(client: LedgerClient, placed: PlacedRoot, body: JSONObject, *, stolen: bool) -> LogKeyStep:
    root, keys = placed.root, client.place.keys
    held = await asyncio.to_thread(_held, keys, LOG, root, log_vkey)
    mine = [listed.vkey for listed in root.log_keys if listed.until is None and listed.vkey in held]
    if not mine:
        raise NotAllowedError("this home holds no log key in use", advice="Do it in the master's home.")
    changed: JSONObject = {**body, "version": root.version + 1}
    new = mine[-1]
    if len(mine) == 1 or stolen:
        new = await asyncio.to_thread(_coming, keys, LOG, root, held)
    closing = [vkey for vkey in mine if vkey != new] if stolen or new in mine else []
    size = await client.copy.size()
    listed: list[JSON] = [
        {"vkey": one.vkey, "until": size if one.vkey in closing and one.until is None else one.until} for one in root.log_keys
    ]
    changed["log_keys"] = listed if new in mine else [*listed, {"vkey": new, "until": None}]
    if stolen:
        clocks = await asyncio.to_thread(_held, keys, CLOCK, root, clock_vkey)
        ours = [vkey for vkey in root.clock_keys if vkey in clocks]
        others: list[JSON] = [vkey for vkey in root.clock_keys if vkey not in ours]
        changed["clock_keys"] = [*others, await asyncio.to_thread(_coming, keys, CLOCK, root, clocks)]
    opened = tuple(vkey for vkey in (*mine, *([] if new in mine else [new])) if vkey not in closing)
    file = await draft_body(client, placed, changed)
    signed = await asyncio.to_thread(_signed_alone, client, file, root)
    if signed is None:
        return LogKeyStep(file.root.version, opened, tuple(closing), file=file)
    published = await publish_root(client, signed)
    await asyncio.to_thread(_pin, client, file.root)
    return LogKeyStep(file.root.version, opened, tuple(closing), index=published.index)


def _held(keys: KeyStore, kind: str, root: Root, vkey: Callable[[str, PrivateKey], str]) -> dict[str, str]:
    """Return the names of the keys of a kind that the home holds, by their vkeys (blocking)."""
    return {vkey(root.origin, keys.load(name)): name for name in names_of(keys, kind)}


def _coming(keys: KeyStore, kind: str, root: Root, held: dict[str, str]) -> str:
    """Return the vkey of the key to come: one that no root lists yet, left by an earlier attempt, or a new one (blocking)."""
    listed = {one.vkey for one in root.log_keys} | set(root.clock_keys)
    waiting = [vkey for vkey, name in held.items() if vkey not in listed and name == f"{kind}-{root.version + 1}"]
    if waiting:
        return waiting[0]
    key = keys.create(f"{kind}-{root.version + 1}")
    return (log_vkey if kind == LOG else clock_vkey)(root.origin, key)


def _signed_alone(client: LedgerClient, file: RootFile, present: Root) -> RootFile | None:
    """Return the file signed with the home's admin key if that is all it takes, else None (blocking)."""
    admin = client.place.key(ADMIN)
    if admin is None or admin.public.keyid not in {**present.admin_keys, **file.root.admin_keys}:
        return None
    signed = file.signed(admin, present)
    return None if signed.wanting(present) else signed


def _pin(client: LedgerClient, root: Root) -> None:
    """Let the home's settings name the log keys in use (blocking)."""
    home = client.place.home
    if not home.exists:
        raise NotFoundError(f"{home.path} has no config.toml")
    vkeys = [listed.vkey for listed in root.log_keys if listed.until is None]
    home.write_config({**home.read_config(), "log_vkeys": vkeys})
