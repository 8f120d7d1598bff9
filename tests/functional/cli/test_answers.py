"""What commands print: forms, tables, the documented JSON, and nothing that rewrites a terminal."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.command import PROGRAM, Cli, clean, program
from tests.support.reference import documented_shapes

if TYPE_CHECKING:
    from typing import Any

ROOT = Path(__file__).resolve().parents[3]
# test_usage.py, test_served.py, tests/unit/client/test_answers.py; test_queue.py; test_archive.py; test_revoking.py,
# test_passphrase.py, test_rotating_….py, test_ceremony.py; tests/chains/test_mirror_worker.py
ELSEWHERE = (
    *("create network", "join", "get invites", "get void"),
    *("get operations", "retry operation", "drop operation"),
    *("backup", "restore", "import", "change passphrase"),
    *("add mirror", "get mirrors", "audit", "submit"),
    *("revoke ", "rotate ", "create root", "sign root", "publish root"),
)


def first(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value


@pytest.mark.parametrize(("command", "keys"), [row for row in documented_shapes() if not row[0].startswith(ELSEWHERE)])
def test_the_json_of_a_command_is_what_its_page_says(cli: Cli, tmp_path: Path, command: str, keys: list[str]) -> None:
    policy, receipt = tmp_path / "policy.json", tmp_path / "receipt"
    policy.write_text('{"site": {"id": "rome"}}')
    receipt.write_bytes(cli("get", "receipt", "acme").raw)
    files = {"FILE": str(receipt) if command.startswith("verify") else str(policy), "ID": "acme", "INDEX": "14", "PATCH": '{"a": 1}'}
    words = [files.get(word, word) for word in command.split()]
    assert list(first(cli(*words, "-o", "json").good().json)) == keys


def test_forms_of_a_query(reader: Cli) -> None:
    assert [next(iter(one)) for one in reader("get", "operator", "-o", "json").json] == ["operator", "operator"]
    assert len(reader("get", "operator", "-o", "jsonl").lines) == 2
    assert reader("get", "operator", "-o", "id").out == "acme\nzeta\n"
    table = reader("get", "operator").out.splitlines()
    assert table[0].split() == ["ID", "NAME", "COMPANY", "IP", "PORT"]
    assert table[1].split() == ["acme", "acme", "ACME", "Metering", "10.0.0.11", "32148"]
    assert reader("get", "policy", "acme", "-o", "id").out == "acme\n"
    assert reader("get", "policy", "acme", "-o", "jsonl").lines == [reader("get", "policy", "acme").json]


def test_nothing_found_is_a_good_answer(reader: Cli) -> None:
    for form, out in (("table", ""), ("json", "[]\n"), ("jsonl", ""), ("id", "")):
        ran = reader("get", "nosuchkind", "-o", form).good()
        assert (ran.out, ran.err) == (out, "0 policies at size 27\n")


def test_a_table_of_all_kinds_stays_readable(reader: Cli) -> None:
    table = reader("get", "all").good().out.splitlines()
    assert table[0].split() == ["ID", "KIND", "ATTRIBUTES"]
    (line,) = [line for line in table if line.startswith("acme ")]
    assert line.split(maxsplit=2)[2] == "name=acme company=ACME Metering ip=10.0.0.11 port=32148"
    assert max(map(len, table)) < 140


def test_a_table_with_many_attributes_shows_the_commonest(cli: Cli) -> None:
    cli.publish({"wide": {"id": "w", "name": "w", "text": "x" * 500, "inner": {"a": 1}, **{f"a{n:02}": n for n in range(40)}}})
    heading, row = cli("get", "wide").good().out.splitlines()
    assert heading.split()[:2] == ["ID", "NAME"]
    assert len(heading.split()) == 7
    assert len(row) < 200


def test_clauses_may_be_quoted_or_not(reader: Cli) -> None:
    for words in (["where", "port", "=", "32148"], ["where port = 32148"], ["where", "port = 32148", "and", "name = acme"]):
        assert reader("get", "operator", *words, "-o", "id").out == "acme\n"
    assert reader("get", "operator", "where", "company", "=", '"ACME Metering"', "-o", "id").out == "acme\n"
    assert reader("get", "operator", "where", "port", "=", "-5", "-o", "id").good().out == ""
    assert reader("get", "kind", "operator", "where", "tags", "=", "b", "-o", "id").out == "zeta\n"


def test_what_strangers_wrote_does_not_reach_the_terminal_as_control(cli: Cli) -> None:
    hostile = "a\x1b[2Jb\x9b31m\u202ec"
    cli.publish({"site": {"id": "evil", "name": hostile}})
    for words in map(str.split, ("get site", "get all", "get site -o json", "get policy evil", "get entries -o jsonl")):
        ran = cli(*words).good()
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", ran.out)
        assert "\\u001b" in ran.out
    assert cli("get", "policy", "evil").json["site"]["name"] == hostile
    refused = cli("publish", "policy", "-", stdin='{"site": {"id": "\\u001b[2J"}}')
    assert (refused.code, "\x1b" in refused.err) == (2, False)


def test_a_reader_who_leaves_ends_the_command_well(reader: Cli) -> None:
    line = f"set -o pipefail; {' '.join(map(_quoted, PROGRAM))} --home {reader.home} get entries -o json | head -c 10"
    done = subprocess.run(["bash", "-c", line], env=clean({}), capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, len(done.stdout), done.stderr) == (0, 10, "")


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def test_completion_completes(tmp_path: Path) -> None:
    for shell in ("bash", "zsh"):
        script = program("completion", shell).stdout
        assert "_LEDGER_CLI_COMPLETE=" + shell in script
    asked = {"_LEDGER_CLI_COMPLETE": "bash_complete", "COMP_CWORD": "2"}
    assert "plain,policy" in program(COMP_WORDS="ledger-cli publish po", **asked).stdout.splitlines()
    assert "plain,receipt" in program(COMP_WORDS="ledger-cli get re", **asked).stdout.splitlines()
    source = program("completion", "bash").stdout
    (tmp_path / "completion").write_text(source)
    assert subprocess.run(["bash", "-n", str(tmp_path / "completion")], check=False).returncode == 0


def test_version_names_what_it_stands_on() -> None:
    done = program("version", "-o", "json")
    assert json.loads(done.stdout).keys() == {"metaledger", "python", "sqlite", "aiohttp", "cryptography", "PyNaCl"}
    assert program("version").stdout.startswith("metaledger ")


def test_simple_commands_do_not_load_the_network_stack() -> None:
    stack = ("aiohttp", "apsw", "cryptography", "master.create", "ledger.node")
    probe = f"import sys, ledger.cli.main; print([name for name in {stack} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_reading_a_copy_loads_nothing_that_speaks_to_a_server() -> None:
    stack = ("aiohttp", "OpenSSL", "cryptography.x509", "jwt")
    probe = f"import sys, ledger.client.client; print([name for name in {stack} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_commands_of_the_readme_end_in_a_verified_receipt(tmp_path: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (block,) = [block for block in blocks if "create network" in block]
    assert len(re.findall(r"ledger-cli \w+", block)) == 5
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "ledger-cli"
    command.write_text(f'#!/bin/sh\nexec {" ".join(map(_quoted, PROGRAM))} "$@"\n')
    command.chmod(0o755)
    environment = clean({"PATH": f"{folder}:{os.environ['PATH']}"})
    done = subprocess.run(["bash", "-e", "-c", block], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^verified +true$", done.stdout, re.MULTILINE)
    assert (tmp_path / "acme.receipt").read_bytes().startswith(b"c2sp.org/tlog-proof@v1")
