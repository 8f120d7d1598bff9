"""Creating a network: whole or not at all, in an empty place, with what every network begins with."""

from __future__ import annotations

import asyncio
import tomllib
from typing import TYPE_CHECKING

import pytest

from auth.keystore import KeyStore
from ledger.client.answers import value_of
from ledger.client.client import LedgerClient
from ledger.core.errors import ConflictError, LedgerError, UsageError
from ledger.home.home import Home
from ledger.kinds import standard_schemas
from master.create import CreatedNetwork, NewNetwork, create_network
from master.defaults import MEMBER_TYPES, default_permissions, permissions_id
from tests.support.small_network import TurnedClock

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.client.answers import Answer, EntrySeen


def create(home: Path, wanted: NewNetwork) -> CreatedNetwork:
    return asyncio.run(create_network(home, wanted, TurnedClock()))


def ids(answer: Answer) -> set[str]:
    contents = [value_of(policy) for policy in answer.policies]
    return {str(content["id"]) for content in contents if isinstance(content, dict)}


def config(home: Path) -> dict[str, object]:
    return tomllib.loads((home / "config.toml").read_text())


def test_a_served_network_has_every_key_and_certificate(tmp_path: Path) -> None:
    created = create(tmp_path / "home", NewNetwork("demo", public_read=True))
    home = Home(tmp_path / "home")
    assert set(KeyStore(home.keys).names()) == {"admin", "clock", "log", "mark", "member", "server", "token"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in home.keys.iterdir())
    assert home.path.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in home.tls.iterdir()} == {"ca.pem", "ca.key", "cert.pem", "key.pem"}
    assert (home.tls / "ca.key").stat().st_mode & 0o777 == 0o600
    assert {name: config(home.path)[name] for name in ("role", "name", "network", "server", "public_read", "ledger", "listen")} == {
        "role": "master",
        "name": "master",
        "network": created.network,
        "server": "master",
        "public_read": True,
        "ledger": "https://127.0.0.1:8443",
        "listen": "127.0.0.1:8443",
    }


@pytest.mark.parametrize(
    ("url", "listen"),
    [
        ("https://127.0.0.1:9000", "127.0.0.1:9000"),
        ("https://localhost", "127.0.0.1:443"),
        ("https://[::1]:9000", "[::1]:9000"),
        ("https://ledger.example:8443", None),
    ],
)
def test_the_master_listens_where_its_url_says(tmp_path: Path, url: str, listen: str | None) -> None:
    create(tmp_path / "home", NewNetwork("demo", url))
    assert config(tmp_path / "home").get("listen") == listen


def test_the_admin_can_live_elsewhere(tmp_path: Path) -> None:
    create(tmp_path / "home", NewNetwork("demo", admin_home=tmp_path / "admin"))
    assert set(KeyStore(tmp_path / "home" / "keys").names()) == {"clock", "log", "mark", "server", "token"}
    assert set(KeyStore(tmp_path / "admin" / "keys").names()) == {"admin", "member"}
    admin = config(tmp_path / "admin")
    assert (admin["role"], admin["name"], admin["server"]) == ("member", "admin", "master")
    assert (tmp_path / "admin" / "tls" / "ca.pem").read_bytes() == (tmp_path / "home" / "tls" / "ca.pem").read_bytes()
    assert not (tmp_path / "admin" / "tls" / "ca.key").exists()


def test_an_embedded_ledger_lies_in_the_home_or_elsewhere(tmp_path: Path) -> None:
    create(tmp_path / "one", NewNetwork("demo", f"sqlite://{tmp_path}/one/inner/ledger.db"))
    create(tmp_path / "two", NewNetwork("demo", f"sqlite://{tmp_path}/apart.db"))
    assert (tmp_path / "one" / "inner" / "ledger.db").exists()
    assert (tmp_path / "apart.db").exists()
    assert "server" not in config(tmp_path / "one")
    assert not list((tmp_path / "one" / "tls").iterdir())
    assert {path.name for path in tmp_path.iterdir()} >= {"one", "two", "apart.db"}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("name", ["", "Demo", "a b", "x" * 64, "../x"])
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is no name"):
        create(tmp_path / "home", NewNetwork(name))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("url", ["http://h", "https://h/path", "sqlite:///", "ethereum+http://h/0x0", "nonsense", "https://127.0.0.1:0"])
def test_other_urls_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError):
        create(tmp_path / "home", NewNetwork("demo", url))
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    create(tmp_path / "home", NewNetwork("demo"))
    with pytest.raises(ConflictError, match="is not empty"):
        create(tmp_path / "home", NewNetwork("demo"))
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConflictError):
        create(tmp_path / "file", NewNetwork("demo"))
    with pytest.raises(ConflictError):
        create(tmp_path / "new", NewNetwork("demo", admin_home=tmp_path / "home"))
    with pytest.raises(ConflictError, match="exists already"):
        create(tmp_path / "new", NewNetwork("demo", f"sqlite://{tmp_path}/file"))
    with pytest.raises(UsageError, match="there is no directory"):
        create(tmp_path / "new", NewNetwork("demo", f"sqlite://{tmp_path}/nowhere/x.db"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "home"]


@pytest.mark.parametrize("admin", ["home", "home/admin", "."])
def test_two_homes_are_two(tmp_path: Path, admin: str) -> None:
    with pytest.raises(UsageError, match="are not two homes"):
        create(tmp_path / "home", NewNetwork("demo", admin_home=tmp_path / admin))
    with pytest.raises(UsageError, match="embedded"):
        create(tmp_path / "home", NewNetwork("demo", f"sqlite://{tmp_path}/x.db", admin_home=tmp_path / "admin"))


def test_a_failure_half_way_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(LedgerError):
        create(tmp_path / "home", NewNetwork("demo", hosts=("no host",)))
    assert not list(tmp_path.iterdir())


def test_the_first_policies_are_in_force(tmp_path: Path) -> None:
    created = create(tmp_path / "home", NewNetwork("demo", f"sqlite://{tmp_path}/home/ledger.db"))

    async def shown() -> tuple[set[str], set[str], list[EntrySeen]]:
        async with LedgerClient.open(home=tmp_path / "home", clock=TurnedClock()) as client:
            permissions, schemas = [ids(await client.get(kind)) for kind in ("permissions", "schema")]
            return permissions, schemas, await client.void()

    permissions, schemas, void = asyncio.run(shown())
    assert permissions == {permissions_id(name) for name in MEMBER_TYPES} == set(default_permissions())
    assert schemas == set(standard_schemas())
    assert void == []
    assert created.facts()["size"] == created.size >= len(permissions) + len(schemas) + 2


def test_only_admins_may_grant() -> None:
    assert [name for name, body in default_permissions().items() if body["grant"]] == ["permissions.admin"]
    assert default_permissions()["permissions.service"]["allow"] == []
    assert standard_schemas()["schema.operator"]["unique"] == [["name"], ["ip", "port"], ["cluster", "member"]]
