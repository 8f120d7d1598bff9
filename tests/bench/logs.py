"""Networks with large logs: signed and judged once, without a server, and kept outside the tree.

They lie in `$XDG_CACHE_HOME/metaledger/bench` (`~/.cache/metaledger/bench`), a folder for each size. A million policies take
1.7 GiB and some minutes. `python -m tests.bench --forget` deletes them all.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from auth.keystore import KeyStore
from ledger.core.fold import Void, judge
from ledger.engine.store import Store
from ledger.home.clock import SystemClock
from ledger.home.home import Home
from tests.bench.folding import accept
from tests.bench.network import Network
from tests.support.live import configure, found_network, live

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ledger.core.envelope import Envelope
    from ledger.engine.transaction import Transaction
    from tests.support.live import LiveNetwork

LAYOUT = 1  # of what is kept; what another one made is not used
MOST_DAYS = 30  # then the certificates in it come of age
BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Grown:
    """A network whose master has `count` policies, and homes that joined it when it had none."""

    network: LiveNetwork
    folder: Path
    template: Path

    @property
    def author(self) -> Network:
        """Return who signed the policies: it signs the same again, and more."""
        return author_of(self.network.home)

    def fresh_node(self, name: str) -> Path:
        """Return a home that joined and holds next to nothing yet."""
        home = self.folder / name
        shutil.copytree(self.template, home)
        configure(home, ledger=self.network.url)
        return home


def cache_folder() -> Path:
    """Return where networks are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "metaledger" / "bench"


def forget() -> None:
    """Delete every network that is kept."""
    shutil.rmtree(cache_folder(), ignore_errors=True)


@contextmanager
def grown(count: int, folder: Path) -> Iterator[Grown]:
    """Serve a copy of the network of `count` policies, which is made if it is not kept, while inside."""
    kept = cache_folder() / f"{LAYOUT}-{count}"
    if not kept.exists() or SystemClock().now() - kept.stat().st_mtime > MOST_DAYS * 86_400:
        _make(count, kept)
    folder.mkdir()
    with live(kept / "master", folder) as network:
        yield Grown(network, folder, kept / "node")
    shutil.rmtree(folder)  # gigabytes that nothing after this asks for


def author_of(home: Path) -> Network:
    """Return the network of a master's home, with its first member as author."""
    return Network(str(Home(home).read_config()["network"]), [], KeyStore(Home(home).keys).load("member"))


def _make(count: int, kept: Path) -> None:
    sys.stderr.write(f"making a log of {count:,} policies, once; it stays in {kept}\n")
    shutil.rmtree(kept, ignore_errors=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as name:
        scratch = Path(name)
        made = scratch / "made"
        made.mkdir()
        with live(found_network(scratch / "founded"), made) as network:
            asyncio.run(network.join("node"))
            network.master.stop()
        fill(Home(made / "master").database, author_of(made / "master").envelopes(count))
        made.rename(kept)


def fill(database: Path, envelopes: Iterator[Envelope]) -> None:
    """Append what was signed just now, whose signatures are known to be good; LedgerError for what the fold refuses."""
    with closing(Store.open(database)) as store:
        while part := list(islice(envelopes, BATCH)):
            store.write_now(lambda transaction, part=part: _append(transaction, part))  # type: ignore[misc]  # a default binds it


def _append(transaction: Transaction, part: Sequence[Envelope]) -> None:
    transaction.view.prefetch(envelope.statement.id for envelope in part)
    for envelope in part:
        index = transaction.add(envelope.entry, envelope.statement.digest)
        verdict = judge(transaction.view, envelope, index, check=accept)
        if isinstance(verdict, Void):
            raise verdict.error()
        transaction.accept(index, verdict, envelope.statement.body_text)
