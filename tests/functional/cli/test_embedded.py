"""A network without a server, from the command line: written, read, proven, and found out when it is changed."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

import pytest

from tests.support.command import Cli

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any


def test_publishing_the_same_twice_is_unchanged(cli: Cli) -> None:
    (first,) = cli.publish({"site": {"id": "rome", "name": "Rome"}})
    (second,) = cli.publish({"site": {"name": "Rome", "id": "rome"}})
    assert (first["result"], second["result"]) == ("published", "unchanged")
    assert (first["digest"], first["index"]) == (second["digest"], second["index"])


def test_two_statements_for_one_id_in_one_file_follow_each_other(cli: Cli) -> None:
    first, second, other = cli.publish({"site": {"id": "q", "n": 1}}, {"site": {"id": "q", "n": 2}}, {"site": {"n": 3}})
    assert [one["result"] for one in (first, second, other)] == ["published"] * 3
    assert second["index"] == first["index"] + 1
    versions = cli("history", "q", "-o", "json").good().json
    assert [version["body"] for version in versions] == [{"n": 1}, {"n": 2}]
    assert [version["until"] for version in versions] == [second["index"], None]
    assert versions[0]["by"] == "admin"
    there_and_back = cli.publish({"site": {"id": "q", "n": 3}}, {"site": {"id": "q", "n": 2}})
    assert [one["result"] for one in there_and_back] == ["published"] * 2  # the second is what was stored, and stands no more
    assert [version["body"]["n"] for version in cli("history", "q", "-o", "json").json] == [1, 2, 3, 2]


def test_a_patch_removes_what_is_null_and_keeps_the_rest(cli: Cli, tmp_path: Path) -> None:
    cli("patch", "policy", "acme", '{"tags": null, "city": "Oslo", "port": 1}').good()
    cli("patch", "policy", "acme", '{"city": null}').good()
    assert cli("get", "policy", "acme").json["operator"].keys() >= {"id", "name", "port"}
    assert "city" not in cli("get", "policy", "acme").json["operator"]
    (tmp_path / "change.json").write_text('{"port": 2}')
    cli("patch", "policy", "acme", str(tmp_path / "change.json")).good()
    cli("patch", "policy", "acme", "-", stdin='{"note": "x"}').good()
    shown = cli("get", "policy", "acme").json["operator"]
    assert (shown["port"], shown["note"], shown["name"]) == (2, "x", "acme")


def test_a_policy_is_dropped_once_and_comes_back_by_publishing(cli: Cli) -> None:
    assert cli("drop", "policy", "acme", "-o", "json").good().json[0]["result"] == "published"
    assert cli("drop", "policy", "acme", "-o", "json").good().json[0]["result"] == "unchanged"
    gone = cli("get", "policy", "acme")
    assert gone.code == 1
    assert "was dropped at index" in gone.err
    assert "ledger-cli history acme" in gone.err
    refused = cli("patch", "policy", "acme", '{"x": 1}')
    assert (refused.code, "history acme" in refused.err) == (1, True)
    cli.publish({"operator": {"id": "acme", "name": "acme", "company": "acme", "ip": "10.0.0.11", "port": 32148}})
    assert [v["op"] for v in cli("history", "acme", "-o", "json").json] == ["put", "drop", "put"]


def test_compare_and_set_refuses_another_version_with_exit_5(cli: Cli) -> None:
    (version,) = cli("history", "oslo", "-o", "json").json
    cli.publish({"site": {"id": "oslo", "name": "Oslo S"}}, words=("--expect", version["digest"]))
    late = cli("publish", "policy", "-", "--expect", version["digest"], "-o", "json", stdin='{"site": {"id": "oslo", "name": "Late"}}')
    assert late.code == 5
    assert late.json[0] | {"digest": ""} == {
        "id": "oslo",
        "kind": "site",
        "index": None,
        "digest": "",
        "result": "refused",
        "error": {"code": "version-mismatch", "message": late.json[0]["error"]["message"]},
    }
    assert "[version-mismatch]" in late.err
    assert cli("get", "policy", "oslo").json["site"]["name"] == "Oslo S"
    assert cli("drop", "policy", "oslo", "--expect", version["digest"]).code == 5


def test_a_dry_run_checks_everything_and_sends_nothing(cli: Cli, tmp_path: Path) -> None:
    before = cli("show", "checkpoint", "-o", "json").json["size"]
    policies = [
        {"table": {"id": "t", "dbms": "d", "name": "n", "create": "c"}},
        {"table": {"id": "u", "dbms": "d", "name": "n", "create": "c"}},
    ]
    ran = cli("publish", "policy", "-", "--dry-run", "-o", "json", "--receipt-dir", str(tmp_path / "receipts"), stdin=json.dumps(policies))
    assert [one["result"] for one in ran.json] == ["checked", "refused"]
    assert ran.code == 5
    assert cli("show", "checkpoint", "-o", "json").json["size"] == before
    assert not (tmp_path / "receipts").exists()


def test_receipts_are_written_and_hold(cli: Cli, tmp_path: Path) -> None:
    folder, policy = tmp_path / "receipts", tmp_path / "oslo.json"
    policy.write_text('{"site": {"id": "oslo", "name": "Oslo", "lat": 59.9}}')
    cli("publish", "policy", str(policy), "-", "--receipt-dir", str(folder), stdin='{"site": {"id": "rome"}}').good()
    assert sorted(path.name for path in folder.iterdir()) == ["oslo.tlog-proof", "rome.tlog-proof"]
    verified = cli("verify", "receipt", str(folder / "oslo.tlog-proof"), "--policy", str(policy), "-o", "json").good().json
    assert (verified["verified"], verified["id"], verified["policy"]) == (True, "oslo", "the same")
    shown = tmp_path / "shown.json"
    shown.write_bytes(cli("get", "policy", "oslo").raw)
    assert cli("verify", "receipt", str(folder / "oslo.tlog-proof"), "--policy", str(shown)).code == 0
    policy.write_text('{"site": {"id": "oslo", "name": "Bergen"}}')
    other = cli("verify", "receipt", str(folder / "oslo.tlog-proof"), "--policy", str(policy))
    assert (other.code, "another policy" in other.err) == (1, True)


def test_a_receipt_by_id_by_digest_and_to_stdout_are_of_one_entry(cli: Cli, tmp_path: Path) -> None:
    (version,) = cli("history", "acme", "-o", "json").json
    cli("get", "receipt", "acme", "-o", str(tmp_path / "one")).good()
    assert cli("get", "receipt", version["digest"]).good().raw == (tmp_path / "one").read_bytes()
    assert cli("get", "receipt", "acme", "-o", "-").raw == (tmp_path / "one").read_bytes()
    assert cli("verify", "receipt", "-", stdin=(tmp_path / "one").read_bytes()).code == 0
    assert cli("get", "receipt", "nothing").code == 1
    assert cli("get", "receipt", "0" * 64).code == 1


@pytest.mark.parametrize("place", [40, -200, -60])
def test_a_changed_receipt_is_refused(reader: Cli, place: int) -> None:
    receipt = bytearray(reader("get", "receipt", "acme").raw)
    receipt[place] = ord("B") if receipt[place] == ord("A") else ord("A")
    ran = reader("verify", "receipt", "-", stdin=bytes(receipt))
    assert ran.code in (1, 2)
    assert ran.raw == b""


def test_a_patch_proves_no_policy_that_looks_like_it(cli: Cli, tmp_path: Path) -> None:
    cli("patch", "policy", "oslo", '{"lat": 1}').good()
    receipt, policy = tmp_path / "receipt", tmp_path / "policy.json"
    receipt.write_bytes(cli("get", "receipt", "oslo").good().raw)
    policy.write_text('{"site": {"id": "oslo", "lat": 1}}')
    assert cli("verify", "receipt", str(receipt)).code == 0
    refused = cli("verify", "receipt", str(receipt), "--policy", str(policy))
    assert (refused.code, "is of another policy: patch site oslo" in refused.err) == (1, True)


def test_verify_ledger_agrees_with_an_honest_ledger(reader: Cli) -> None:
    facts = reader("verify", "ledger", "--deep", "-o", "json").good().json
    checkpoint = reader("show", "checkpoint", "-o", "json").json
    assert facts["verified"] is True
    assert facts["state_root"] == checkpoint["state_root"]
    assert facts["accepted"] == facts["size"]
    assert reader("verify", "ledger").out.startswith("network ")


def test_verify_ledger_names_the_entry_that_was_changed(cli: Cli) -> None:
    ((index,),) = _sql(cli, "SELECT idx FROM entry WHERE instr(bytes, 'payload') ORDER BY idx DESC LIMIT 1")
    ((entry,),) = _sql(cli, "SELECT bytes FROM entry WHERE idx=?", index)
    place = entry.index(b'"payload":"') + 40
    changed = entry[:place] + (b"B" if entry[place : place + 1] == b"A" else b"A") + entry[place + 1 :]
    _sql(cli, "UPDATE entry SET bytes=? WHERE idx=?", changed, index)
    ran = cli("verify", "ledger", "-o", "json")
    assert ran.code == 1
    assert (ran.json["verified"], ran.json["index"]) == (False, index)
    assert f"entry {index} was changed" in ran.err


def test_verify_ledger_finds_a_state_that_the_entries_do_not_make(cli: Cli) -> None:
    _sql(cli, "DELETE FROM version WHERE id='oslo'")
    ran = cli("verify", "ledger")
    assert ran.code == 1
    assert "the stored state is not what the entries make" in ran.err


def _sql(cli: Cli, statement: str, *values: object) -> list[Any]:
    with sqlite3.connect(cli.home / "ledger.db") as connection:
        found = connection.execute(statement, values).fetchall()
    connection.close()
    return found


def test_the_past_is_asked_by_size_and_by_time(cli: Cli) -> None:
    size = cli("show", "checkpoint", "-o", "json").json["size"]
    cli("drop", "policy", "oslo").good()
    assert cli("get", "site", "-o", "id").out == ""
    assert cli("get", "site", "-o", "id", "--at", str(size)).out == "oslo\n"
    assert cli("get", "policy", "oslo", "--at", str(size), "-o", "id").out == "oslo\n"
    assert cli("get", "site", "--at", "2099-01-01T00:00:00Z", "-o", "json").json == []
    assert cli("get", "site", "--at", "2001-01-01T00:00:00Z").code == 1
    assert cli("get", "site", "--at", "99999").code == 2
    assert cli("get", "site", "--at", "yesterday").code == 2


def test_the_raw_log_is_shown(reader: Cli) -> None:
    size = reader("show", "checkpoint", "-o", "json").json["size"]
    entries = reader("get", "entries", "-o", "jsonl").good().lines
    assert [entry["index"] for entry in entries] == list(range(size))
    assert reader("get", "entry", "0").json == entries[0]
    assert entries[0]["kind"] == "root"
    assert entries[0]["signatures"]
    assert len(reader("get", "entries", "--from", "2", "--to", "4", "-o", "json").json) == 2
    assert reader("get", "entries", "--from", "2", "--to", "4").out.splitlines()[0].split()[0] == "INDEX"
    assert reader("get", "entry", str(size)).code == 1
    assert reader("get", "entries", "--from", "4", "--to", "2").code == 2
    assert reader("get", "entries", "--from", str(size + 1)).code == 1
    assert (reader("get", "void").out, reader("get", "void", "-o", "json").json) == ("", [])


def test_status_and_sync_of_an_embedded_ledger(reader: Cli) -> None:
    status = reader("status", "-o", "json").good().json
    assert (status["state"], status["alarms"], status["ledger_error"]) == ("ok", [], None)
    assert reader("sync", "-o", "json").good().json["entries"] == 0


def test_nothing_is_newer_than_the_log_itself(reader: Cli) -> None:
    assert reader("get", "operator", "--max-age", "0", "-o", "json").good().json
    assert reader("get", "operator", "--local", "--max-age", "0", "-o", "json").good().json


def test_a_home_without_its_keys_reads_and_is_told_what_it_lacks(cli: Cli) -> None:
    for name in ("member", "admin"):
        (cli.home / "keys" / f"{name}.pem").unlink()
    assert cli("get", "policy", "oslo").code == 0
    ran = cli("publish", "policy", "-", stdin='{"site": {"n": 1}}')
    assert (ran.code, "holds no member key" in ran.err) == (3, True)
    ran = cli("publish", "policy", "-", stdin='{"permissions": {"name": "x", "allow": [], "grant": []}}')
    assert (ran.code, "holds no admin key" in ran.err) == (3, True)


def test_a_home_without_log_keys_cannot_write(cli: Cli) -> None:
    (cli.home / "keys" / "log.pem").unlink()
    ran = cli("publish", "policy", "-", stdin='{"site": {"n": 1}}')
    assert ran.code == 4
    assert "holds no log key" in ran.err


def test_root_policies_are_signed_by_the_root_admin(cli: Cli) -> None:
    (made,) = cli.publish({"schema": {"id": "schema.site", "kind": "site", "unique": [["name"]], "refs": []}})
    assert made["result"] == "published"
    ran = cli("publish", "policy", "-", stdin='{"site": {"id": "oslo2", "name": "Oslo"}}')
    assert ran.code == 5
    assert cli.publish({"site": {"id": "rome", "name": "Rome"}}, words=("--as-root",))[0]["result"] == "published"
    assert cli("get", "entries", "-o", "jsonl").lines[-1]["by"] == "root"


def test_many_policies_are_counted_and_not_listed(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "many.json").write_text(json.dumps([{"site": {"id": f"s{n}", "name": str(n)}} for n in range(30)]))
    ran = cli("publish", "policy", str(tmp_path / "many.json")).good()
    assert (ran.out, ran.err) == ("", "30 published\n")
    assert len(cli("get", "site", "where", "name", "=", '"7"', "-o", "id").out.split()) == 1


def test_another_ledger_is_read_as_it_stands_and_says_so(reader: Cli, tmp_path: Path) -> None:
    url = f"sqlite://{reader.home}/ledger.db"
    nobody = Cli(tmp_path / "nobody")
    ran = nobody("get", "site", "-o", "id", "--ledger", url).good()
    assert (ran.out, "is read as it stands" in ran.err) == ("oslo\n", True)
    assert nobody("get", "site", "-o", "id", METALEDGER_LEDGER=url).out == "oslo\n"
    checked = nobody("verify", "ledger", "--ledger", url, "-o", "json").good()
    assert (checked.json["verified"], "is read as it stands" in checked.err) == (True, False)
    assert reader("get", "site", "--ledger", url).err == "1 policy at size 27\n"
    assert not (tmp_path / "nobody").exists()


def test_an_empty_list_is_nothing_to_publish(cli: Cli) -> None:
    done = cli("publish", "policy", "-", "-o", "json", stdin="[]").good()
    assert (done.json, "nothing to publish" in done.err) == ([], True)
