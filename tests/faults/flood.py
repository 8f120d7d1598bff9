"""A process that floods a master: `python -m tests.faults.flood HOME NETWORK URL CONNECTIONS`. It never waits when it is told to."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from ledger.client.place import Place
from ledger.core.errors import UnavailableError
from ledger.core.limits import LIMITS
from tests.faults.load import Load

LINES = "application/jsonl"


class Flood:
    """Clients that send the largest request there is, again and again."""

    def __init__(self, home: Path, network: str, url: str) -> None:
        self._home = home
        self._url = url
        load = Load(home, network, "flood")
        self._body = b"\n".join(load.envelope().entry for _ in range(LIMITS.request_entries))
        self._refused = 0

    async def run(self, connections: int) -> None:
        """Flood until killed; say when requests are pushed back."""
        await asyncio.gather(*(self._send() for _ in range(connections)))

    async def _send(self) -> None:
        async with await asyncio.to_thread(lambda: Place.find(self._home).transport(url=self._url)) as transport:
            while True:
                try:
                    await transport.post("/v1/entries", self._body, LINES, headers={"Prefer": "return=minimal"})
                except UnavailableError:
                    self._refused += 1
                    if self._refused == 1:
                        sys.stdout.write("full\n")
                        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(Flood(Path(sys.argv[1]), sys.argv[2], sys.argv[3]).run(int(sys.argv[4])))
