"""Kinds at the command line: faults before anything is sent, `explain`, a schema that live policies break."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Cli


def size(cli: Cli) -> int:
    return int(cli("status", "-o", "json").json["size"])


def test_faults_are_named_line_by_line_and_nothing_is_sent(cli: Cli) -> None:
    before = size(cli)
    good = {"site": {"name": "never sent"}}
    ran = cli("publish", "policy", "-", stdin=json.dumps([good, {"operator": {"id": "bad", "name": "", "port": "32148"}}]))
    assert (ran.code, ran.out, size(cli)) == (2, "", before)
    assert '  operator bad /port: expected an integer from 1 to 65535, found "32148"' in ran.err.splitlines() or "/port" in ran.err
    assert [line.split(":")[0].strip() for line in ran.err.splitlines()[1:-1]] == ["/company", "/ip", "/name", "/port"]
    assert "`ledger-cli explain operator` says" in ran.err
    many = [{"operator": {"id": f"bad-{n}", "name": "\x1b[2J\n"}} for n in range(30)]
    ran = cli("publish", "policy", "-", stdin=json.dumps(many))
    assert (ran.code, "and 50 more" in ran.err, "\x1b" in ran.err) == (2, True, False)
    told = cli("publish", "policy", "-", "-o", "json", stdin=json.dumps([good, {"operator": {"id": "bad", "name": "x", "port": 0}}]))
    (refused,) = told.json
    assert (told.code, refused["id"], refused["result"], refused["error"]["code"]) == (2, "bad", "refused", "schema-mismatch")
    assert [fault["pointer"] for fault in refused["error"]["faults"]] == ["/company", "/ip", "/port"]
    taken = {"operator": {"id": "late", "name": "acme", "company": "x", "ip": "10.9.9.9", "port": 1}}
    late = cli("publish", "policy", "-", "-o", "json", stdin=json.dumps(taken))
    assert (late.code, late.json[0]["error"]["other"]) == (5, "acme")
    assert cli("patch", "policy", "acme", '{"port": null}').code == 2
    assert cli("publish", "policy", "-", "--dry-run", stdin='{"operator": {}}').code == 2


def test_defaults_are_filled_in_and_the_receipt_is_still_that_of_the_file(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    path.write_text('{"cluster": {"name": "north", "company": "acme", "table": [{"dbms": "d"}]}}')
    (made,) = cli("publish", "policy", str(path), "--receipt-dir", str(tmp_path), "-o", "json").good().json
    assert cli("publish", "policy", str(path), "-o", "json").good().json[0]["result"] == "unchanged"
    shown = cli("get", "policy", made["id"]).json["cluster"]
    assert (shown["status"], shown["table"]) == ("active", [{"dbms": "d", "status": "active"}])
    receipt = tmp_path / f"{made['id']}.tlog-proof"
    assert (
        cli("verify", "receipt", str(receipt), "--policy", str(path), "-o", "json").good().json["policy"]
        == "the same, with the defaults of its schema"
    )


def test_explain_shows_kinds_attributes_and_paths(reader: Cli) -> None:
    assert "operator    schema.operator    A node that hosts tables" in reader("explain").good().out
    kinds = reader("explain", "-o", "json").good().json
    assert {"operator", "cluster", "query", "uns"} <= {one["kind"] for one in kinds}
    text = reader("explain", "operator").good().out
    for line in ("unique: ip, port", "  port*: an integer from 1 to 65535", '    "name": "acme-operator-1",'):
        assert line in text.splitlines(), line
    assert "refers: cluster is the id of a live cluster; not dropped while it is referred to" in text
    assert reader("explain", "cluster.status").good().out.splitlines()[0] == "  status: text, active when it is left out"
    assert reader("explain", "kind", "query", "-o", "json").good().json["kind"] == "query"
    assert reader("explain", "operator.port", "-o", "json").good().json["unique"] == [["ip", "port"]]
    assert [one["name"] for one in reader("explain", "site", "-o", "jsonl").good().lines[0]["attributes"]] != []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["explain", "nosuch"], 1, "nosuch has no schema"),
        (["explain", "member"], 1, "docs/formats.md"),
        (["explain", "operator.nosuch"], 1, "See `ledger-cli explain operator`"),
        (["explain", "operator."], 0, ""),
        (["explain", "5"], 2, "No such command"),
        (["explain", "kind", "5"], 2, "begins with no kind"),
        (["explain", "operator", "extra"], 2, "unexpected extra argument"),
        (["explain", "operator", "-o", "id"], 2, "'id' is not one of"),
    ],
)
def test_explain_says_what_it_cannot(reader: Cli, words: list[str], code: int, said: str) -> None:
    ran = reader(*words)
    assert (ran.code, said in ran.err) == (code, True), ran.err


def test_a_schema_that_live_policies_break_is_reported_before_it_is_signed(cli: Cli) -> None:
    cli.publish(*({"gauge": {"id": f"g-{n:02}", "name": "same" if n < 3 else f"n{n}", "site": "nowhere"}} for n in range(30)))
    schema = {
        "id": "schema.gauge",
        "kind": "gauge",
        "unique": [["name"]],
        "refs": [{"attr": "site", "kind": "site", "drop": "keep"}],
        "json_schema": {"required": ["max"]},
    }
    before = size(cli)
    tried = cli("publish", "policy", "-", "--dry-run", stdin=json.dumps({"schema": schema}))
    assert (tried.code, size(cli)) == (0, before)
    said = tried.err.splitlines()
    assert said[0] == "warning: 30 of 30 live policies break the new schema of gauge"
    assert said[2] == (
        "  gauge g-01: /max: expected anything (it is required), found nothing; "
        "/name: expected name of its own, found the same as gauge g-00; "
        '/site: expected the id of a live site, found "nowhere"'
    )
    assert (said[20].startswith("  gauge g-19: "), said[21]) == (True, "  and 10 more")
    published = cli("publish", "policy", "-", stdin=json.dumps({"schema": schema}))
    assert (published.code, "30 of 30" in published.err, size(cli)) == (0, True, before + 1)
    refused = cli("patch", "policy", "g-05", '{"name": "other"}')
    assert (refused.code, "/max: expected anything (it is required)" in refused.err) == (2, True)
    cli("patch", "policy", "g-05", '{"name": "other", "max": 1}').good()
    quiet = cli("publish", "policy", "-", stdin=json.dumps({"schema": {**schema, "json_schema": True, "unique": [], "refs": []}}))
    assert (quiet.code, "warning" in quiet.err) == (0, False)
    hostile = cli("publish", "policy", "-", stdin=json.dumps({"schema": {**schema, "json_schema": {"$ref": "https://example.org/"}}}))
    assert (hostile.code, "nothing is ever fetched" in hostile.err) == (2, True)
