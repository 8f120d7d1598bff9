"""Commands about keys and members, to be interrupted by `test_interrupted.py`: what each is, and how its effect is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auth.keystore import KeyStore
from auth.pairs import settle_pair
from auth.pki import decode_tls_key, load_chain
from auth.succession import is_under
from auth.tokenkeys import TokenKeyFiles
from ledger.home.clock import SystemClock
from ledger.home.home import Home
from tests.support.command import Cli
from tests.support.interrupting import Case

if TYPE_CHECKING:
    from tests.functional.cli.stage import Stage


def create_invite(stage: Stage) -> Case:
    name, path = stage.unique("guest").lower(), stage.folder / "invite"

    def done() -> bool:
        if not path.exists():
            return False
        Cli(stage.folder / "guest")("join", f"@{path}").good()
        return True

    return Case(stage.admin, ("create", "invite", name, "--type", "node", "--out", str(path)), done)


def rotate_key(stage: Stage) -> Case:
    name, home = stage.unique("turns").lower(), stage.folder / "turns"
    line = stage.admin("create", "invite", name, "--type", "user").good().out
    cli = Cli(home)
    cli("join", "-", stdin=line).good()
    before = Home(home).keys.joinpath("member.pem").read_bytes()

    def done() -> bool:
        changed = Home(home).keys.joinpath("member.pem").read_bytes() != before
        return changed and bool(cli.publish({"site": {"id": stage.unique("by-the-new-key")}}))

    return Case(cli, ("rotate", "key"), done)


def rotate_log_key(stage: Stage) -> Case:
    cli = stage.embedded
    before = _open_log_keys(cli)

    def done() -> bool:
        cli.publish({"site": {"id": stage.unique("signed")}})  # the keys that are there suffice, wherever it stopped
        cli("verify", "ledger").good()
        now = _open_log_keys(cli)
        return len(now) == 1 and now != before

    return Case(cli, ("rotate", "log-key"), done)


def _open_log_keys(cli: Cli) -> list[str]:
    (found,) = cli("get", "root", "-o", "json").good().json
    return [one["vkey"] for one in found["root"]["log_keys"] if one["until"] is None]


def rotate_ca(stage: Stage) -> Case:
    home = _fresh(stage)
    before = home.ca_file.read_bytes()

    def done() -> bool:
        ca, chain = home.ca_file.read_bytes(), _settled(home)
        return ca != before and is_under(chain, ca)

    return Case(Cli(home.path), ("rotate", "ca", "--yes"), done)


def rotate_certificate(stage: Stage) -> Case:
    home = _fresh(stage)
    before = home.certificate_file.read_bytes()
    return Case(Cli(home.path), ("rotate", "certificate"), lambda: _settled(home) != before)


def _fresh(stage: Stage) -> Home:
    cli = Cli(stage.folder / "fresh")
    cli("create", "network", "fresh").good()
    return Home(cli.home)


def _settled(home: Home) -> bytes:
    """Return the certificate that a server would serve now, which fits its key."""
    settle_pair(home.certificate_file, home.certificate_key_file)
    chain = home.certificate_file.read_bytes()
    assert load_chain(chain)[0].public_key() == decode_tls_key(home.certificate_key_file.read_bytes()).public_key()
    return chain


def rotate_token_key(stage: Stage) -> Case:
    keys = KeyStore(_fresh(stage).keys)
    before = TokenKeyFiles(keys, SystemClock()).load_or_create().signer.public

    def done() -> bool:
        now = TokenKeyFiles(keys, SystemClock()).load()
        assert before in now.public  # what it signed is taken
        return now.signer.public != before

    return Case(Cli(stage.folder / "fresh"), ("rotate", "token-key"), done)


def change_passphrase(stage: Stage) -> Case:
    path, home = stage.folder / "passphrase", Home(stage.embedded.home)
    path.write_text("correct horse\n")
    path.chmod(0o600)

    def done() -> bool:
        files = list(home.keys.glob("*.pem"))
        locked = {b"ENCRYPTED" in one.read_bytes() for one in files}
        if locked != {True}:
            return False
        stage.embedded("patch", "policy", "oslo", '{"n": 6}', METALEDGER_PASSPHRASE_FILE=str(path)).good()
        return True

    return Case(stage.embedded, ("change", "passphrase", "--new-file", str(path)), done)


def revoke_invite(stage: Stage) -> Case:
    name = stage.unique("uninvited").lower()
    stage.admin("create", "invite", name, "--type", "user").good()

    def done() -> bool:
        return not stage.admin("get", "invite", "where", "name", "=", name, "-o", "id").good().out

    return Case(stage.admin, ("revoke", "invite", name, "--yes"), done)


def revoke_member(stage: Stage) -> Case:
    name = stage.unique("gone").lower()
    line = stage.admin("create", "invite", name, "--type", "user").good().out
    Cli(stage.folder / "gone")("join", "-", stdin=line).good()

    def done() -> bool:
        return not stage.admin("get", "member", "where", "name", "=", name, "-o", "id").good().out

    return Case(stage.admin, ("revoke", "member", name, "--yes"), done)
