"""Members and invites are taken out of a live network by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.command import Cli
from tests.support.reference import documented_shapes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.live import LiveNetwork

SHAPES = dict(documented_shapes())


def invited(network: LiveNetwork, name: str, kind: str = "node") -> Path:
    path = network.folder / f"{name}.token"
    Cli(network.home)("create", "invite", name, "--type", kind, "--out", str(path)).good()
    return path


def joined(network: LiveNetwork, name: str, kind: str = "node") -> Cli:
    cli = Cli(network.folder / name)
    cli("join", f"@{invited(network, name, kind)}").good()
    return cli


def test_a_revoked_member_is_out_and_what_it_wrote_stays(network: LiveNetwork, admin: Cli) -> None:
    member = joined(network, "leaver")
    member.publish({"site": {"id": "left-behind", "name": "Oslo"}})
    checked = admin("revoke", "member", "leaver", "--dry-run", "-o", "json").good().json
    assert [one["result"] for one in checked] == ["checked"]
    assert member("sync").code == 0
    (gone,) = admin("revoke", "member", "leaver", "-o", "json").good().json
    assert list(gone) == SHAPES["revoke member NAME"]
    assert (gone["kind"], gone["result"]) == ("member", "published")
    assert member("sync").code == 3
    assert member("publish", "policy", "-", stdin='{"site": {"name": "Bern"}}').code == 3
    assert admin("get", "policy", "left-behind").good().json["site"]["name"] == "Oslo"
    again = admin("revoke", "member", "leaver")
    assert (again.code, "no live member leaver" in again.err) == (1, True)


def test_a_member_without_the_right_revokes_nobody(network: LiveNetwork, admin: Cli) -> None:
    member = joined(network, "meek")
    joined(network, "victim")
    for words in (("--dry-run",), ()):
        assert member("revoke", "member", "victim", *words).code == 3
    assert "victim" in admin("get", "member", "-o", "json").out


def test_a_member_may_revoke_itself(network: LiveNetwork) -> None:
    member = joined(network, "quitter")
    member("revoke", "member", "quitter").good()
    assert member("sync").code == 3


def test_every_open_invite_of_a_name_is_revoked(network: LiveNetwork, admin: Cli) -> None:
    token = invited(network, "guest")
    admin("create", "invite", "guest", "--type", "user").good()
    dropped = admin("revoke", "invite", "guest", "-o", "json").good().json
    assert [(one["kind"], one["result"]) for one in dropped] == [("invite", "published")] * 2
    assert "guest" not in admin("get", "invites").out
    late = Cli(network.folder / "guest")("join", f"@{token}")
    assert (late.code, "was used, revoked or has expired" in late.err) == (3, True)
    assert admin("revoke", "invite", "guest").code == 1
    assert admin("revoke", "invite", "admin").code == 1  # a member is no invite
