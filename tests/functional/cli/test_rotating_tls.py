"""Certificates, the CA and token keys are replaced under running servers: nobody joins anew, nobody is cut off, nothing restarts."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

import pytest

from auth.onlooker import fetch_chain
from auth.pairs import replace_pair
from auth.pki import CertificateAuthority, CertificateRequest, encode_tls_key, fingerprint, load_chain, new_tls_key
from auth.succession import is_under
from ledger.home.clock import SystemClock
from ledger.home.home import Home
from tests.functional.cli.test_revoking import invited, joined
from tests.support.command import Cli
from tests.support.live import Server, configure, eventually
from tests.support.meanwhile import served_meanwhile
from tests.support.reference import documented_shapes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ledger.client.transport import Transport
    from tests.support.live import LiveNetwork

SHAPES = dict(documented_shapes())
DAY = 86_400


def served_serial(url: str) -> int:
    """Return the serial number of the certificate that a server shows."""
    host, _, port = url.removeprefix("https://").rpartition(":")
    return asyncio.run(fetch_chain(host, int(port)))[0].serial_number


def shows(server: Server, certificate: Path) -> None:
    """Wait until the server shows the certificate that lies in the file."""
    wanted = load_chain(certificate.read_bytes())[0].serial_number
    deadline = time.monotonic() + 30
    while served_serial(server.url) != wanted:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def serial_of(home: Path) -> int:
    return load_chain(Home(home).certificate_file.read_bytes())[0].serial_number


@pytest.fixture
def agent(network: LiveNetwork, request: pytest.FixtureRequest) -> Iterator[Server]:
    server = Server("node", joined(network, request.node.name.replace("_", "-")[5:40].strip("-")).home, "--relay")
    server.start()
    yield server
    server.kill()


def test_master_serves_a_new_certificate_without_a_restart(network: LiveNetwork, admin: Cli) -> None:
    before, process = serial_of(network.home), network.master.pid
    facts = admin("rotate", "certificate", "--name", "ledger.example", "-o", "json").good().json
    assert list(facts) == SHAPES["rotate certificate"]
    assert (facts["name"], "ledger.example" in facts["hosts"], "127.0.0.1" in facts["hosts"]) == ("master", True, True)
    shows(network.master, Home(network.home).certificate_file)
    assert serial_of(network.home) != before
    assert network.master.pid == process
    admin.publish({"site": {"name": "Oslo"}})


def test_node_serves_a_new_certificate_without_a_restart(agent: Server) -> None:
    before = serial_of(agent.home)
    facts = Cli(agent.home)("rotate", "certificate", "-o", "json").good().json
    assert facts["name"] == agent.home.name
    assert serial_of(agent.home) != before
    shows(agent, Home(agent.home).certificate_file)


def test_home_without_a_certificate_has_none_to_replace(cli: Cli) -> None:
    assert cli("rotate", "certificate").code == 1
    assert cli("rotate", "token-key").code == 1
    assert cli("rotate", "ca").code == 4


def test_agent_renews_its_certificate_at_two_thirds_of_its_life(network: LiveNetwork) -> None:
    member = Home(joined(network, "aged").home)
    master = Home(network.home)
    authority = CertificateAuthority.load(master.ca_file.read_bytes(), (master.tls / "ca.key").read_bytes())
    key = new_tls_key()

    def certify(age: int) -> int:
        """Give the member a certificate that is so many days old; return its serial number."""
        request = CertificateRequest("aged", ("127.0.0.1",), key.public_key())
        chain = authority.issue(request, SystemClock().now() - age * DAY).chain
        replace_pair(member.certificate_file, member.certificate_key_file, chain, encode_tls_key(key))
        return serial_of(member.path)

    server = Server("node", member.path)
    young = certify(59)
    server.start()
    try:
        time.sleep(3)
        assert serial_of(member.path) == young
        server.stop()
        old = certify(61)
        server.start()
        asyncio.run(eventually(lambda: serial_of(member.path) != old, "a new certificate"))
        shows(server, member.certificate_file)
    finally:
        server.kill()


async def keys_of(transport: Transport) -> list[str]:
    reply = await transport.get("/.well-known/jwks.json", private=False)
    return [key["kid"] for key in json.loads(reply.body)["keys"]]


async def test_token_key_is_replaced_while_tokens_of_the_old_one_are_good(network: LiveNetwork) -> None:
    admin = Cli(network.home)
    async with network.transport() as transport:
        await transport.get("/v1/policies?kind=site")
        old = (await keys_of(transport))[0]
        facts = (await asyncio.to_thread(admin, "rotate", "token-key", "-o", "json")).good().json
        assert list(facts) == SHAPES["rotate token-key"]

        async def both() -> bool:
            return (await keys_of(transport))[:2] == [facts["keyid"], old]

        await eventually(both, "both keys are shown")
        token = await transport.token()
        await transport.get("/v1/policies?kind=site")
        assert await transport.token() == token  # the old one was taken: none was bought anew
    async with network.transport() as transport:
        assert await transport.token() != token
        await transport.get("/v1/policies?kind=site")
        now = (await asyncio.to_thread(admin, "rotate", "token-key", "--at-once", "-o", "json")).good().json
        assert now["before"] == "refused"

        async def one() -> bool:
            return await keys_of(transport) == [now["keyid"]]

        await eventually(one, "the new key alone is shown")
        await transport.get("/v1/policies?kind=site")  # bought anew, by itself


def test_nobody_is_refused_while_what_tls_and_tokens_stand_on_is_replaced(network: LiveNetwork, admin: Cli) -> None:
    with served_meanwhile(network):
        for what in ("certificate", "token-key", "ca"):
            admin("rotate", what).good()
        shows(network.master, Home(network.home).certificate_file)


def test_whoever_runs_on_in_a_home_trusts_the_ca_that_another_process_of_it_followed(network: LiveNetwork, admin: Cli) -> None:
    home = asyncio.run(network.join("two-processes"))

    def replace() -> None:
        admin("rotate", "ca").good()
        shows(network.master, Home(network.home).certificate_file)
        Cli(home)("sync").good()
        assert Home(home).ca_file.read_bytes() == Home(network.home).ca_file.read_bytes()

    async def run() -> None:
        async with network.transport(home=home) as transport:
            await asyncio.to_thread(replace)
            await transport.get("/v1/policies?kind=site")

    asyncio.run(run())


def test_ca_is_replaced_and_everybody_follows(network: LiveNetwork, admin: Cli, agent: Server) -> None:
    late_token = invited(network, "late", "node")
    reader = joined(network, "reader", "user")
    node = Home(agent.home)
    old_ca = node.ca_file.read_bytes()
    facts = admin("rotate", "ca", "-o", "json").good().json
    assert list(facts) == SHAPES["rotate ca"]
    new_ca = Home(network.home).ca_file.read_bytes()
    assert facts["fingerprint"] == fingerprint(load_chain(new_ca)[0]) != fingerprint(load_chain(old_ca)[0])
    shows(network.master, Home(network.home).certificate_file)

    reader.publish({"site": {"name": "by one who followed"}})
    assert Home(reader.home).ca_file.read_bytes() == new_ca
    newcomer = joined(network, "newcomer")  # invited under the new CA
    assert Home(newcomer.home).ca_file.read_bytes() == new_ca
    Cli(network.folder / "late")("join", f"@{late_token}").good()  # invited under the old one
    assert Home(network.folder / "late").ca_file.read_bytes() == new_ca

    configure(reader.home, ledger=agent.url, server=None)
    reader("sync").good()  # the node's certificate is by the old CA: both are trusted
    agent.stop()
    agent.restart()
    asyncio.run(eventually(lambda: is_under(node.certificate_file.read_bytes(), new_ca), "the agent has a certificate of the new CA"))
    shows(agent, node.certificate_file)
    reader("sync").good()
    Cli(newcomer.home)("sync", "--ledger", agent.url).good()
    again = admin("rotate", "ca", "-o", "json").good().json
    assert again["fingerprint"] != facts["fingerprint"]
    shows(network.master, Home(network.home).certificate_file)
    newcomer("sync").good()
    stranger = Home(network.folder / "late")
    stranger.ca_file.write_bytes(old_ca)  # it slept through both: two links lead to the present CA
    Cli(stranger.path)("sync").good()
    assert stranger.ca_file.read_bytes() == Home(network.home).ca_file.read_bytes()
