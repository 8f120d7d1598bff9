"""What a server looks after while it serves: files that were replaced are taken up, and what is due is renewed. No restart.

Each chore runs again and again. One that fails says so, once as long as it fails in the same words, and goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth.tls import ServerIdentity
    from auth.tokenkeys import TokenKeyFiles
    from auth.tokens import TokenIssuer, TokenVerifier
    from ledger.http.service import World

UPKEEP_SECONDS = 2.0
EXPIRY_WARNING_SECONDS = 14 * 86_400
REMIND_SECONDS = 3_600.0
RETRY_SECONDS = 600.0

Chore = Callable[[], Awaitable[None]]


async def keep_up(chores: Mapping[str, Chore], world: World) -> None:
    """Do all chores, by turns. Ends by cancellation only."""
    said: dict[str, str] = {}
    while True:
        for name, chore in chores.items():
            try:
                await chore()
            except Exception as error:  # noqa: BLE001 - whatever a file or a server makes it stumble over, upkeep goes on
                if said.get(name) != str(error):
                    world.log.failure("upkeep-failed", error, chore=name)
                said[name] = str(error)
            else:
                said.pop(name, None)
        await asyncio.sleep(UPKEEP_SECONDS)


@dataclass(frozen=True, slots=True)
class Renewal:
    """How a certificate is renewed: `due` tells whether it wants to be (blocking), `renew` puts another into its place."""

    due: Callable[[], bool]
    renew: Chore


class CertificateChore:
    """Takes up a certificate that was replaced, renews one that is due, and says when one ends soon."""

    def __init__(self, identity: ServerIdentity, world: World, renewal: Renewal) -> None:
        self._identity = identity
        self._world = world
        self._renewal = renewal
        self._reminded = self._tried = -REMIND_SECONDS

    async def __call__(self) -> None:
        """Look once. Raises what is wrong with the files, or what refused a new certificate; the old one is served on."""
        await self._reload()
        tick = self._world.clock.monotonic()
        if tick - self._tried >= RETRY_SECONDS and await asyncio.to_thread(self._renewal.due):
            self._tried = tick
            await self._renewal.renew()
            await self._reload()
        expires = await asyncio.to_thread(lambda: self._identity.expires)
        if expires - self._world.clock.now() < EXPIRY_WARNING_SECONDS and tick - self._reminded >= REMIND_SECONDS:
            self._reminded = tick
            self._world.log.write("warning", "certificate-expires", expires=expires)

    async def _reload(self) -> None:
        if await asyncio.to_thread(self._identity.reload_if_changed):
            self._world.log.event("certificate-loaded", expires=await asyncio.to_thread(lambda: self._identity.expires))


class TokenKeyChore:
    """Signs tokens with the key that lies in the home now, and takes those of the key before as long as one may be good."""

    def __init__(self, files: TokenKeyFiles, issuer: TokenIssuer, verifier: TokenVerifier, world: World) -> None:
        self._files = files
        self._issuer = issuer
        self._verifier = verifier
        self._world = world

    async def __call__(self) -> None:
        """Look once. Raises what is wrong with the files; the keys before are used on."""
        found = await asyncio.to_thread(self._files.reload_if_changed)
        if found is not None:
            self._issuer.signer = found.signer
            self._verifier.set_keys(found.public)
            self._world.log.event("token-keys-loaded", keys=len(found.public))
