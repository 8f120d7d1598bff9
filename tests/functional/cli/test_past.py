"""Change over time at the command line: `diff policy`, what `history` says was changed, rights at a size and a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ledger.core.errors import NotFoundError
from tests.support.live import ledger_cli

if TYPE_CHECKING:
    from ledger.core.canonical import JSONObject
    from tests.support.command import Cli
    from tests.support.live import LiveNetwork


def test_history_says_who_changed_what(cli: Cli) -> None:
    cli("patch", "policy", "acme", '{"port": 1, "company": "ACME", "city": "Oslo"}').good()
    cli("drop", "policy", "acme").good()
    versions = cli("history", "acme", "-o", "json").good().json
    assert [[change["op"] + change["path"] for change in version["changes"]] for version in versions[1:]] == [
        ["add/city", "replace/company", "replace/port"],
        ["remove/city", "remove/company", "remove/ip", "remove/name", "remove/port"],
    ]
    assert versions[1]["changes"][2] == {"op": "replace", "path": "/port", "before": 32148, "after": 1}
    lines = cli("history", "acme").good().out.splitlines()
    assert lines[0].split() == ["INDEX", "OP", "BY", "IAT", "CHANGED", "DIGEST"]
    assert "+/city ~/company ~/port" in lines[2]


def test_diff_compares_sizes_times_and_versions(cli: Cli) -> None:
    (first,) = cli("history", "acme", "-o", "json").json
    cli("patch", "policy", "acme", '{"port": 1}').good()
    cli("patch", "policy", "acme", '{"port": 2, "note": {"a~b": ["x"]}}').good()
    last = cli("diff", "policy", "acme").good()
    assert (last.out, "acme: index" in last.err) == ('+ /note {"a~b":["x"]}\n~ /port 1 → 2\n', True)
    assert cli("diff", "policy", "acme", "--from", first["digest"]).good().out.splitlines()[1] == "~ /port 32148 → 2"
    there = cli("diff", "policy", "acme", "--from", str(first["index"]), "--to", str(first["index"] + 1), "-o", "json").good().json
    assert (there["from"], there["to"]["digest"]) == (None, first["digest"])
    assert [change["path"] for change in there["changes"]] == ["/company", "/ip", "/name", "/port"]
    assert cli("diff", "policy", "acme", "--to", first["digest"], "-o", "json").good().json["from"] is None
    assert cli("diff", "policy", "acme", "--from", first["digest"], "--to", first["digest"]).good().out == ""
    now = cli("diff", "policy", "acme", "--from", first["digest"], "--to", "2099-01-01T00:00:00Z", "-o", "json").good().json
    assert len(now["changes"]) == 2
    backwards = cli("diff", "policy", "acme", "--from", "2099-01-01T00:00:00Z", "--to", first["digest"]).good().out.splitlines()
    assert backwards == ['- /note {"a~b":["x"]}', "~ /port 2 → 32148"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["diff", "policy", "nobody"], 1, "no policy nobody was ever accepted"),
        (["diff", "policy", "acme", "--from", "yesterday"], 2, "neither a tree size nor a time"),
        (["diff", "policy", "acme", "--from", "-1"], 2, "is no size of it"),
        (["diff", "policy", "acme", "--to", "1000000"], 2, "is no size of it"),
        (["diff", "policy", "acme", "--to", "0" * 64], 1, "has no version"),
        (["diff", "policy", "acme", "--from", "1970-01-01T00:00:00Z"], 1, "no mark as early"),
        (["diff", "policy"], 2, "Missing argument"),
        (["get", "permissions", "--of", "nobody"], 1, "no live member nobody"),
        (["get", "permissions", "--of", "acme"], 1, "no live member acme"),
        (["get", "permissions", "--of", "admin", "--at", "3"], 1, "no live member admin at size 3"),
        (["get", "permissions", "--of", "admin", "where", "name", "=", "x"], 2, "--of goes with --at"),
        (["get", "permissions", "--of", "admin", "--local"], 2, "--of goes with --at"),
    ],
)
def test_what_cannot_be_compared_is_said(reader: Cli, words: list[str], code: int, said: str) -> None:
    ran = reader(*words)
    assert (ran.code, said in ran.err) == (code, True), ran.err


@pytest.mark.parametrize(
    ("at", "helps"),
    [
        ("yesterday", "Give a size from 0 to"),
        ("1000000", "`ledger-cli sync` fetches"),
        ("1970-01-01T00:00:00Z", "Ask for a later time, or for a tree size."),
    ],
)
def test_a_place_that_is_none_says_which_there_are(reader: Cli, at: str, helps: str) -> None:
    assert helps in reader("get", "operator", "--at", at).err


async def given(network: LiveNetwork, who: str, at: int | None = None) -> dict[str, list[str]]:
    """Return the ids of the permissions that a member has, each with what gives it."""
    async with network.client() as client:
        found = await client.rights(who, at=None if at is None else str(at))
    return {right.permissions.id: right.given_by for right in found.rights}


async def test_permissions_of_a_member_are_shown_with_the_reason(own_network: LiveNetwork) -> None:
    await own_network.join("node-1")
    async with own_network.client() as admin:
        member = (await admin.rights("node-1")).member.id
        before = await admin.copy.size()
        assignment: JSONObject = {"id": "a-1", "members": [member], "permissions": ["permissions.user", "permissions.node"]}
        await admin.publish_one({"assignment": assignment})
    both = {"permissions.node": [member, "a-1"], "permissions.user": ["a-1"]}
    assert await given(own_network, "node-1") == await given(own_network, member) == both
    assert await given(own_network, "node-1", before) == {"permissions.node": [member]}
    lines = (await asyncio.to_thread(ledger_cli, own_network.home, "get", "permissions", "--of", "node-1")).stdout.splitlines()
    assert lines[0].split() == ["MAY", "KINDS", "OF", "PERMISSIONS", "BECAUSE"]
    assert "its own policy, assignment a-1" in lines[1]
    async with own_network.client() as admin:
        await admin.drop(member)
        with pytest.raises(NotFoundError, match="no live member node-1"):
            await admin.rights("node-1")
    assert await given(own_network, "node-1", before + 1) == both


def test_permissions_are_a_table_of_what_may_be_done(cli: Cli) -> None:
    lines = cli("get", "permissions", "--of", "admin").good().out.splitlines()
    assert [line.split("   ")[0] for line in lines[1:]] == ["put, patch, drop", "put, patch, drop", "grant"]
    (right,) = cli("get", "permissions", "--of", "admin", "-o", "json").good().json
    assert list(right) == ["id", "name", "allow", "grant", "given_by"]
    names = cli("get", "permissions", "-o", "id").good().out.split()
    assert sorted(names) == [f"permissions.{name}" for name in ("admin", "node", "service", "user")]
    assert cli("get", "permissions", "where", "name", "=", "node", "--at", "20", "-o", "id").good().out == "permissions.node\n"
