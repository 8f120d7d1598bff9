"""Inviting: the policy that lets somebody join, and the one line of text that goes to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auth.join import JoinToken
from auth.keystore import generate_key
from ledger.client.authoring import Wish
from ledger.core.canonical import format_time
from ledger.core.errors import UsageError
from ledger.core.statement import derive_id

if TYPE_CHECKING:
    from ledger.client.place import Place
    from ledger.core.canonical import JSON, JSONObject
    from ledger.core.keys import PrivateKey


def new_invite(place: Place, network: str, who: tuple[str, str, tuple[str, ...]], ttl: int) -> tuple[Wish, JoinToken, PrivateKey]:
    """Return the wish for an invite, its join token, and the invite's key, which signs too. `who`: name, type, permissions."""
    name, member_type, permissions = who
    if place.embedded:
        raise UsageError("nobody can join an embedded ledger: it has no server")
    from auth.pki import fingerprint, load_chain  # noqa: PLC0415 - 60 ms that only an invite pays

    key = generate_key()
    expires = format_time(int(place.clock.now()) + ttl)
    rights: list[JSON] = [*permissions] or [f"permissions.{member_type}"]
    body: JSONObject = {"name": name, "type": member_type, "key": key.public.text, "permissions": rights, "expires": expires}
    served = place.url.scheme == "https"  # a chain has no CA, whatever this home certifies by itself
    ca = fingerprint(load_chain(place.home.ca_file.read_bytes())[0]) if served and place.home.ca_file.exists() else None
    return Wish("put", "invite", derive_id("invite", body), body), JoinToken(network, place.url.text, ca, key, expires), key
