"""Joining: the token is good once, for the network that it names, and a join that stopped is taken up again."""

from __future__ import annotations

import asyncio
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from auth.join import parse_join_token
from auth.keystore import KeyStore, generate_key
from auth.pki import CertificateAuthority, common_name, load_chain
from ledger.client.joining import join_home
from ledger.core.errors import LedgerError, NotAllowedError, OutcomeUnknown, UnreachableError, UsageError, VerificationError
from ledger.home.home import Home
from tests.support.live import LiveNetwork, content_of, open_client
from tests.support.lossy import losing

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_795_000_000.0


async def invite(network: LiveNetwork, name: str) -> str:
    async with network.client() as admin:
        return await admin.invite(name, "node")


async def test_join_makes_a_home_that_stands_by_itself(live_network: LiveNetwork, tmp_path: Path) -> None:
    joined = await join_home(tmp_path / "home", await invite(live_network, "joiner"))
    home = Home(tmp_path / "home")
    assert (joined.network, joined.name) == (live_network.network, "joiner")
    config = await asyncio.to_thread(home.read_config)
    assert (config["role"], config["network"], config["server"]) == ("node", live_network.network, "master")
    assert stat.S_IMODE(home.key_file("member").stat().st_mode) == 0o600
    assert common_name(load_chain(home.certificate_file.read_bytes())[0].subject) == "joiner"
    assert home.ca_file.read_bytes() == live_network.ca_file.read_bytes()
    async with open_client(home.path) as client:
        (member,) = (await client.get("member", "name = joiner")).policies
        assert content_of(member)["permissions"] == ["permissions.node"]
        assert (await client.get("invite", "name = joiner")).policies == []
        assert (await client.verify_ledger())["verified"] is True


async def test_token_is_good_once(live_network: LiveNetwork, tmp_path: Path) -> None:
    line = await invite(live_network, "once")
    await join_home(tmp_path / "first", line)
    with pytest.raises(NotAllowedError):
        await join_home(tmp_path / "second", line)
    assert not Home(tmp_path / "second").config.exists()
    with pytest.raises(UsageError):
        await join_home(tmp_path / "first", line)


async def test_revoked_invite_lets_nobody_in(live_network: LiveNetwork, tmp_path: Path) -> None:
    line = await invite(live_network, "unwanted")
    async with live_network.client() as admin:
        (policy,) = (await admin.get("invite", "name = unwanted")).policies
        await admin.drop(str(content_of(policy)["id"]))
    with pytest.raises(NotAllowedError):
        await join_home(tmp_path / "home", line)


async def test_join_that_stopped_half_way_is_taken_up_again(live_network: LiveNetwork, tmp_path: Path) -> None:
    """The member statement stands, then the machine stopped: before the certificate, before config.toml."""
    line = await invite(live_network, "interrupted")
    await join_home(tmp_path / "home", line)
    home = Home(tmp_path / "home")
    for path in (home.config, home.certificate_file, home.certificate_key_file):
        path.unlink()
    joined = await join_home(home.path, line)
    assert joined.name == "interrupted"
    assert home.certificate_file.exists()


@pytest.mark.parametrize(("passes", "lost"), [((True,), [201]), ((True, True), [201, 401]), ((False,), [None])])
async def test_answer_that_is_lost_while_joining_stops_nobody(
    live_network: LiveNetwork, tmp_path: Path, passes: tuple[bool, ...], lost: list[int | None]
) -> None:
    """The statement stands, and the invite is spent by it when it is sent once more; or it never arrived."""
    name = f"lossy-{len(passes)}-{passes[0]}".lower()
    token = parse_join_token(await invite(live_network, name))
    async with losing(live_network, "/v1/entries", *passes) as way:
        joined = await join_home(tmp_path / "home", replace(token, url=way.url).encode())
    assert (joined.name, way.lost) == (name, lost)


async def test_join_whose_statement_never_arrives_is_unknown_and_is_taken_up_again(live_network: LiveNetwork, tmp_path: Path) -> None:
    token = parse_join_token(await invite(live_network, "unheard"))
    async with losing(live_network, "/v1/entries", False, False) as way:
        line = replace(token, url=way.url).encode()
        with pytest.raises(OutcomeUnknown):
            await join_home(tmp_path / "home", line)
        assert not Home(tmp_path / "home").config.exists()
        assert (await join_home(tmp_path / "home", line)).name == "unheard"


@pytest.mark.parametrize("lie", ["ca", "ledger", "key", "url"])
async def test_token_that_lies_leads_nowhere(live_network: LiveNetwork, tmp_path: Path, lie: str) -> None:
    true = parse_join_token(await invite(live_network, f"misled-{lie}"))
    lies: dict[str, Any] = {"ca": "0" * 64, "ledger": "1" * 64, "key": generate_key(), "url": "https://127.0.0.1:9"}
    expected: dict[str, type[LedgerError]] = {
        "ca": VerificationError,
        "ledger": LedgerError,
        "key": NotAllowedError,
        "url": UnreachableError,
    }
    with pytest.raises(expected[lie]):
        await join_home(tmp_path / "home", replace(true, **{lie: lies[lie]}).encode())
    assert not Home(tmp_path / "home").config.exists()


async def test_home_of_another_ca_trusts_nothing(live_network: LiveNetwork) -> None:
    home = await live_network.join("deceived")
    other = await asyncio.to_thread(lambda: live_network.folder / "other.pem")
    await asyncio.to_thread(other.write_bytes, CertificateAuthority.create("another CA", 1.8e9).certificate)
    await asyncio.to_thread(lambda: Home(home).ca_file.write_bytes(other.read_bytes()))
    async with live_network.client(home) as client:
        with pytest.raises(UnreachableError, match="certificate"):
            await client.sync()


async def test_key_that_is_no_members_gets_no_token(live_network: LiveNetwork) -> None:
    home = await live_network.join("impostor")
    await asyncio.to_thread(Home(home).key_file("member").unlink)
    await asyncio.to_thread(lambda: KeyStore(Home(home).keys).create("member"))
    async with live_network.client(home) as client:
        with pytest.raises(LedgerError) as refused:
            await client.access_token()
    assert refused.value.code == "unauthenticated"
