"""The plug-in for `ethereum+http:` and `ethereum+https:` ledger URLs: a log in a contract, ordered there or mirrored there.

`ethereum+http://HOST:PORT/0xCONTRACT`; what stands before the address is the path at the provider. Further providers of the same
contract stand in `sources`. Which of the two logs it is follows from the network's roots, and from what the contract holds.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from blockchain_adapters.chainfile import AGREED, ChainFile
from blockchain_adapters.directbackend import DirectBackend
from blockchain_adapters.ethereum.account import KEY_FILE, open_account, read_address
from blockchain_adapters.ethereum.artifact import load_artifact
from blockchain_adapters.ethereum.fees import GWEI, Caps
from blockchain_adapters.ethereum.mirroring import EthereumTarget, survey
from blockchain_adapters.ethereum.paying import count_underway, describe_payer
from blockchain_adapters.ethereum.reader import EthereumChain
from blockchain_adapters.ethereum.rpc import Identity, Provider, Rpc
from blockchain_adapters.ethereum.writer import Limits, Writer
from blockchain_adapters.follow import Follower, agree
from blockchain_adapters.opening import HomeWriting, open_log, pinned_network
from ledger.core.errors import ConflictError, NotFoundError, UsageError
from ledger.core.trust import codec
from ledger.core.trust.providers import ChainState
from ledger.home.files import create_file, read_private_file
from ledger.home.url import parse_ledger_url

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from blockchain_adapters.ethereum.account import Account
    from blockchain_adapters.follow import Enough, Progress, Step
    from blockchain_adapters.mirroring import Survey, Target, Terms
    from blockchain_adapters.transactions import Parcel
    from ledger.core.backend import Backend
    from ledger.core.canonical import JSON
    from ledger.core.ports import Clock, Observer
    from ledger.core.trust.roots import PlacedRoot
    from ledger.home.backends import BackendContext
    from ledger.home.home import Home
    from ledger.home.settings import Settings
    from ledger.home.url import LedgerUrl

SCHEMES = ("ethereum+http", "ethereum+https")
ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
IDENTITY = "identity"
RACES = 5


class EthereumSource:
    """`chainbackend.Source` for one contract: reads it into its file from the first provider that is good. `open` it."""

    compares = True
    settles = False

    def __init__(self, rpc: Rpc, kept: ChainFile, clock: Clock, *, confirmations: int | None = None) -> None:
        self.rpc = rpc
        self.kept = kept
        self.here: dict[str, JSON] = {}
        self._clock = clock
        self._confirmations = confirmations
        self._follower = Follower(kept)
        self._views: dict[str, EthereumChain] = {}
        self._agreed_at = -1

    async def open(self) -> None:
        """Learn which chain this is: from the file, else from the providers. Raises what keeps all of them from answering."""
        stored = await self.kept.fact(IDENTITY)
        if stored is not None:
            self.rpc.identity = codec.read(Identity, stored)
        else:
            await self.rpc.call("eth_chainId")
        identity = self.rpc.identity
        if identity is None:
            raise NotFoundError("no provider says which chain it is on")
        await self.kept.note(IDENTITY, codec.write(identity))
        self.here = {"type": "ethereum", "chain": identity.chain, "contract": self.rpc.contract}

    @property
    def target(self) -> str:
        """Return what the operations that go there are filed under in a journal."""
        return f"ethereum:{self.here['chain']}:{self.rpc.contract}"

    @property
    def requests(self) -> int:
        """See Source."""
        return self.rpc.requests

    @property
    def received(self) -> int:
        """See Source."""
        return self.rpc.received

    def view(self, provider: Provider) -> EthereumChain:
        """Return the contract as that provider shows it."""
        found = self._views.get(provider.name)
        if found is None:
            chain = self.here["chain"]
            found = EthereumChain(provider, self.rpc.contract, chain if isinstance(chain, int) else 0, confirmations=self._confirmations)
            self._views[provider.name] = found
        return found

    async def poll(self, progress: Progress | None = None, enough: Enough | None = None) -> None:
        """See Source; no more than `enough`."""
        step = await self._step(progress, enough)
        if step.cursor.final != self._agreed_at or len(self.rpc.providers) > 1:
            await self._agree()
            self._agreed_at = step.cursor.final

    async def _step(self, progress: Progress | None, enough: Enough | None) -> Step:
        """Take what the first good provider has; another process of this home may read the same contract at the same time."""
        attempt = 0
        while True:
            attempt += 1
            try:
                step: Step = await self.rpc.ask(lambda provider: self._follower.step(self.view(provider), progress, enough))
                return step
            except ConflictError:
                if attempt == RACES:
                    raise

    async def _agree(self) -> None:
        """Compare what the providers call final (FORMATS 11)."""
        before = await self.known()
        after = await agree(before, [self.view(one) for one in self.rpc.providers], int(self._clock.now()))
        if after != before:
            await self.kept.note(AGREED, after.to_json())

    async def known(self) -> ChainState:
        """See Source."""
        stored = await self.kept.fact(AGREED)
        return ChainState() if stored is None else ChainState.from_json(stored)

    async def final_height(self, _head: int) -> int:
        """Return the newest block that will not go; -1 when there is none."""
        tip = await self.rpc.ask(lambda provider: self.view(provider).tip())
        return -1 if tip.final is None else int(tip.final)

    def providers(self) -> list[dict[str, object]]:
        """See Source."""
        return [{"provider": one.name, "error": one.error, "requests": one.requests, "bytes": one.received} for one in self.rpc.providers]

    async def close(self) -> None:
        """See Source."""
        await self.rpc.close()
        await self.kept.close()


def rpc_url(url: LedgerUrl) -> tuple[str, str]:
    """Return where the provider of a ledger URL is, and the contract's address. UsageError for a URL that is not of this scheme."""
    before, _, contract = url.path.rpartition("/")
    if url.scheme not in SCHEMES or url.host is None or url.query or not ADDRESS.fullmatch(contract):
        raise UsageError(f"{url.text} names no contract", advice="Write ethereum+http://HOST:PORT/0xCONTRACT.")
    host = f"[{url.host}]" if ":" in url.host else url.host
    port = "" if url.port is None else f":{url.port}"
    return f"{url.transport}://{host}{port}{before}", contract.lower()


def rpc_urls(url: LedgerUrl, sources: Sequence[str]) -> tuple[list[str], str]:
    """Return the providers of a contract: that of the ledger URL, then those of `sources` that name the same contract."""
    first, contract = rpc_url(url)
    urls = [first]
    for one in map(parse_ledger_url, sources):
        if one.scheme in SCHEMES:
            found, other = rpc_url(one)
            urls += [found] if other == contract else []
    return urls, contract


def contract_code() -> str:
    """Return the SHA-256 of the code that this version's contract has on every chain (blocking)."""
    return hashlib.sha256(load_artifact().runtime).hexdigest()


async def open_source(url: LedgerUrl, context: BackendContext, network: str) -> EthereumSource:
    """Open the contract of a URL for reading, with the file in the context's home."""
    _, contract = rpc_url(url)
    return await _open_file(url, context, context.home.path / "chains" / f"{contract}-{network[:16]}.db")


async def open_mirror_source(url: LedgerUrl, context: BackendContext, terms: Terms) -> EthereumSource:
    """Open the contract of a mirror. Its file names the chain: two mirrors may have one address on two chains."""
    _, contract = rpc_url(url)
    chain = terms.chain if isinstance(terms.chain, int) else await _chain_of(url)
    return await _open_file(url, context, context.home.path / "chains" / f"{contract}-{chain}-{terms.network[:16]}.db", chain)


async def _chain_of(url: LedgerUrl) -> int:
    """Ask the provider of a URL which chain it is on; its contract is there."""
    first, contract = rpc_url(url)
    rpc = Rpc([first], contract, code=await asyncio.to_thread(contract_code))
    try:
        identity: Identity = await rpc.ask(rpc.admit)
    finally:
        await rpc.close()
    return identity.chain


async def _open_file(url: LedgerUrl, context: BackendContext, path: Path, chain: int | None = None) -> EthereumSource:
    """Open the contract of a URL, read into the file at `path`; only providers of `chain` count."""
    urls, contract = rpc_urls(url, context.settings.sources)
    kept = await asyncio.to_thread(ChainFile.open, path)
    rpc = Rpc(urls, contract, code=await asyncio.to_thread(contract_code), chain=chain)
    source = EthereumSource(rpc, kept, context.clock, confirmations=context.settings.confirmations)
    try:
        await source.open()
    except BaseException:
        await source.close()
        raise
    return source


class AccountWriting(HomeWriting):
    """What brings entries to a contract, and the account that pays for it."""

    account: Account


async def open_writing(source: EthereumSource, context: BackendContext) -> AccountWriting:
    """Open what writes to the contract for the context's home. Raises what `open_account` raises."""
    return await _open_account_writing(source, context, KEY_FILE, context.home.journal)


async def open_mirror_writing(source: EthereumSource, context: BackendContext, terms: Terms) -> AccountWriting:
    """Open what writes a mirror: its own account, and a journal of its own in the home. Raises what `open_account` raises."""
    path = context.home.path / "mirrors" / f"{source.rpc.contract}-{source.here['chain']}.db"
    return await _open_account_writing(source, context, terms.key, path)


async def _open_account_writing(source: EthereumSource, context: BackendContext, key: str, path: Path) -> AccountWriting:
    account = await asyncio.to_thread(open_account, context.home.keys / key, context.settings.passphrase or "")
    try:
        return await start_writing(source, account, path, (context.clock, context.observer), limits_of(context.settings))
    except BaseException:
        await asyncio.to_thread(account.close)
        raise


def limits_of(settings: Settings) -> Limits:
    """Return what the settings allow a transaction."""
    return Limits(gas=settings.max_gas, caps=Caps(fee=settings.max_fee * GWEI, tip=settings.max_tip * GWEI))


async def start_writing(
    source: EthereumSource, account: Account, path: Path, world: tuple[Clock, Observer], limits: Limits | None = None
) -> AccountWriting:
    """Start the loop that brings what stands in the journal at `path` to the contract, paid by `account`."""
    artifact = await asyncio.to_thread(load_artifact)
    writer = Writer(source.rpc, account, artifact, (world[0], source.final_height), limits)
    target = f"ethereum:{source.here['chain']}:{source.rpc.contract}"
    writing = await AccountWriting.start(path, (writer, target), world, partial(asyncio.to_thread, account.close))
    writing.account = account
    return writing


@dataclass(frozen=True, slots=True)
class EthereumScheme:
    """Opens a contract as a ledger."""

    schemes: tuple[str, ...] = SCHEMES
    key_file: str = KEY_FILE
    shares_key: bool = False

    async def open(self, url: LedgerUrl, context: BackendContext) -> Backend:
        """Return the log in the contract. Raises what keeps it from being read."""
        network = pinned_network(context)
        source = await open_source(url, context, network)
        return await open_log(source, context, network, partial(open_direct, source, network, context))

    async def order(self, url: LedgerUrl, context: BackendContext) -> dict[str, JSON]:  # noqa: ARG002 - the port's
        """See OrderingScheme. Asks the provider which chain it is on."""
        _, contract = rpc_url(url)
        return {"type": "ethereum", "chain": await _chain_of(url), "contract": contract}

    async def begin(self, url: LedgerUrl, context: BackendContext, network: str) -> Backend:
        """See OrderingScheme."""
        return open_direct(await open_source(url, context, network), network, context)

    async def survey(self, url: LedgerUrl, context: BackendContext, terms: Terms, parcel: Parcel) -> Survey:
        """See MirroringScheme."""
        key = context.home.keys / terms.key
        await asyncio.to_thread(read_address, key)  # before anybody is asked
        source = await open_mirror_source(url, context, terms)
        try:
            return await survey(source, key, parcel)
        finally:
            await source.close()

    async def mirror(self, url: LedgerUrl, context: BackendContext, terms: Terms) -> Target:
        """See MirroringScheme."""
        source = await open_mirror_source(url, context, terms)
        try:
            return EthereumTarget(source, await open_mirror_writing(source, context, terms), context.clock.monotonic)
        except BaseException:
            await source.close()
            raise

    def adopt(self, account: Path, home: Home) -> None:
        """See OrderingScheme: a keystore file, as Ethereum's own tools write it."""
        read_address(account)
        create_file(home.keys / KEY_FILE, read_private_file(account))


def open_direct(source: EthereumSource, network: str, context: BackendContext, roots: Sequence[PlacedRoot] = ()) -> DirectBackend:
    """Return the log of `network` as ordered by the contract, whatever stands there yet."""
    found = DirectBackend(source, network, partial(open_writing, source, context), roots=roots)
    found.outstanding = partial(count_underway, source, context.home, context.clock)
    found.describe_payer = partial(describe_payer, source, context.home, context.clock)
    return found


scheme = EthereumScheme()

__all__ = ["EthereumScheme", "EthereumSource", "open_direct", "open_source", "rpc_url", "rpc_urls", "scheme"]
