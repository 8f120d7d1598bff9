"""Which URLs a node follows, and the settings of a home that joined at its first start."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from auth.keystore import KeyStore
from ledger.client.place import Place
from ledger.core.errors import NotFoundError, UsageError
from ledger.home.home import Home
from ledger.home.settings import Settings
from ledger.home.url import parse_ledger_url
from ledger.http.logs import EventLog
from ledger.http.service import World
from ledger.node.agent import join_first
from ledger.node.node import open_node
from ledger.node.sources import open_sources
from tests.support.small_network import Heard, TurnedClock

if TYPE_CHECKING:
    from pathlib import Path

NETWORK = "ab" * 32


def world() -> World:
    clock = TurnedClock()
    return World(clock, EventLog(io.BytesIO(), clock))


def home_of(folder: Path, **settings: object) -> Home:
    home = Home(folder / "home")
    home.create()
    KeyStore(home.keys).create("member")
    home.write_config({"role": "node", "network": NETWORK, "ledger": "https://127.0.0.1:8443", "name": "node-1", **settings})
    return home


def place_of(home: Home, **settings: Any) -> Place:
    wanted = Settings(ledger="https://127.0.0.1:8443", network=NETWORK, **settings)
    return Place(home, wanted, parse_ledger_url(str(wanted.ledger)), TurnedClock())


def test_sources_are_the_ledger_first_and_each_url_once(tmp_path: Path) -> None:
    urls = ("https://relay.example:8444", "https://127.0.0.1:8443", "https://relay.example:8444")
    sources = open_sources(place_of(home_of(tmp_path), sources=urls), (TurnedClock(), Heard()))
    assert [source.url for source in sources] == ["https://127.0.0.1:8443", "https://relay.example:8444"]
    assert [source.facts()["requests"] for source in sources] == [0, 0]


def test_further_urls_of_one_contract_are_its_providers(tmp_path: Path) -> None:
    one, two = (f"ethereum+http://127.0.0.1:{port}/0x{'ab' * 20}" for port in (8545, 8546))
    place = place_of(home_of(tmp_path), sources=(two, "https://relay.example:8444"))
    place = replace(place, url=parse_ledger_url(one))
    assert [source.url for source in open_sources(place, (TurnedClock(), Heard()))] == [one, "https://relay.example:8444"]


@pytest.mark.parametrize("url", ["sqlite:///tmp/ledger.db", "http://127.0.0.1:8443"])
def test_source_that_is_no_server_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="https"):
        open_sources(place_of(home_of(tmp_path), sources=(url,)), (TurnedClock(), Heard()))


async def test_empty_home_is_no_node(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nobody lives"):
        await open_node(Home(tmp_path / "none"), Settings(ledger="https://127.0.0.1:8443"), world())


@pytest.mark.parametrize(
    ("role", "ledger", "words"), [("master", "https://127.0.0.1:8443", "master's home"), ("node", None, "names no ledger")]
)
async def test_home_that_cannot_follow_is_refused(tmp_path: Path, role: str, ledger: str | None, words: str) -> None:
    home = await asyncio.to_thread(home_of, tmp_path)
    with pytest.raises(UsageError, match=words):
        await open_node(home, Settings(role=role, network=NETWORK, ledger=ledger), world())


async def test_token_is_left_alone_in_a_home_that_joined(tmp_path: Path) -> None:
    home = await asyncio.to_thread(home_of, tmp_path)
    settings = Settings(ledger="https://127.0.0.1:8443", listen="127.0.0.1:1")
    assert await join_first(home, settings, world(), "no token at all") is settings
    assert await join_first(Home(tmp_path / "empty"), settings, world(), None) is settings
