"""Ctrl-C at any moment of any command loses nothing: it ends with 130 and one word, and done again it has one effect.

Each command is interrupted twice, as a program of its own: when it has opened a file of its home, and some time later; then it
runs to its end.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from auth.keystore import KeyStore
from auth.pairs import settle_pair
from auth.pki import decode_tls_key, load_chain
from auth.succession import is_under
from auth.tokenkeys import TokenKeyFiles
from ledger.home.clock import SystemClock
from ledger.home.home import Home
from tests.support.command import Cli
from tests.support.interrupting import Case, good, interrupted, later, loads, never, once, opens, versions, whole
from tests.support.live import configure, live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.command import Ran
    from tests.support.live import LiveNetwork

MANY = 600
NOWHERE = "https://127.0.0.1:9"


@dataclass(frozen=True)
class Stage:
    """Where the commands play: a folder for this one, an embedded home in it, and a served network with a member who is behind."""

    folder: Path
    embedded: Cli
    network: LiveNetwork
    behind: Path

    @property
    def admin(self) -> Cli:
        return Cli(self.network.home)

    def member(self, **settings: object) -> Cli:
        """Return the commands of a copy of the member's home."""
        home = self.folder / "member"
        shutil.copytree(self.behind, home)
        configure(home, **settings)
        return Cli(home)

    def file(self, name: str, content: object) -> str:
        path = self.folder / name
        path.write_text(json.dumps(content))
        return str(path)

    def unique(self, name: str) -> str:
        """Return a name that no other command of the shared network takes."""
        return f"{name}-{os.getpid()}-{time.monotonic_ns()}"


@pytest.fixture(scope="module")
def embedded_full(embedded_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("full") / "home"
    adopt(embedded_template, home)
    Cli(home).publish(*({"site": {"id": f"s-{number}", "text": "x" * 300}} for number in range(MANY)))
    return home


@pytest.fixture(scope="module")
def served(served_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveNetwork, Path]]:
    with live(served_template, tmp_path_factory.mktemp("interrupted")) as network:
        behind = asyncio.run(network.join("behind", "user"))
        asyncio.run(network.publish(*(f"site {number}" for number in range(MANY))))
        yield network, behind


@pytest.fixture
def stage(embedded_full: Path, served: tuple[LiveNetwork, Path], tmp_path: Path) -> Stage:
    adopt(embedded_full, tmp_path / "home")
    return Stage(tmp_path, Cli(tmp_path / "home"), *served)


def adopt(template: Path, home: Path) -> None:
    """Copy an embedded home to another place."""
    shutil.copytree(template, home)
    configure(home, ledger=f"sqlite://{home}/ledger.db")


# -- commands ----------------------------------------------------------------------------------------------------------


def publish_one(stage: Stage) -> Case:
    policy, member = stage.unique("one"), stage.member()
    path = stage.file("one.json", {"site": {"id": policy}})
    return Case(member, ("publish", "policy", path), once(member, policy))


def publish_many(stage: Stage) -> Case:
    prefix, member = stage.unique("many"), stage.member()
    names = [f"{prefix}.{number}" for number in range(200)]
    path = stage.file("many.json", [{"site": {"id": name, "text": "x" * 200}} for name in names])
    return Case(member, ("publish", "policy", path), once(member, *names[::10]))


def publish_queued(stage: Stage) -> Case:
    policy, member = stage.unique("queued"), stage.member()
    member("sync").good()
    configure(member.home, ledger=NOWHERE)
    path = stage.file("queued.json", {"site": {"id": policy}})

    def done() -> bool:
        configure(member.home, ledger=stage.network.url)
        arrived = once(member, policy)()
        configure(member.home, ledger=NOWHERE)
        return arrived

    return Case(member, ("publish", "policy", path, "--queue"), done)


def patch(stage: Stage) -> Case:
    return Case(stage.embedded, ("patch", "policy", "oslo", '{"n": 5}'), lambda: _patched(stage.embedded))


def _patched(cli: Cli) -> bool:
    found = versions(cli, "oslo")
    assert found in (1, 2)
    return found == 2


def drop(stage: Stage) -> Case:
    return Case(stage.embedded, ("drop", "policy", "oslo"), lambda: _patched(stage.embedded))


def sync(stage: Stage) -> Case:
    member = stage.member()
    size = stage.admin("status", "-o", "json").json["size"]

    def done() -> bool:
        return bool(member("status", "-o", "json").json["size"] >= size)

    return Case(member, ("sync",), done)


def join(stage: Stage) -> Case:
    name, home = stage.unique("new").lower(), stage.folder / "new"
    token = stage.folder / "token"
    stage.admin("create", "invite", name, "--type", "node", "--out", str(token)).good()

    def done() -> bool:
        if not (home / "config.toml").exists():
            return False
        (member,) = stage.admin("get", "member", "where", "name", "=", name, "-o", "json").good().json
        return versions(stage.admin, member["member"]["id"]) == 1

    return Case(Cli(home), ("join", f"@{token}"), done)


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


def retry_operation(stage: Stage) -> Case:
    member, policy = _with_an_operation(stage)
    configure(member.home, ledger=stage.network.url)

    def done() -> bool:
        found = versions(stage.admin, policy)
        assert found in (0, 1)
        return found == 1

    return Case(member, ("retry", "operation", "1"), done)


def drop_operation(stage: Stage) -> Case:
    member, policy = _with_an_operation(stage)

    def done() -> bool:
        found = [one["id"] for one in member("get", "operations", "-o", "json").good().json]
        assert found in ([], [policy])
        return not found

    return Case(member, ("drop", "operation", "1"), done)


def _with_an_operation(stage: Stage) -> tuple[Cli, str]:
    """Return a member whose master is away, and the policy that waits in its queue."""
    policy, member = stage.unique("waits"), stage.member()
    member("sync").good()
    configure(member.home, ledger=NOWHERE)
    member("publish", "policy", stage.file("waits.json", {"site": {"id": policy}}), "--queue").good()
    return member, policy


def revoke_member(stage: Stage) -> Case:
    name = stage.unique("gone").lower()
    line = stage.admin("create", "invite", name, "--type", "user").good().out
    Cli(stage.folder / "gone")("join", "-", stdin=line).good()

    def done() -> bool:
        return not stage.admin("get", "member", "where", "name", "=", name, "-o", "id").good().out

    return Case(stage.admin, ("revoke", "member", name, "--yes"), done)


def create_network(stage: Stage) -> Case:
    cli = Cli(stage.folder / "fresh")
    return Case(cli, ("create", "network", "fresh", "--url", f"sqlite://{cli.home}/ledger.db"), good(cli, "verify", "ledger"))


def create_served_network(stage: Stage) -> Case:
    cli = Cli(stage.folder / "fresh")
    return Case(cli, ("create", "network", "fresh"), good(cli, "verify", "ledger"))


def export(stage: Stage) -> Case:
    path = stage.folder / "exported"
    return Case(stage.embedded, ("export", "-o", str(path)), whole(path))


def backup(stage: Stage) -> Case:
    path = stage.folder / "backup"

    def done() -> bool:
        if path.exists():
            stage.embedded("restore", str(path)).good()
        return path.exists()

    return Case(stage.embedded, ("backup", str(path)), done)


def bring_in(stage: Stage) -> Case:
    path, cli = stage.folder / "exported", Cli(stage.folder / "copy")
    stage.embedded("export", "-o", str(path)).good()
    return Case(cli, ("import", str(path)), good(cli, "verify", "ledger"))


def restore(stage: Stage) -> Case:
    path = stage.folder / "backup"
    stage.embedded("backup", str(path)).good()
    cli = stage.embedded
    return Case(cli, ("restore", str(path)), lambda: bool(cli("status", "-o", "json").json["fork_risk"]))


def import_edgelake(stage: Stage) -> Case:
    path = stage.folder / "blockchain.json"
    names = [f"e-{number}" for number in range(200)]
    path.write_text("".join(json.dumps({"site": {"id": name, "date": "2024-01-02T03:04:05.000006Z"}}) + "\n" for name in names))
    return Case(stage.embedded, ("import", "--from", "edgelake", str(path)), once(stage.embedded, *names[::10]))


def create_index(stage: Stage) -> Case:
    cli = stage.embedded

    def done() -> bool:
        return {"kind": "site", "attribute": "text", "by": ["local"]} in cli("get", "indexes", "-o", "json").good().json

    return Case(cli, ("create", "index", "site", "text"), done)


def create_root(stage: Stage) -> Case:
    return Case(stage.embedded, *_root(stage))


def _root(stage: Stage) -> tuple[tuple[str, ...], Callable[[], bool]]:
    path = stage.folder / "root-2.json"
    words = ("create", "root", "--patch", '{"stale_after": 43200}', "--out", str(path))
    return words, lambda: path.exists() and bool(json.loads(path.read_bytes()))


def sign_root(stage: Stage) -> Case:
    words, _ = _root(stage)
    stage.embedded(*words).good()
    return Case(stage.embedded, ("sign", "root", words[-1]), lambda: stage.embedded("publish", "root", words[-1]).code == 0)


def publish_root(stage: Stage) -> Case:
    words, _ = _root(stage)
    stage.embedded(*words).good()
    stage.embedded("sign", "root", words[-1]).good()
    return Case(stage.embedded, ("publish", "root", words[-1]), lambda: versions(stage.embedded, "root") == 2)


def audit(stage: Stage) -> Case:
    other = stage.folder / "other" / "ledger.db"
    shutil.copytree(stage.embedded.home, other.parent)
    return Case(stage.embedded, ("audit", f"sqlite://{stage.embedded.home}/ledger.db", f"sqlite://{other}"), never)


def get(stage: Stage) -> Case:
    return Case(stage.embedded, ("get", "all", "-o", "json"), never)


def get_receipt(stage: Stage) -> Case:
    path = stage.folder / "receipt"
    return Case(stage.embedded, ("get", "receipt", "oslo", "-o", str(path)), lambda: path.exists() and _holds(stage, path))


def _holds(stage: Stage, path: Path) -> bool:
    return stage.embedded("verify", "receipt", str(path)).code == 0


def verify_ledger(stage: Stage) -> Case:
    return Case(stage.embedded, ("verify", "ledger", "--deep"), never)


def watch(stage: Stage) -> Case:
    return Case(stage.member(), ("watch", "-o", "jsonl"), never, forever=True)


def run_node(stage: Stage) -> Case:
    name, home = stage.unique("agent").lower(), stage.folder / "agent"
    line = stage.admin("create", "invite", name, "--type", "node").good().out
    Cli(home)("join", "-", stdin=line).good()
    return Case(Cli(home), ("run", "node", "--listen", "127.0.0.1:0"), never, forever=True)


def run_master(stage: Stage) -> Case:
    home = Cli(stage.folder / "fresh")
    home("create", "network", "fresh").good()
    return Case(home, ("run", "master", "--listen", "127.0.0.1:0"), never, forever=True)


CASES = (
    publish_one,
    publish_many,
    publish_queued,
    patch,
    drop,
    sync,
    join,
    create_invite,
    rotate_key,
    rotate_log_key,
    rotate_ca,
    rotate_certificate,
    rotate_token_key,
    change_passphrase,
    revoke_member,
    revoke_invite,
    retry_operation,
    drop_operation,
    create_network,
    create_served_network,
    export,
    backup,
    bring_in,
    restore,
    import_edgelake,
    create_index,
    create_root,
    sign_root,
    publish_root,
    audit,
    get,
    get_receipt,
    verify_ledger,
    watch,
    run_node,
    run_master,
)


# -- the matrix ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_an_interrupted_command_loses_nothing_and_is_done_again(stage: Stage, make: Callable[[Stage], Case]) -> None:
    case = make(stage)
    for moment in (opens, later):
        ended = interrupted(case, moment, stage.folder) == 0
        if case.forever or case.done is never:
            continue
        done = case.done()  # an interruption that comes after the effect changes nothing of it
        assert done or not ended
        if done:
            return
    if case.forever:
        _opens_again(case)
        return
    ran: Ran = case.cli(*case.words)
    assert ran.code == 0, ran.err
    assert case.done is never or case.done()


def test_an_interruption_while_the_program_loads_ends_it(stage: Stage) -> None:
    assert interrupted(publish_one(stage), loads, stage.folder) == 130


def _opens_again(case: Case) -> None:
    case.cli("verify", "ledger").good()
    if case.words[0] == "run":
        case.cli("status").good() if case.words[1] == "node" else None
