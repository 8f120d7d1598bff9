"""An operator lets a restored master sign on, by a word at its start."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ledger.home.home import Home
from tests.support.command import Cli
from tests.support.live import size_of

if TYPE_CHECKING:
    from tests.support.live import LiveNetwork


def test_a_master_without_its_head_file_signs_on_when_it_is_told_from_where(network: LiveNetwork) -> None:
    admin = Cli(network.home)
    admin.publish({"site": {"name": "Oslo"}})
    size = asyncio.run(size_of(network.home))
    address = network.url.removeprefix("https://")
    network.master.stop()
    Home(network.home).head_file.unlink()
    network.master.start(address)
    assert admin("publish", "policy", "-", stdin='{"site": {"name": "Bern"}}').code == 5
    network.master.stop()
    wrong = admin("run", "master", "--listen", address, "--accept-fork-risk", str(size + 1))
    assert (wrong.code, str(size) in wrong.err) == (2, True)
    network.master.start(address, "--accept-fork-risk", str(size))
    admin.publish({"site": {"name": "Bern"}})
    assert asyncio.run(size_of(network.home)) > size
