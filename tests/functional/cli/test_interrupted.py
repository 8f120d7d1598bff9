"""Ctrl-C at any moment of any command loses nothing: it ends with 130 and one word, and done again it has one effect.

Each command is interrupted twice, as a program of its own: when it has opened a file of its home, and some time later; then it
runs to its end.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.functional.cli import key_cases
from tests.functional.cli.stage import Stage
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
    key_cases.create_invite,
    key_cases.rotate_key,
    key_cases.rotate_log_key,
    key_cases.rotate_ca,
    key_cases.rotate_certificate,
    key_cases.rotate_token_key,
    key_cases.change_passphrase,
    key_cases.revoke_member,
    key_cases.revoke_invite,
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
