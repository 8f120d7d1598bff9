"""Keys under a passphrase: made with it, used with it by file or by prompt, and of no use without it."""

from __future__ import annotations

import os
import pty
import subprocess
from typing import TYPE_CHECKING

import pytest

from auth.keystore import KeyStore
from ledger.home.home import Home
from ledger.home.lock import WriterLock
from tests.functional.cli.test_revoking import invited
from tests.support.command import PROGRAM, Cli, clean
from tests.support.reference import documented_shapes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.live import LiveNetwork

PHRASE = "correct horse"
SHAPES = dict(documented_shapes())


def locked(home: Path) -> dict[str, bool]:
    return {path.stem: b"ENCRYPTED" in path.read_bytes() for path in Home(home).keys.glob("*.pem")}


@pytest.fixture
def phrase(tmp_path: Path) -> str:
    """The file that holds the passphrase."""
    path = tmp_path / "phrase"
    path.write_text(PHRASE + "\n")
    path.chmod(0o600)
    return str(path)


def test_a_network_whose_keys_have_a_passphrase_from_a_file(tmp_path: Path, phrase: str) -> None:
    cli = Cli(tmp_path / "home")
    cli("create", "network", "demo", "--url", f"sqlite://{cli.home}/ledger.db", METALEDGER_PASSPHRASE_FILE=phrase).good()
    assert set(locked(cli.home).values()) == {True}
    policy = '{"site": {"name": "Oslo"}}'
    refused = cli("publish", "policy", "-", stdin=policy)
    assert (refused.code, "needs its passphrase" in refused.err) == (2, True)
    assert cli("publish", "policy", "-", stdin=policy, METALEDGER_PASSPHRASE="wrong").code == 2
    cli("publish", "policy", "-", stdin=policy, METALEDGER_PASSPHRASE_FILE=phrase).good()
    cli("rotate", "key", METALEDGER_PASSPHRASE_FILE=phrase).good()
    cli("rotate", "log-key", METALEDGER_PASSPHRASE_FILE=phrase).good()
    assert set(locked(cli.home).values()) == {True}  # what follows a key is protected as it was
    assert PHRASE.encode() not in b"".join(path.read_bytes() for path in cli.home.rglob("*") if path.is_file())


def test_a_home_joins_and_goes_on_with_a_passphrase_from_a_file(network: LiveNetwork, phrase: str) -> None:
    cli = Cli(network.folder / "careful")
    cli("join", f"@{invited(network, 'careful')}", METALEDGER_PASSPHRASE_FILE=phrase).good()
    assert locked(cli.home) == {"member": True}
    assert cli("sync").code == 2
    cli("rotate", "key", METALEDGER_PASSPHRASE_FILE=phrase).good()
    cli("sync", METALEDGER_PASSPHRASE_FILE=phrase).good()


def at_a_terminal(*words: str, answers: int = 0) -> subprocess.CompletedProcess[bytes]:
    """Run a command as a person does, who types the passphrase whenever it is asked for: so many times."""
    ours, theirs = pty.openpty()
    command = [*PROGRAM, *words]
    with subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean({}), start_new_session=True
    ) as process:
        os.close(theirs)
        assert process.stderr is not None
        said = b""
        for number in range(answers):
            while said.lower().count(b"passphrase") + said.count(b"Repeat") <= number:
                more = os.read(process.stderr.fileno(), 4096)
                assert more, said
                said += more
            os.write(ours, PHRASE.encode() + b"\n")
        out, err = process.communicate(timeout=50)
    os.close(ours)
    return subprocess.CompletedProcess(command, process.returncode, out, said + err)


def test_a_person_is_asked_for_the_passphrase(embedded_template: Path, tmp_path: Path) -> None:
    home, policy = tmp_path / "home", tmp_path / "policy.json"
    words = ("create", "network", "demo", "--url", f"sqlite://{home}/ledger.db", "--ask-passphrase", "--home", str(home))
    assert "no terminal" in Cli(home)(*words).err
    made = at_a_terminal(*words, answers=2)
    assert (made.returncode, PHRASE.encode() in made.stderr + made.stdout) == (0, False), made.stderr
    assert set(locked(home).values()) == {True}
    policy.write_text('{"site": {"name": "Oslo"}}')
    assert at_a_terminal("publish", "policy", str(policy), "--home", str(home), answers=1).returncode == 0
    assert at_a_terminal("get", "site", "--home", str(embedded_template)).returncode == 0  # nothing is locked there: nobody is asked
    assert KeyStore(Home(home).keys, PHRASE.encode()).load("member") != KeyStore(Home(embedded_template).keys).load("member")


def secret(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text + "\n")
    path.chmod(0o600)
    return str(path)


def test_the_passphrase_of_keys_is_set_changed_and_removed(cli: Cli, tmp_path: Path, phrase: str) -> None:
    other = secret(tmp_path, "other", "battery staple")
    ran = cli("change", "passphrase", "--new-file", phrase, "-o", "json").good()
    assert (list(ran.json), ran.json["protected"]) == (SHAPES["change passphrase"], True)
    assert ran.json["keys"] == sorted(locked(cli.home))
    assert set(locked(cli.home).values()) == {True}
    assert cli("publish", "policy", "-", stdin='{"site": {"name": "Bonn"}}').code == 2

    assert cli("change", "passphrase", "--new-file", other).code == 2  # who does not know the old one changes nothing
    assert cli("change", "passphrase", "--new-file", other, METALEDGER_PASSPHRASE="wrong").code == 2
    ran = cli("change", "passphrase", "--new-file", other, METALEDGER_PASSPHRASE_FILE=phrase).good()
    assert "must tell the new one" in ran.err
    cli("publish", "policy", "-", stdin='{"site": {"name": "Bonn"}}', METALEDGER_PASSPHRASE_FILE=other).good()
    assert cli("publish", "policy", "-", stdin='{"site": {"name": "Ulm"}}', METALEDGER_PASSPHRASE_FILE=phrase).code == 2

    cli("change", "passphrase", "--remove", METALEDGER_PASSPHRASE_FILE=other).good()
    assert set(locked(cli.home).values()) == {False}
    cli("publish", "policy", "-", stdin='{"site": {"name": "Ulm"}}').good()
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in Home(cli.home).keys.glob("*.pem"))


def test_a_change_that_was_stopped_is_finished_by_doing_it_again(cli: Cli, tmp_path: Path, phrase: str) -> None:
    other = secret(tmp_path, "other", "battery staple")
    cli("change", "passphrase", "--new-file", phrase).good()
    member = KeyStore(Home(cli.home).keys, PHRASE.encode()).load("member")
    Home(cli.home).key_file("member").unlink()
    KeyStore(Home(cli.home).keys, b"battery staple").store("member", member)
    cli("change", "passphrase", "--new-file", other, METALEDGER_PASSPHRASE_FILE=phrase).good()
    cli("publish", "policy", "-", stdin='{"site": {"name": "Ulm"}}', METALEDGER_PASSPHRASE_FILE=other).good()


def test_a_change_that_cannot_be_is_refused_before_a_key_is_touched(cli: Cli, tmp_path: Path, phrase: str) -> None:
    before = {path: path.read_bytes() for path in Home(cli.home).keys.glob("*.pem")}
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    empty = secret(tmp_path, "empty", "")
    for words in (["--new-file", phrase, "--remove"], [], ["--new-file", empty], ["--new-file", str(tmp_path / "none")]):
        assert cli("change", "passphrase", *words).code in (1, 2)
    assert cli("change", "passphrase", "--new-file", str(tmp_path / "latin")).code == 2
    with WriterLock.take(Home(cli.home).lock):
        busy = cli("change", "passphrase", "--new-file", phrase)
    assert (busy.code, "works in this home" in busy.err) == (4, True)
    assert {path: path.read_bytes() for path in before} == before


def test_a_person_types_the_new_passphrase_twice(cli: Cli) -> None:
    changed = at_a_terminal("change", "passphrase", "--home", str(cli.home), answers=2)
    assert (changed.returncode, set(locked(cli.home).values())) == (0, {True}), changed.stderr
