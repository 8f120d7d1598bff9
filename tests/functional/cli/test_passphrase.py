"""Keys under a passphrase: made with it, used with it by file or by prompt, and of no use without it."""

from __future__ import annotations

import os
import pty
import subprocess
from typing import TYPE_CHECKING

import pytest

from auth.keystore import KeyStore
from ledger.home.home import Home
from tests.functional.cli.test_revoking import invited
from tests.support.command import PROGRAM, Cli, clean

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.live import LiveNetwork

PHRASE = "correct horse"


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
            while said.count(b"Passphrase") + said.count(b"Repeat") <= number:
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
