"""What commands refuse: one line of what, one line of what to do, and the exit code of the contract."""

from __future__ import annotations

import re
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.support.command import PROGRAM, Cli, clean

if TYPE_CHECKING:
    from pathlib import Path

REFUSED = [
    (2, ["nosuch"], "No such command 'nosuch'"),
    (2, ["publish", "polcy"], "Did you mean 'policy'"),
    (2, ["publish", "policy"], "Missing argument 'FILE...'"),
    (2, ["publish", "policy", "/nowhere/x.json"], "cannot read /nowhere/x.json"),
    (2, ["publish", "policy", "-", "-"], "standard input can be read once"),
    (2, ["publish", "policy", "-", "--expect", "abc"], "'abc' is no digest"),
    (2, ["publish", "policy", "-"], "- holds no policy"),
    (2, ["patch", "policy", "acme", "[1]"], "a patch is a JSON object"),
    (2, ["patch", "policy", "acme", '{"a":'], "not JSON"),
    (1, ["patch", "policy", "nobody", '{"a": 1}'], "no live policy nobody"),
    (1, ["drop", "policy", "nobody"], "no policy nobody"),
    (1, ["history", "nobody"], "no policy nobody was ever accepted"),
    (1, ["get", "policy", "nobody"], "no policy nobody"),
    (2, ["get", "12"], "No such command '12'"),
    (2, ["get", "kind", "1x"], "'1x' is no kind"),
    (2, ["get", "mirror"], "get kind mirror"),
    (2, ["get", "operator", "where", "name", "="], "query, column 13: expected a value"),
    (2, ["get", "operator", "name", "like", "x"], "docs/query.md"),
    (2, ["get", "operator", "--max-age", "-5"], "--max-age"),
    (2, ["get", "entries", "--from", "x"], "--from"),
    (2, ["get", "operator", "-o", "xml"], "'xml' is not one of"),
    (2, ["verify", "receipt", "-"], "a receipt begins with"),
    (2, ["create", "invite", "n", "--type", "node"], "nobody can join an embedded ledger"),
    (2, ["create", "invite", "n", "--type", "node", "--ttl", "5"], "'5' is no time span"),
    (2, ["create", "invite", "n", "--type", "node", "--ttl", "9999d"], "between 1s and 3650d"),
    (2, ["create", "token"], "has no server"),
    (2, ["run", "master"], "is the home of a member"),
    (1, ["create", "contract", "ethereum+http://127.0.0.1:9", "--dry-run"], "Make one with `ledger-cli create account`"),
    (5, ["create", "network", "again"], "is not empty"),
    (2, ["get", "operator", "--ledger", "sqlite:///"], "names no file by its absolute path"),
    (1, ["get", "operator", "--ledger", "sqlite:///nowhere/x.db"], "there is no ledger at /nowhere/x.db"),
    (2, ["get", "operator", "--ledger", "htps://h"], "no backend serves"),
    (1, ["retry", "operation", "7"], "there is no operation 7"),
    (1, ["drop", "operation", "7"], "there is no operation 7"),
    (1, ["drop", "operation", "9" * 30], "there is no operation 9"),
    (2, ["retry", "operation", "first"], "'first' is not a valid integer"),
    (2, ["get", "operation"], "get kind operation"),
    (2, ["get", "site", "--local", "--at", "3"], "not of the past"),
    (2, ["publish", "policy", "/dev/null", "--queue", "--dry-run"], "holds no policy"),
    (4, ["backup", "/nowhere/backup"], "/nowhere"),
    (2, ["restore", "/nowhere/backup"], "cannot read /nowhere/backup"),
    (4, ["export", "-o", "/nowhere/export"], "/nowhere/export"),
    (2, ["import", "/nowhere/export"], "cannot read /nowhere/export"),
    (2, ["verify", "ledger", "/nowhere/export"], "cannot read /nowhere/export"),
    (2, ["import", "/dev/null"], "is no export of a ledger"),
    (2, ["join", "nonsense"], "A join token begins with"),
    (2, ["join", "metaledger-join-1.abc"], "damaged"),
    (2, ["join", "-"], "A join token begins with"),
]


@pytest.mark.parametrize(("code", "words", "said"), REFUSED, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_a_refusal_says_what_and_what_to_do(reader: Cli, code: int, words: list[str], said: str) -> None:
    ran = reader(*words)
    assert (ran.code, ran.raw) == (code, b"")
    *_, what, advice = ran.err.splitlines()
    assert re.fullmatch(r"error: .+ \[[a-z-]+\]", what)
    assert re.fullmatch(r"  \S.+", advice)
    assert said in ran.err


@pytest.mark.parametrize(
    "words", [["get", "operator", "--max-age"], ["publish", "policy", "--nosuch"], ["patch", "policy"], ["run", "master", "--listen"]]
)
def test_a_mistake_leads_to_the_help_of_its_command(reader: Cli, words: list[str]) -> None:
    ran = reader(*words)
    assert (ran.code, f"See `ledger-cli {words[0]} {words[1]} --help`." in ran.err) == (2, True), ran.err


def test_every_command_refuses_an_empty_home_alike(tmp_path: Path) -> None:
    nobody = Cli(tmp_path / "nobody")
    for words in (["get", "site"], ["status"], ["sync"], ["watch"], ["publish", "policy", "-"], ["create", "token"], ["run", "master"]):
        ran = nobody(*words, stdin='{"site": {}}')
        assert (ran.code, "nobody lives in" in ran.err, "ledger-cli create network" in ran.err) == (1, True, True), words
    assert not nobody.home.exists()


def test_broken_json_names_the_file_and_the_line(cli: Cli, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"a": {"x": 1}}\n\n{"a": {"x": 2}\n')
    ran = cli("publish", "policy", str(broken))
    assert (ran.code, f"{broken}, line 3: not JSON" in ran.err) == (2, True)
    broken.write_text('{\n  "a": {"x": 1,}\n}\n')
    ran = cli("publish", "policy", str(broken))
    assert (ran.code, f"{broken}: not JSON" in ran.err) == (2, True)
    broken.write_text('{"a": {"x": 1}}\n{"b": 2}\n')
    ran = cli("publish", "policy", str(broken))
    assert (ran.code, "'b' holds no object" in ran.err) == (2, True)
    assert cli("get", "a", "-o", "id").out == ""


def test_a_document_over_lines_and_one_a_line_are_both_read(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text('\ufeff{\n  "a": {\n    "x": 1}\n}\n')
    (tmp_path / "lines.jsonl").write_text('{"a": {"x": 2}}\r\n{"a": {"x": 3}}\r\n')
    (tmp_path / "array.json").write_text('[{"a": {"x": 4}}]')
    files = [str(tmp_path / name) for name in ("one.json", "lines.jsonl", "array.json")]
    assert len(cli("publish", "policy", *files, "-o", "json").good().json) == 4


def test_verbose_shows_where_an_error_comes_from(reader: Cli) -> None:
    assert "Traceback" not in reader("get", "policy", "nobody").err
    assert "Traceback" in reader("get", "policy", "nobody", "-v").err
    assert "Traceback" in reader("-v", "get", "operator", "-o", "xml").err


def test_help_teaches_at_every_verb(reader: Cli) -> None:
    for words in ([], ["get"], ["create"], ["publish"], ["verify"], ["run"], ["publish", "policy"], ["join"], ["get", "site"]):
        ran = reader(*words, "--help").good()
        assert re.search(r"^    ?ledger-cli ", ran.out, re.MULTILINE), words
    assert "Exit codes: 0 yes" in reader("--help").out
    assert reader("get").code == 2


def test_warnings_about_settings_are_shown(reader: Cli, tmp_path: Path) -> None:
    phrase = tmp_path / "phrase"
    phrase.write_text("secret")
    phrase.chmod(0o640)
    ran = reader("get", "site", "-o", "id", METALEDGER_PASSPHRASE_FILE=str(phrase)).good()
    assert re.search(r"^warning: .*phrase.* others than its owner", ran.err)
    assert "secret" not in ran.err
    wrong = reader("get", "site", METALEDGER_LEGDER="x")
    assert (wrong.code, "METALEDGER_LEDGER" in wrong.err) == (2, True)


def test_where_nothing_can_be_written_the_path_is_named(cli: Cli, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("x")
    ran = cli("publish", "policy", "-", "--receipt-dir", str(taken / "inner"), stdin='{"site": {"n": 1}}')
    assert ran.code != 0
    assert str(taken) in ran.err
    ran = cli("get", "receipt", "acme", "-o", str(tmp_path / "no" / "proof"))
    assert (ran.code, str(tmp_path / "no") in ran.err) == (4, True)


def test_a_network_is_made_in_an_empty_home_only(tmp_path: Path) -> None:
    made = Cli(tmp_path / "deep" / "home")
    facts = made("create", "network", "demo", "-o", "json").good()
    assert list(facts.json) == ["network", "name", "home", "url", "size"]
    assert made("create", "network", "demo").code == 5
    assert Cli(tmp_path / "b")("create", "network", "Bad Name").code == 2
    assert Cli(tmp_path / "b")("create", "network", "x", "--url", "http://h").code == 2
    assert Cli(tmp_path / "b")("create", "network", "x", "--name", "bad host").code == 2
    assert not (tmp_path / "b").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]


def test_the_printed_command_moves_the_admin_away(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "master")
    printed = cli("create", "network", "demo").good().err.splitlines()[-1]
    subprocess.run(["bash", "-e", "-c", printed], check=True)
    admin = tmp_path / "master-admin"
    assert sorted(path.name for path in (admin / "keys").iterdir()) == ["admin.pem", "member.pem"]
    assert not (tmp_path / "master" / "keys" / "admin.pem").exists()
    assert 'role = "member"\nname = "admin"\n' in (admin / "config.toml").read_text()
    assert (admin.stat().st_mode & 0o777, Cli(admin)("sync").code) == (0o700, 4)


def test_an_interrupted_watch_ends_with_130(reader: Cli) -> None:
    words = [*PROGRAM, "--home", str(reader.home), "watch", "-o", "jsonl"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean({}))
    with suppress(subprocess.TimeoutExpired):
        process.wait(2.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err.decode().strip()) == (130, b"", "interrupted")


def test_a_mirror_without_an_account_says_how_to_make_one(tmp_path: Path) -> None:
    master = Cli(tmp_path / "master")
    master("create", "network", "demo").good()
    ran = master("add", "mirror", f"ethereum+http://127.0.0.1:9/0x{'52' * 20}")
    assert (ran.code, "no account's key" in ran.err, "`ledger-cli create account`" in ran.err) == (1, True, True), ran.err
