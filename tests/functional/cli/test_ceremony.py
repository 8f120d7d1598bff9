"""The root ceremony, each admin in a home of its own: one of one becomes two of three, and one of the three loses the key."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.functional.cli.test_revoking import joined
from tests.support.command import Cli
from tests.support.reference import documented_shapes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.live import LiveNetwork

SHAPES = dict(documented_shapes())


def made_key(folder: Path) -> tuple[Cli, str]:
    """Make a root admin's key in an empty home; return the home's commands and the public key."""
    cli = Cli(folder)
    return cli, cli("create", "admin-key").good().out.strip()


def root_in_force(cli: Cli) -> dict[str, object]:
    (found,) = cli("get", "root", "-o", "json").good().json
    body: dict[str, object] = found["root"]
    return body


def draft(cli: Cli, path: Path, *words: str) -> str:
    cli("create", "root", *words, "--out", str(path)).good()
    return str(path)


def test_two_of_three_rule_and_one_who_lost_the_key_is_replaced(network: LiveNetwork, admin: Cli, tmp_path: Path) -> None:
    bea, bea_key = made_key(tmp_path / "bea")
    cem, cem_key = made_key(tmp_path / "cem")
    words = ("--add-admin", f"bea={bea_key}", "--add-admin", f"cem={cem_key}", "--threshold", "2", "--authority-threshold", "2")
    second = draft(admin, tmp_path / "root-2.json", *words)
    early = admin("publish", "root", second)
    assert (early.code, "1 more of admin (admins of root 1)" in early.err, "2 more of admin, bea, cem" in early.err) == (3, True, True)

    one = admin("sign", "root", second, "-o", "json").good()
    assert list(one.json) == SHAPES["sign root FILE"]
    assert (one.json["signed"], one.json["wanting"]) == (["admin"], ["1 more of bea, cem (admins of root 2)"])
    assert "threshold: 1 -> 2" in one.err
    assert admin("publish", "root", second).code == 3
    two = bea("sign", "root", second, "-o", "json").good().json
    assert (sorted(two["signed"]), two["wanting"]) == (["admin", "bea"], None)
    member = joined(network, "messenger", "user")  # whoever hands it in needs no right
    (made,) = member("publish", "root", second, "-o", "json").good().json
    assert list(made) == SHAPES["publish root FILE"]
    assert (made["kind"], made["result"], root_in_force(admin)["threshold"]) == ("root", "published", 2)
    assert member("publish", "root", second, "-o", "json").json[0]["index"] == made["index"]

    alone = admin("publish", "policy", "-", stdin='{"permissions": {"id": "x", "name": "x", "allow": [], "grant": []}}')
    assert (alone.code, "not signed by enough admins" in alone.err) == (1, True)

    shutil.rmtree(cem.home)  # lost: the two others give the third a new key
    cem, cem_key = made_key(tmp_path / "cem-2")
    third = draft(admin, tmp_path / "root-3.json", "--drop-admin", "cem", "--add-admin", f"cem={cem_key}")
    admin("sign", "root", third).good()
    assert "1 more of bea" in admin("publish", "root", third).err
    bea("sign", "root", third).good()
    admin("publish", "root", third).good()
    fourth = draft(admin, tmp_path / "root-4.json", "--patch", '{"stale_after": 43200}')
    for signer in (bea, cem):
        signer("sign", "root", fourth).good()
    admin("publish", "root", fourth).good()
    assert (root_in_force(admin)["version"], root_in_force(admin)["stale_after"]) == (4, 43200)
    assert admin("verify", "ledger", "-o", "json").good().json["void"] == 0

    late = bea("sign", "root", third)
    assert late.code == 0  # a home without a copy cannot know
    assert "root 4 is in force" in admin("sign", "root", third).err
    assert admin("publish", "root", third).good().err == ""  # it stands already: said again, with its index
    stranger, _ = made_key(tmp_path / "stranger")
    assert stranger("sign", "root", fourth).code == 3
    assert member("sign", "root", fourth).code == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "change nothing"),
        (("--drop-admin", "nobody"), "nobody is no admin"),
        (("--add-admin", "admin=ed25519:AAAA"), "key"),
        (("--add-admin", "bea"), "NAME=ed25519"),
        (("--threshold", "7"), "at most the number of admins"),
        (("--patch", "[1]"), "JSON object"),
        (("--patch", '{"surprise": 1}'), "seventeen members"),
    ],
)
def test_a_root_that_cannot_be_is_not_drafted(cli: Cli, words: tuple[str, ...], said: str) -> None:
    ran = cli("create", "root", *words)
    assert (ran.code, ran.raw) == (2, b"")
    assert said in ran.err


def test_the_whole_ceremony_of_an_embedded_ledger_in_one_home(cli: Cli, tmp_path: Path) -> None:
    drafted = cli("create", "root", "--expires", "2040-01-01T00:00:00Z").good()
    path = tmp_path / "root.json"
    path.write_bytes(drafted.raw)
    assert json.loads(drafted.raw)["signatures"] == []
    cli("sign", "root", str(path)).good()
    cli("publish", "root", str(path)).good()
    assert root_in_force(cli)["expires"] == "2040-01-01T00:00:00Z"
    again = draft(cli, tmp_path / "again.json", "--patch", '{"expires": null}')
    assert cli("create", "root", "--patch", '{"expires": null}', "--out", again).code == 5  # nothing is overwritten
    cli("sign", "root", again).good()
    cli("publish", "root", again).good()
    assert root_in_force(cli)["expires"] is None


def test_a_file_that_is_no_root_is_refused(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "root.json"
    for content in (b"", b"{}", b'{"payload":"e30=","payloadType":"application/vnd.metaledger.statement.v1+json","signatures":[]}'):
        path.write_bytes(content)
        assert (cli("sign", "root", str(path)).code, cli("publish", "root", str(path)).code) == (2, 2)
    assert cli("create", "admin-key").code == 5
