"""A real geth as a process, without its own consensus: ours drives it over the engine API, so that reorganisations and finality are real.

The genesis is geth's own development one, cut back to a fork that its engine API serves and to chain 1337.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import aiohttp

from blockchain_adapters.ethereum.rpc import Provider, quantity
from ledger.core.errors import LedgerError
from ledger.home.clock import SystemClock
from tests.support.chain_tools import geth
from tests.support.ports import free_ports

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator
    from pathlib import Path

CHAIN = 1_337
KEY = "0x" + "11" * 32
FUNDED = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"  # the address of that key
SECRET = "22" * 32
ZERO = "0x" + "0" * 64
START_SECONDS = 30
BUILD_SECONDS = 0.06  # what geth gets to fill a block, at first
BUILDS = 5  # how often a block that stayed empty beside a full pool is made anew, with twice the time
UNSCHEDULED = ("number", "gasUsed", "parentHash", "excessBlobGas", "blobGasUsed", "slotNumber")
NO_PEERS = '[Node.P2P]\nMaxPeers = 0\nNoDiscovery = true\nListenAddr = ""\nNoDial = true\n'


def make_genesis(program: str) -> dict[str, Any]:
    """Return the genesis: Osaka from the start, one account with funds."""
    done = subprocess.run([program, "--dev", "dumpgenesis"], capture_output=True, text=True, timeout=60, check=True)
    genesis: dict[str, Any] = json.loads(done.stdout)
    config = genesis["config"]
    config["chainId"] = CHAIN
    for later in ("bogotaTime", "amsterdamTime"):
        config.pop(later, None)
    config["blobSchedule"]["osaka"] = dict(config["blobSchedule"]["prague"])
    genesis["alloc"][FUNDED[2:].lower()] = {"balance": hex(10**24)}
    genesis["gasLimit"] = hex(60_000_000)
    for name in UNSCHEDULED:
        genesis.pop(name, None)
    return genesis


class Geth:
    """One running geth in `folder`. It makes a block for every transaction that waits, unless told not to."""

    chain = CHAIN
    key = KEY

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: Process | None = None
        self._rpc: Provider | None = None
        self._engine: aiohttp.ClientSession | None = None
        self._driver: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self.automatic = True
        self.finalized = ZERO
        self.lag: int | None = None  # how far the final block is behind the newest; None: nothing is final
        self.port, self._engine_port = free_ports(2)

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
        """Start it, made anew if the folder is empty; return when it answers."""
        program = str(geth())
        store = self._folder / "chain"
        if not store.exists():
            await asyncio.to_thread(self._prepare, program, store)
        web = ["--http", "--http.addr", "127.0.0.1", "--http.port", str(self.port), "--http.api", "eth,net,web3,debug,txpool"]
        auth = ["--authrpc.addr", "127.0.0.1", "--authrpc.port", str(self._engine_port), "--authrpc.jwtsecret", f"{self._folder}/jwt"]
        place = ["--config", f"{self._folder}/geth.toml", "--datadir", str(store), "--networkid", str(CHAIN), "--syncmode", "full"]
        with (self._folder / "geth.out").open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                program, *place, "--ipcdisable", "--nat", "none", *web, *auth, stdout=output, stderr=output
            )
        self._rpc = Provider(self.url)
        self._engine = aiohttp.ClientSession()
        await self._answers()
        self._driver = asyncio.create_task(self._drive())

    def _prepare(self, program: str, store: Path) -> None:
        (self._folder / "genesis.json").write_text(json.dumps(make_genesis(program)))
        (self._folder / "jwt").write_text(SECRET)
        (self._folder / "geth.toml").write_text(NO_PEERS)
        command = [program, "init", "--datadir", str(store), str(self._folder / "genesis.json")]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    async def _answers(self) -> None:
        for _ in range(START_SECONDS * 20):
            with suppress(LedgerError):
                await self.height()
                return
            assert self._process is not None
            assert self._process.returncode is None, (self._folder / "geth.out").read_text()[-800:]
            await asyncio.sleep(0.05)
        raise AssertionError("geth does not start")

    async def stop(self) -> None:
        """Stop it. Idempotent."""
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.cancel()
            await asyncio.gather(driver, return_exceptions=True)
        for session in (self._rpc, self._engine):
            if session is not None:
                await session.close()
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.terminate()
            await process.wait()

    async def call(self, method: str, *params: object) -> Any:
        """Ask it."""
        return await self.rpc.call(method, *params)

    async def height(self) -> int:
        """Return the number of its newest block."""
        return quantity(await self.call("eth_blockNumber"))

    async def block_hash(self, height: int | str) -> str:
        """Return the hash of the block at a height."""
        found = await self.call("eth_getBlockByNumber", height if isinstance(height, str) else hex(height), False)
        return str(found["hash"])

    # -- our consensus -------------------------------------------------------------------------------------------

    async def mine(self, count: int = 1) -> None:
        """Let blocks come, with what waits in the pool."""
        for _ in range(count):
            async with self._turn:
                await self._mine()

    async def _mine(self) -> None:
        head = await self.call("eth_getBlockByNumber", "latest", False)
        at, waiting = max(quantity(head["timestamp"]) + 1, int(SystemClock().now())), await self._waiting()
        made, filled = await self._build(str(head["hash"]), at)
        for again in range(1, BUILDS):
            if waiting and not filled:
                made, filled = await self._build(str(head["hash"]), at, wait=BUILD_SECONDS * 2**again)
        await self._choose(made)
        await self._settle()

    async def _waiting(self) -> bool:
        return quantity((await self.call("txpool_status"))["pending"]) > 0

    async def reorg(self, depth: int, *, longer: int = 1) -> None:
        """Switch to another branch that leaves the newest `depth` blocks out and is `longer`: geth puts what was in them there."""
        async with self._turn:
            height = await self.height()
            parent = await self.call("eth_getBlockByNumber", hex(height - depth), False)
            head, at = str(parent["hash"]), quantity(parent["timestamp"]) + 1_000
            for number in range(depth + longer):
                head, _ = await self._build(head, at + number, wait=0.0)
            await self._choose(head)

    async def finalize(self, height: int) -> None:
        """Make a block final."""
        self.finalized = await self.block_hash(height)
        await self._choose(await self.block_hash("latest"))

    async def _settle(self) -> None:
        if self.lag is not None and await self.height() > self.lag:
            await self.finalize(await self.height() - self.lag)

    async def _drive(self) -> None:
        while True:
            if self.automatic and await self._waiting():
                async with self._turn:
                    if self.automatic:  # it may have been told not to while it asked
                        await self._mine()
            await asyncio.sleep(0.02)

    async def _build(self, parent: str, timestamp: int, *, wait: float = BUILD_SECONDS) -> tuple[str, bool]:
        """Make a block on `parent` and hand it in; return its hash, and whether there is something in it."""
        wanted = {
            "timestamp": hex(timestamp),
            "prevRandao": "0x" + os.urandom(32).hex(),
            "suggestedFeeRecipient": "0x" + "00" * 20,
            "withdrawals": [],
            "parentBeaconBlockRoot": ZERO,
        }
        # Asking to build on a block that is not the head makes it the head: the one that was comes back by `_choose`.
        started = await self._engine_call("engine_forkchoiceUpdatedV3", self._fork_choice(parent), wanted)
        await asyncio.sleep(wait)
        made = await self._engine_call("engine_getPayloadV5", started["payloadId"])
        payload = made["executionPayload"]
        taken = await self._engine_call("engine_newPayloadV4", payload, [], ZERO, made["executionRequests"])
        assert taken["status"] == "VALID", taken
        return str(payload["blockHash"]), bool(payload["transactions"])

    async def _choose(self, head: str) -> None:
        answer = await self._engine_call("engine_forkchoiceUpdatedV3", self._fork_choice(head), None)
        assert answer["payloadStatus"]["status"] == "VALID", answer

    def _fork_choice(self, head: str) -> dict[str, str]:
        return {"headBlockHash": head, "safeBlockHash": self.finalized, "finalizedBlockHash": self.finalized}

    async def _engine_call(self, method: str, *params: object) -> Any:
        assert self._engine is not None
        headers = {"Authorization": f"Bearer {_token()}"}
        asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        async with self._engine.post(f"http://127.0.0.1:{self._engine_port}", json=asked, headers=headers) as reply:
            answer = await reply.json()
        assert "result" in answer, (method, answer)
        return answer["result"]


def _token() -> str:
    """Return the token of the engine API: a JWT of the shared secret, good for a minute."""

    def b64(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    signed = b64(b'{"alg":"HS256","typ":"JWT"}') + "." + b64(json.dumps({"iat": int(SystemClock().now())}).encode())
    return signed + "." + b64(hmac.new(bytes.fromhex(SECRET), signed.encode(), hashlib.sha256).digest())


@asynccontextmanager
async def running_geth(folder: Path) -> AsyncIterator[Geth]:
    """Run a geth for the time of the block."""
    one = Geth(folder)
    try:
        await one.start()
        yield one
    finally:
        await one.stop()
        await asyncio.to_thread(shutil.rmtree, folder / "chain", ignore_errors=True)  # some hundred MB, preallocated
