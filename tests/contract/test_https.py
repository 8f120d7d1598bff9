"""The HTTPS backend keeps the contract of the port: a real master in this process, real TLS, a real token."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING

import pytest

from auth.keystore import KeyStore
from auth.pki import CertificateAuthority, encode_tls_key, make_request, new_tls_key, parse_request
from auth.tls import client_context
from ledger.client.https import HttpsBackend
from ledger.client.place import KeyAssertions
from ledger.client.transport import Transport
from ledger.engine.genesis import create_log
from ledger.engine.signing import log_vkey
from ledger.home.clock import SystemClock
from ledger.home.files import create_file
from ledger.home.home import Home
from ledger.home.settings import load_settings
from ledger.http.logs import EventLog
from ledger.http.service import World
from master.app import Master, open_master
from tests.contract.racing import RaceContract
from tests.contract.suite import BackendContract, BackendFactory, Ledger
from tests.support.small_network import ORIGIN, SmallNetwork, key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SERVER = "author"  # the small network has one member, so it is the master's too


def furnish(home: Home, network: SmallNetwork) -> None:
    """Write what a master needs: keys, a CA with a certificate, settings."""
    home.create()
    keys = KeyStore(home.keys)
    for name in ("log", "clock", "mark", "token", "admin"):
        keys.store(name, key(name))
    keys.store("server", key(SERVER))
    now, tls_key = SystemClock().now(), new_tls_key()
    authority = CertificateAuthority.create("small CA", now)
    issued = authority.issue(parse_request(make_request(tls_key, SERVER, ["127.0.0.1"])), now)
    create_file(home.ca_file, authority.certificate)
    create_file(home.tls / "ca.key", authority.encode_key())
    create_file(home.certificate_file, issued.chain)
    create_file(home.certificate_key_file, encode_tls_key(tls_key))
    vkey = log_vkey(ORIGIN, key("log"))
    home.write_config({"role": "master", "network": network.id, "name": SERVER, "server": SERVER, "log_vkeys": [vkey]})


class TestHttps(RaceContract, BackendContract):
    @pytest.fixture
    async def backend_factory(self, tmp_path: Path) -> AsyncIterator[BackendFactory]:
        masters: list[Master] = []
        opened: list[HttpsBackend] = []

        async def make() -> Ledger:
            network, clock, home = SmallNetwork(), SystemClock(), Home(tmp_path / "master")
            await asyncio.to_thread(furnish, home, network)
            await create_log(home.database, network.first, network.keys, clock)
            settings = await asyncio.to_thread(load_settings, home.path, {"listen": "127.0.0.1:0", "drain": 1.0}, {})
            masters.append(await open_master(home, settings, World(clock, EventLog(io.BytesIO(), clock))))
            bound = await masters[-1].start()
            context = client_context(await asyncio.to_thread(home.ca_file.read_bytes))
            assertions = KeyAssertions(key("author"), network.id, clock)
            opened.append(HttpsBackend(Transport(bound.url, context=context, assertions=assertions)))
            return Ledger(opened[-1], network, judges=True)

        yield make
        for backend in opened:
            await backend.close()
        for master in masters:
            await master.stop()
