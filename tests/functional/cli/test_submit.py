"""`submit`: what others signed is handed in, and counts by its signatures alone."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from auth.keystore import KeyStore
from ledger.client.authoring import Wish, bind, seal
from ledger.core.keys import PrivateKey
from ledger.home.home import Home
from tests.functional.cli.test_revoking import joined
from tests.support.command import Cli
from tests.support.reference import documented_shapes

if TYPE_CHECKING:
    from tests.support.live import LiveNetwork

SHAPES = dict(documented_shapes())
NOW = "2026-01-01T00:00:00Z"


@pytest.fixture
def author(network: LiveNetwork) -> Cli:
    """A member that signs and never sends."""
    home = network.folder / "author"
    return Cli(home) if home.exists() else joined(network, "author", "user")


def signed(network: LiveNetwork, author: Cli | None, *ids: str, ledger: str = "") -> list[dict[str, object]]:
    """Return first versions of sites, signed by the member's key, or by a stranger's, as DSSE envelopes."""
    key = PrivateKey(b"stranger" * 4) if author is None else KeyStore(Home(author.home).keys, None).load("member")
    wishes = [Wish("put", "site", one, {"name": one}) for one in ids]
    statements = [bind(one, ledger=ledger or network.network, prev=None, by=key.public.keyid, iat=NOW) for one in wishes]
    return [json.loads(seal(one, [key]).entry) for one in statements]


def test_what_another_signed_is_published_as_the_other_s(network: LiveNetwork, author: Cli, admin: Cli) -> None:
    envelopes = signed(network, author, "handed-1", "handed-2")
    lines = "\n".join(json.dumps(one) for one in envelopes)
    admin("sync").good()
    dry = admin("submit", "--dry-run", "-", "-o", "json", stdin=lines).good().json
    assert [one["result"] for one in dry] == ["checked", "checked"]
    assert admin("get", "policy", "handed-1", "--ledger", network.url).code == 1
    done = admin("submit", "-", "-o", "json", stdin=lines).good().json
    assert all(list(one) == SHAPES["submit FILE"] for one in done)
    assert [(one["id"], one["result"]) for one in done] == [("handed-1", "published"), ("handed-2", "published")]
    admin("sync").good()
    (version,) = admin("history", "handed-2", "-o", "json").good().json
    assert version["by"] == "author"
    again = admin("submit", "-", "-o", "json", stdin=json.dumps(envelopes[::-1], indent=2)).good().json
    assert [one["index"] for one in again] == [one["index"] for one in done][::-1]


def test_what_nobody_of_the_network_signed_is_refused_and_the_rest_goes_on(network: LiveNetwork, author: Cli, admin: Cli) -> None:
    mixed = [*signed(network, None, "forged"), *signed(network, author, "handed-3")]
    ran = admin("submit", "-", "-o", "json", stdin=json.dumps(mixed))
    assert (ran.code, [one["result"] for one in ran.json]) == (3, ["refused", "published"])
    (elsewhere,) = signed(network, author, "handed-4", ledger="0" * 64)
    ran = admin("submit", "-", stdin=json.dumps(elsewhere))
    assert (ran.code, "envelope 1 is of network 000" in ran.err) == (2, True)
    (altered,) = signed(network, author, "handed-5")
    altered["payload"] = signed(network, author, "handed-6")[0]["payload"]
    ran = admin("submit", "-", stdin=json.dumps(altered))
    assert (ran.code, "bad-signature" in ran.err) == (1, True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no"),
        ('{"site": {"name": "Oslo"}}', "envelope 1: not a DSSE envelope"),
        ('{"payloadType": "application/vnd.metaledger.statement.v1+json", "payload": "e30=", "signatures": []}', "envelope 1"),
        ("[1]", "envelope 1"),
    ],
)
def test_what_is_no_envelope_is_named_before_anything_is_sent(network: LiveNetwork, admin: Cli, text: str, says: str) -> None:
    size = asyncio.run(_size(network))
    ran = admin("submit", "-", stdin=text)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
    assert asyncio.run(_size(network)) == size


async def _size(network: LiveNetwork) -> int:
    async with network.client() as client:
        return int(str((await client.status())["size"]))
