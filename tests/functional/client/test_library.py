"""What docs/library.md promises to programs: read-your-writes, time-outs, what cancellation leaves; and the script of the README."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ledger import LedgerClient
from ledger.core.errors import StaleError, UnsupportedError
from tests.support.command import Cli, clean
from tests.support.live import content_of, eventually

if TYPE_CHECKING:
    from ledger.core.canonical import JSONObject
    from tests.support.live import LiveNetwork

ROOT = Path(__file__).resolve().parents[3]


def script(page: str, said: str) -> str:
    (found,) = [block for block in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL) if said in block]
    return str(found)


def test_the_script_of_the_readme_has_five_lines_and_works(tmp_path: Path) -> None:
    lines = script("README.md", "LedgerClient")
    assert len([line for line in lines.splitlines() if line]) == 5
    home = tmp_path / "home"
    Cli(home)("create", "network", "example", "--url", f"sqlite://{home}/ledger.db").good()
    done = subprocess.run(
        [sys.executable, "-c", lines], env=clean({"METALEDGER_HOME": str(home)}), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "'name': 'Oslo'" in done.stdout


async def test_the_script_of_the_page_works(own_network: LiveNetwork) -> None:
    await own_network.join("node-1")
    lines = script("docs/library.md", "at_least")
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", lines], cwd=own_network.folder, env=clean({}), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"\d+ \[\{'site': \{'name': 'Oslo'", done.stdout)


async def test_what_was_written_is_read(own_network: LiveNetwork) -> None:
    home = await own_network.join("node-1")
    async with own_network.client(home) as client:
        made = await client.publish_one({"site": {"id": "bern"}})
        assert made.index is not None
        assert (await client.get("site")).policies == []
        answer = await client.get("site", at_least=made.index + 1)
        assert (answer.size > made.index, len(answer.policies)) == (True, 1)
        with pytest.raises(StaleError):
            await client.get("site", at_least=1_000_000)


async def test_a_cancelled_publish_is_published_again_with_one_effect(own_network: LiveNetwork) -> None:
    home = await own_network.join("node-1")
    async with own_network.client(home) as client, own_network.client() as admin:
        await client.publish_one({"site": {"id": "first"}})  # a connection and a token are there
        with own_network.master.silent():
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await client.publish_one({"site": {"id": "bern", "n": 1}})
            assert (await client.get("site")).size > 0  # reads go on
        again = await client.publish_one({"site": {"id": "bern", "n": 1}})
        assert again.result in ("published", "unchanged")
        assert [content_of(await admin.policy("bern"))["n"], len(await admin.history("bern"))] == [1, 1]
        assert client.verify_receipt(await client.receipt(again.digest or "")).id == "bern"


async def test_a_cancelled_queueing_publish_is_delivered_later(own_network: LiveNetwork) -> None:
    home = await own_network.join("node-1")
    async with own_network.client(home) as client, own_network.client() as admin:
        await client.publish_one({"site": {"id": "first"}})
        with own_network.master.silent():
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(_queue(client, {"site": {"id": "bern"}}), 1.0)
            (kept,) = await client.operations()
            assert kept["state"] == "sent"
        await eventually(lambda: _delivered(client), "the queue is empty")
        assert [version.record.digest for version in await admin.history("bern")] == [kept["digest"]]


async def _queue(client: LedgerClient, policy: JSONObject) -> None:
    async for result in client.publish([policy], queue=True):
        assert result.error is None


async def _delivered(client: LedgerClient) -> bool:
    return (await client.deliver()).waiting == 0 and await client.operations() == []


async def test_a_cancelled_sync_leaves_a_copy_that_syncs(own_network: LiveNetwork) -> None:
    home = await own_network.join("node-1")
    await own_network.publish(*(f"site {number}" for number in range(1_500)))
    async with own_network.client(home) as client:
        before = await client.copy.size()
        for seconds in (0.01, 0.03, 0.06):
            try:
                async with asyncio.timeout(seconds):
                    await client.sync()
            except TimeoutError:
                assert await client.copy.size() in (before, (await client.copy.sync()).size)
        assert (await client.sync()).size >= before + 1_500
        assert (await client.verify_ledger())["verified"] is True


async def test_a_cancelled_opening_of_the_copy_frees_its_lock(own_network: LiveNetwork) -> None:
    home = await own_network.join("node-1")
    async with own_network.client(home) as client:
        for turns in range(12):
            task = asyncio.create_task(client.copy.sync())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert (await client.sync()).size == await client.copy.size()


async def test_a_client_that_is_not_open_says_so(live_network: LiveNetwork) -> None:
    client = await asyncio.to_thread(lambda: LedgerClient.open(home=live_network.home))
    with pytest.raises(UnsupportedError, match="not open"):
        await client.get("site")
