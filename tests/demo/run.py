"""`make demo`: the main job on real input, as a story in nine steps, each promise checked.

It runs the commands that a person would type, in a temporary directory, with a real master process and two real nodes on
loopback, and leaves nothing behind. Exit status: 0 when every promise was kept, 1 when one was not, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import base64
import json
import shlex
import sys
import time
import tomllib
from typing import TYPE_CHECKING

from tests.demo.airports import COMPANY, policies, site_schema
from tests.demo.attacks import Published, change_stored_byte, forgeries, read_receipt
from tests.demo.stage import ENVELOPE, ROOT, DemoError, Stage, free_port

if TYPE_CHECKING:
    from pathlib import Path

SITES = 300
CHECKER = ROOT / "tests" / "conformance" / "verify_receipt.py"
NODES = ("node-1", "node-2")
LATE = "node-3"
WHERE = f'company = "{COMPANY}" and country = US'
POLICY = "operator.json"
RECEIPT = "operator.tlog-proof"
NAME = "jfk-operator-1"
ADDRESS = "192.0.2.14"  # where it is
ELSEWHERE = "203.0.113.66"  # where a forger wants it
CHANGED = "192.0.2.15"  # what one bit makes of it
INTERRUPTED = 130


class Demo:
    """The story. Its steps follow each other, and each stands on those before."""

    def __init__(self, stage: Stage, sites: int | None) -> None:
        self.stage = stage
        self.sites = sites
        self.listen = f"127.0.0.1:{free_port()}"
        self.url = f"https://{self.listen}"

    def opening(self) -> str:
        """Return what is said first."""
        return f"All of this happens in {self.stage.place}, which goes when it ends."

    def play(self) -> None:
        """Play it to the end. DemoError at the first promise that is not kept."""
        self.found()
        self.invite()
        self.publish()
        self.query()
        published = self.prove()
        self.forge(published)
        self.go_on_without_master()
        self.spoil(published)
        self.refuse(published)

    def found(self) -> None:
        """Make a network and serve it."""
        stage = self.stage
        stage.step("A network, and the master that serves it")
        created = stage.cli("create", "network", "demo", "--home", "master", "--url", self.url)
        stage.show(created.stdout)
        self.prepare()
        self._start_master()

    def prepare(self) -> None:
        """Make ready what the master needs besides: nothing, where it keeps its log alone."""

    def _start_master(self) -> None:
        self.stage.start("master", "run", "master", "--listen", self.listen)
        self.stage.await_listening("master")

    def invite(self) -> None:
        """Let two nodes join. A third invite waits for later."""
        stage = self.stage
        stage.step("Two nodes join, each by an invite that is good once")
        invited = (*NODES, LATE)
        stage.together(*[("create", "invite", name, "--type", "node", "--out", f"{name}.token", "--home", "master") for name in invited])
        for name in NODES:
            stage.start(name, "run", "node", "--join", f"@{name}.token", "--listen", "127.0.0.1:0")
        stage.await_listening(*NODES)
        keys = {(stage.place / name / "keys" / "member.pem").read_bytes() for name in NODES}
        pinned = {(stage.place / name / "tls" / "ca.pem").read_bytes() for name in ("master", *NODES)}
        stage.promise(len(keys) == 2 and len(pinned) == 1, "both made their own key, pinned the network's CA and verified the log")

    def publish(self) -> None:
        """Publish the rule for sites, then airports and what hosts data for some of them."""
        stage = self.stage
        stage.step("Real input: airports, and the clusters, operators and tables that host data for some of them")
        self._write("site-rule.json", json.dumps(site_schema()))
        stage.cli("publish", "policy", "site-rule.json", "--home", "master")
        stage.typed("python -m tests.demo.airports " + ("--all" if self.sites is None else f"--sites {self.sites}") + " > policies.jsonl")
        lines = [json.dumps(policy, ensure_ascii=False) for policy in policies(self.sites)]
        self._write("policies.jsonl", "\n".join(lines) + "\n")
        begin = time.perf_counter()
        done = stage.cli("publish", "policy", "policies.jsonl", "--home", "master")
        took = time.perf_counter() - begin
        stage.show(done.stderr)
        whole = f"{len(lines)} published" in done.stderr
        stage.promise(whole, f"{len(lines):,} policies signed, published and each receipt verified in {took:.1f} s")
        stage.together(*[("sync", "--home", name) for name in NODES])
        checked = stage.together(*[("verify", "ledger", "-o", "json", "--home", home) for home in ("master", *NODES)])
        facts = [outcome.json for outcome in checked]
        same = len({(one["size"], one["root"], one["state_root"]) for one in facts}) == 1
        stage.promise(same and all(one["verified"] for one in facts), "master and both nodes hold the same log and the same state:")
        stage.show(f"size {facts[0]['size']:,}, root {facts[0]['root'][:16]}…, state root {facts[0]['state_root'][:16]}…")

    def query(self) -> None:
        """Ask a node."""
        stage = self.stage
        stage.step("A node answers from its own verified copy")
        answer = stage.cli("get", "operator", "where", WHERE, "--home", "node-1")
        stage.show(answer.stdout + answer.stderr)
        stage.promise(len(answer.stdout.splitlines()) == 5, "four operators in the United States")

    def prove(self) -> Published:
        """Fetch a receipt and let an independent program check it."""
        stage = self.stage
        stage.step("A receipt, checked offline by a program that shares nothing with the product")
        found = stage.cli("get", "operator", "where", f"name = {NAME}", "-o", "json", "--home", "node-2").json
        self._write(POLICY, json.dumps(found[0], ensure_ascii=False))
        stage.cli("get", "receipt", found[0]["operator"]["id"], "-o", RECEIPT, "--home", "node-2")
        vkey = tomllib.loads((stage.place / "node-2" / "config.toml").read_text())["log_vkeys"][0]
        stage.typed(f"python tests/conformance/verify_receipt.py {RECEIPT} --vkey {vkey} --policy {POLICY}")
        checked = stage.quietly(sys.executable, "-I", CHECKER, RECEIPT, "--vkey", vkey, "--policy", POLICY)
        stage.show(checked.stdout + checked.stderr)
        published = read_receipt(stage.place / RECEIPT)
        stage.promise(
            checked.code == 0 and checked.stdout.startswith(f"index {published.index}\n"), "the log's key signed a tree that holds it"
        )
        self._write("other.json", json.dumps(found[0], ensure_ascii=False).replace(ADDRESS, ELSEWHERE))
        other = stage.quietly(sys.executable, "-I", CHECKER, RECEIPT, "--vkey", vkey, "--policy", "other.json")
        stage.promise(other.code == 1, f"for a policy that says {ELSEWHERE} it does not hold: {_line(other.stderr)}")
        return published

    def forge(self, published: Published) -> None:
        """Hand in three forgeries with a good token: who may talk is one thing, what is true another."""
        stage = self.stage
        stage.step(f"A forger, with node-1's own access token, wants {NAME} to be at {ELSEWHERE}")
        words = ("create", "token", "--scope", "write", "--home", "node-1")
        stage.typed(f"TOKEN=$(ledger-cli {shlex.join(words)})")
        token = stage.unseen(*words).stdout.strip()
        before = self._size(token)
        for place, (what, envelope) in enumerate(forgeries(published, stage.place / "node-1", ELSEWHERE).items(), 1):
            name = f"forged-{place}.json"
            self._write(name, envelope.entry.decode())
            headers = f'-H "Authorization: Bearer $TOKEN" -H "Content-Type: {ENVELOPE}"'
            stage.typed(f"curl --cacert node-1/tls/ca.pem {headers} --data-binary @{name} {self.url}/v1/entries")
            reply = stage.ask("node-1", f"{self.url}/v1/entries", token, envelope.entry)
            said = f"{reply.status} {reply.json['code']}: {reply.json['detail']}"
            stage.promise(400 <= reply.status < 500, f"{what}: refused, {_line(said)}")
        stage.promise(self._size(token) == before, "nothing of it is in the log")

    def go_on_without_master(self) -> None:
        """Stop the master; the nodes answer as before."""
        stage = self.stage
        stage.step("The master stops; the nodes go on answering")
        stage.stop("master")
        answer = stage.cli("get", "operator", "where", "country = FR and port = 32148", "--home", "node-2")
        stage.show(answer.stdout + answer.stderr)
        stage.promise(len(answer.stdout.splitlines()) == 3, "node-2 answers its people")
        url = f"{stage.url('node-1')}/v1/policies?kind=cluster"
        stage.typed(f'curl --cacert node-1/tls/ca.pem -H "Authorization: Bearer $(cat node-1/api-token)" "{url}"')
        reply = stage.ask("node-1", url, (stage.place / "node-1" / "api-token").read_text().strip())
        stage.promise(reply.status == 200 and len(reply.json["policies"]) == 12, "node-1 answers programs, over HTTPS: 12 clusters")

    def spoil(self, published: Published) -> None:
        """Change a byte of an entry on the master's disk and let it look."""
        stage = self.stage
        stage.step("Someone changes one byte on the master's disk")
        place = change_stored_byte(stage.place / "master" / "ledger.db", published, ADDRESS, CHANGED)
        stage.show(f"byte {place} of entry {published.index}: {NAME} was at {ADDRESS} and is now at {CHANGED}, which is San Francisco's")
        checked = stage.cli("verify", "ledger", "-o", "json", "--home", "master", code=1)
        stage.show(checked.stderr)
        stage.promise(checked.json["index"] == published.index, f"verify ledger names index {published.index}")

    def refuse(self, published: Published) -> None:
        """Serve the changed ledger: a node that starts afresh refuses it, those that have the truth keep it."""
        stage = self.stage
        stage.step("The master serves that ledger; a node that starts afresh refuses it and keeps the evidence")
        self._start_master()
        refused = stage.cli("join", f"@{LATE}.token", "--home", LATE, code=1)
        stage.show(refused.stderr)
        cases = sorted((stage.place / LATE / "evidence").iterdir())
        stage.promise(len(cases) == 1, f"{LATE} did not join, and kept what the master signed:")
        self._show_evidence(cases[0])
        words = ("get", "operator", "where", f"name = {NAME}", "-o", "json", "--home")
        answers = stage.together(*[(*words, name) for name in NODES])
        kept = all(answer.json[0]["operator"]["ip"] == ADDRESS for answer in answers)
        stage.promise(kept, f"both nodes still answer {ADDRESS}")

    def _show_evidence(self, path: Path) -> None:
        stage = self.stage
        stage.typed(f"cat {shlex.quote(str(path.relative_to(stage.place)))}")
        case = json.loads(path.read_text())
        stage.show(json.dumps({name: _short(value) for name, value in case.items()}, indent=1, ensure_ascii=False), most=30)
        stage.say("   the note in it, signed by the log's own key:")
        stage.show(base64.b64decode(case["notes"][0]).decode())

    def _size(self, token: str) -> int:
        """Return the size of the master's log, by its checkpoint."""
        reply = self.stage.ask("node-1", f"{self.url}/checkpoint", token)
        return int(reply.body.split(b"\n")[1])

    def _write(self, name: str, text: str) -> None:
        (self.stage.place / name).write_text(text)


def _line(text: str) -> str:
    """Return text in one line, without what a traceback's type adds."""
    return " ".join(text.split())


def _short(value: object) -> object:
    """Return a value of an evidence file with its long texts cut."""
    if isinstance(value, list):
        return [_short(one) for one in value]
    return f"{value[:48]}… ({len(value)} characters)" if isinstance(value, str) and len(value) > 64 else value


def _demo(ledger: str) -> type[Demo]:
    """Return the story on a ledger. Those on a chain stand on this module and on an extra, so they are loaded when asked for."""
    if ledger == "ethereum":
        from tests.demo.ethereum import EthereumDemo  # noqa: PLC0415 - see above

        return EthereumDemo
    if ledger == "hyperledger":
        from tests.demo.hyperledger import HyperledgerDemo  # noqa: PLC0415 - see above

        return HyperledgerDemo
    return Demo


def main() -> int:
    """Play the demo; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo.run", description="the main job of metaledger on real input")
    parser.add_argument("--full", action="store_true", help="all airports instead of 300")
    parser.add_argument(
        "--ledger", choices=["master", "ethereum", "hyperledger"], default="master", help="what keeps the log beside the nodes"
    )
    chosen = parser.parse_args()
    begin = time.perf_counter()
    stage = Stage()
    try:
        with stage:
            demo = _demo(chosen.ledger)(stage, None if chosen.full else SITES)
            stage.say(demo.opening())
            demo.play()
        stage.say(
            f"\nAll {stage.kept} promises kept, in {time.perf_counter() - begin:.1f} s. Nothing is left running, nothing is left behind."
        )
    except DemoError as error:
        sys.stdout.flush()
        sys.stderr.write(f"\n{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted: everything is stopped and removed\n")
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
