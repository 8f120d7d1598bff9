"""A real anvil as a process, on a port of its own, with what tests do to a chain."""

from __future__ import annotations

import asyncio
import re
import tempfile
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from blockchain_adapters.ethereum.rpc import Provider, quantity
from tests.support.chain_tools import anvil

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator
    from pathlib import Path

LISTENING = re.compile(r"Listening on 127\.0\.0\.1:(\d+)")
START_SECONDS = 20
FIRST_BLOCK = 1_790_000_000
CHAIN = 31_337
# The first account of anvil's published development mnemonic: worth nothing anywhere else.
FUNDED_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
FUNDED = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


class Anvil:
    """One running anvil. `start` it, `stop` it; `options` are its own."""

    key = FUNDED_KEY

    def __init__(self, *options: str, port: int = 0) -> None:
        self._options = options
        self.chain = int(options[options.index("--chain-id") + 1]) if "--chain-id" in options else CHAIN
        self._process: Process | None = None
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self.port = port
        self._rpc: Provider | None = None

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def rpc(self) -> Provider:
        """Return the connection that tests use."""
        assert self._rpc is not None
        return self._rpc

    async def start(self) -> None:
        """Start it; return when it answers."""
        command = [str(anvil()), "--host", "127.0.0.1", "--port", str(self.port), *self._options]
        self._process = await asyncio.create_subprocess_exec(*command, stdout=self._output, stderr=self._output)
        for _ in range(START_SECONDS * 50):
            found = LISTENING.search(self._said())
            if found is not None:
                self.port = int(found[1])
                self._rpc = Provider(self.url)
                return
            assert self._process.returncode is None, self._said()[-800:]
            await asyncio.sleep(0.02)
        raise AssertionError("anvil does not start")

    def _said(self) -> str:
        self._output.seek(0)
        return self._output.read().decode(errors="replace")

    async def stop(self, *, kill: bool = False) -> None:
        """Stop it, by SIGKILL if asked. Idempotent."""
        if self._rpc is not None:
            await self._rpc.close()
            self._rpc = None
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            if kill:
                process.kill()
            else:
                process.terminate()
            await process.wait()
        self._output.close()

    async def call(self, method: str, *params: object) -> Any:
        """Ask it."""
        return await self.rpc.call(method, *params)

    async def height(self) -> int:
        """Return the number of its newest block."""
        return quantity(await self.call("eth_blockNumber"))

    async def mine(self, count: int = 1) -> None:
        """Let blocks come."""
        await self.call("anvil_mine", hex(count))

    async def reorg(self, depth: int) -> None:
        """Replace the newest `depth` blocks by empty ones; what was in them is forgotten, by the pool too."""
        await self.call("anvil_reorg", depth, [])

    async def roll_back(self, depth: int) -> None:
        """Take the newest `depth` blocks away."""
        await self.call("anvil_rollback", depth)

    async def automine(self, *, on: bool) -> None:
        """Let every transaction have a block at once, or only `mine` make blocks."""
        await self.call("evm_setAutomine", on)


@asynccontextmanager
async def running_anvil(*options: str) -> AsyncIterator[Anvil]:
    """Run an anvil for the time of the block."""
    one = Anvil(*options)
    try:
        await one.start()
        yield one
    finally:
        await one.stop()


def scratch_state(folder: Path) -> tuple[str, ...]:
    """Return the options with which an anvil keeps its chain over a kill.

    The time of the first block is fixed: each start makes one, and where they differ, any of them is read from the file later.
    """
    return ("--state", str(folder / "state.json"), "--state-interval", "1", "--timestamp", str(FIRST_BLOCK))
