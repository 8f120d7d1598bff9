"""The plug-in for `https:` ledger URLs (`ledger.home.backends`)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.client.place import Place

if TYPE_CHECKING:
    from ledger.core.backend import Backend
    from ledger.home.backends import BackendContext
    from ledger.home.url import LedgerUrl


@dataclass(frozen=True, slots=True)
class HttpsScheme:
    """Opens `https://HOST:PORT`."""

    schemes: tuple[str, ...] = ("https",)

    async def open(self, url: LedgerUrl, context: BackendContext) -> Backend:
        """Return the backend of a master or relay, with the identity of the context's home."""
        url.require_bare()
        return await asyncio.to_thread(Place(context.home, context.settings, url, context.clock).https)


https = HttpsScheme()
