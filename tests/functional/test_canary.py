"""No secret in what a real run shows: log lines, errors, argv, settings, status, metrics. And no assertion twice, over a kill.

A network whose keys have a passphrase, its master and a node as processes, the commands of people as processes. Everything that
is written is kept, and searched for every secret that there is, in every spelling.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import re
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from auth.assertions import GRANT_TYPE, make_assertion
from auth.keystore import KeyStore, encode_key
from auth.tls import client_context
from auth.tokens import Site
from ledger.home.clock import SystemClock
from ledger.home.files import read_private_file, write_file
from ledger.home.home import Home
from ledger.home.settings import load_settings, read_settings
from master.create import NewNetwork, create_network
from tests.support.live import Server, configure, ledger_cli

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from subprocess import CompletedProcess

PASSPHRASE = "canary correct horse"
LOOKS_SECRET = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}|metaledger-join-1\.[\w-]{8,}|PRIVATE KEY")
FORM = "application/x-www-form-urlencoded"
ENVELOPE = "application/vnd.dsse.envelope.v1+json"
SAMPLE_SECONDS = 0.02


class Shown:
    """Everything that anybody got to see, by where."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []

    def add(self, where: str, text: str) -> None:
        self.texts.append((where, text))

    def add_run(self, done: CompletedProcess[str], *, secret_answer: bool = False) -> CompletedProcess[str]:
        self.add(f"stderr of {done.args[3:6]}", done.stderr)
        if not secret_answer:
            self.add(f"stdout of {done.args[3:6]}", done.stdout)
        return done


class Argv(threading.Thread):
    """Looks at the command line of every process on this machine, as `ps` does, again and again."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.lines: set[str] = set()
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(SAMPLE_SECONDS):
            for place in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    self.lines.add(place.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))


class Visitor:
    """A program that talks to the master in every wrong way."""

    def __init__(self, url: str, context: ssl.SSLContext, shown: Shown) -> None:
        self._url = url
        self._context = context
        self._shown = shown

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> int:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self._url + path, data=body, headers=sent)
        try:
            with urllib.request.urlopen(request, context=self._context, timeout=10) as answer:
                status, text = int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                status, text = refused.code, refused.read().decode()
        if status != 200 or "access_token" not in text:
            self._shown.add(f"{path[:20]} {status}", text)
        return status

    def spend(self, assertion: str) -> int:
        form = urlencode({"grant_type": GRANT_TYPE, "assertion": assertion}).encode()
        return self.ask("/v1/token", form, Content_Type=FORM)


def spellings(seed: bytes) -> set[str]:
    return {seed.hex(), base64.b64encode(seed).decode(), base64.urlsafe_b64encode(seed).decode().rstrip("="), repr(seed)[2:-1]}


def secrets_of(home: Path, passphrase: str | None) -> set[str]:
    """Return every secret that lies in a home."""
    found: set[str] = set()
    store = KeyStore(Home(home).keys, None if passphrase is None else passphrase.encode())
    for name in store.names():
        found |= spellings(store.load(name).seed)
    for path in [*Home(home).keys.iterdir(), *Home(home).tls.glob("*key*")]:
        found |= {line for line in read_private_file(path).decode().splitlines() if not line.startswith("-")}
    if Home(home).api_token.exists():
        found.add(read_private_file(Home(home).api_token).decode().strip())
    return {secret for secret in found if len(secret) > 15}


def encrypt(home: Path) -> None:
    """Give the keys of a home a passphrase, which lies in its config.toml."""
    store = KeyStore(Home(home).keys)
    for name in store.names():
        write_file(store.path(name), encode_key(store.load(name), PASSPHRASE.encode()))
    configure(home, passphrase=PASSPHRASE, log_level="debug", metrics_listen="127.0.0.1:0")


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Server]:
    home = tmp_path / "master"
    asyncio.run(create_network(home, NewNetwork("canary"), SystemClock()))
    encrypt(home)
    server = Server("master", home)
    server.start()
    configure(home, ledger=server.url)
    yield server
    server.stop()


def commands(shown: Shown, master: Server, folder: Path) -> tuple[str, str, Path]:
    """Do what people do, well and badly; return the join token, the access token and the home of a node."""
    home, token_file, node = master.home, folder / "node.token", folder / "node-1"
    policy = folder / "policy.json"
    policy.write_text('{"site": {"name": "canary site"}}')
    assert shown.add_run(ledger_cli(home, "create", "invite", "node-1", "--type", "node", "--out", str(token_file))).returncode == 0
    line = read_private_file(token_file).decode().strip()
    for wrong in (line[:-2], f"{line} {line}"):
        assert shown.add_run(ledger_cli(folder / "nobody", "join", "-v", "-", text=wrong)).returncode != 0
    assert shown.add_run(ledger_cli(node, "join", f"@{token_file}")).returncode == 0
    assert shown.add_run(ledger_cli(folder / "late", "join", "-v", "-", text=line)).returncode == 3
    assert shown.add_run(ledger_cli(home, "publish", "policy", str(policy))).returncode == 0
    access = shown.add_run(ledger_cli(home, "create", "token", "--scope", "operate"), secret_answer=True)
    assert access.returncode == 0, access.stderr
    for place, words in ((home, ("status", "-o", "json")), (home, ("get", "all", "-o", "json")), (node, ("sync", "-v"))):
        assert shown.add_run(ledger_cli(place, *words)).returncode == 0
    configure(home, passphrase="canary wrong horse")
    assert shown.add_run(ledger_cli(home, "publish", "policy", "-v", str(policy))).returncode == 2
    configure(home, passphrase=PASSPHRASE)
    return line, access.stdout.strip(), node


def knock(visitor: Visitor, access: str, line: str, seed: str) -> None:
    """Send secrets where they do not belong."""
    bearer = f"Bearer {access}"
    assert visitor.ask("/v1/status", Authorization=bearer) == 200
    assert visitor.ask("/v1/status", Authorization=bearer[:-3] + "AAA") == 401
    assert visitor.ask("/v1/status", Authorization=f"Basic {access}") == 401
    assert visitor.ask(f"/v1/policies/{line[:100]}", Authorization=bearer) in {403, 404}
    assert visitor.ask(f"/v1/entries?start=0&token={access}", Authorization=bearer) in {400, 403}
    assert visitor.ask(f"/{line}") == 404
    for body in (line.encode(), seed.encode(), access.encode(), b'{"payload":"' + seed.encode() + b'"}'):
        assert visitor.ask("/v1/entries", body, Authorization=bearer, Content_Type=ENVELOPE) in {400, 403}
        assert visitor.ask("/v1/token", body, Content_Type=FORM) == 400
        assert visitor.ask("/v1/checkpoints", body, Content_Type="text/plain") == 400
    for path in ("/healthz", "/readyz", "/openapi.json", "/.well-known/jwks.json", "/v1/crl", "/checkpoint"):
        assert visitor.ask(path) == 200


def settings_shown(home: Path) -> str:
    reading = read_settings(home, {}, {})
    settings = load_settings(home, {"join": "metaledger-join-1.canary-canary"}, {})
    public = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings) if not f.metadata["secret"]}
    return "\n".join([repr(reading), repr(settings), str(settings), repr(public)])


def test_nothing_that_is_shown_holds_a_secret(master: Server, tmp_path: Path) -> None:
    shown, argv = Shown(), Argv()
    argv.start()
    line, access, node_home = commands(shown, master, tmp_path)
    home = Home(master.home)
    context = client_context(home.ca_file.read_bytes())
    visitor = Visitor(master.url, context, shown)
    member = KeyStore(home.keys, PASSPHRASE.encode()).load("member")
    knock(visitor, access, line, base64.b64encode(member.seed).decode())
    site = Site(str(load_settings(master.home, {}, {}).network), "master")
    assertion = make_assertion("admin", member, site, SystemClock().now())
    assert visitor.spend(assertion) == 200
    assert visitor.spend(assertion) == 401
    node = Server("node", node_home)
    node.start()
    master.kill()
    master.restart()
    assert visitor.spend(assertion) == 401
    listen = (master.home / "listen.json").read_text()
    assert Visitor(f"https://{json.loads(listen)['metrics']}", context, shown).ask("/metrics") == 200
    node.stop()
    master.stop()
    argv.over.set()
    argv.join()
    shown.add("listen.json", listen)
    shown.add("log of the master", master.log_text())
    shown.add("log of the node", node.log_text())
    shown.add("argv", "\n".join(argv.lines))
    shown.add("settings", settings_shown(master.home))
    assert str(master.home) in "".join(argv.lines)
    assert '"event":"request_refused"' in master.log_text()
    secrets = secrets_of(master.home, PASSPHRASE) | secrets_of(node_home, None)
    secrets |= {PASSPHRASE, "canary wrong horse", line, line[18:60], line[-40:], access.rsplit(".", 1)[1], assertion.rsplit(".", 1)[1]}
    assert len(secrets) > 40
    for where, text in shown.texts:
        assert not [f"{secret[:6]}…" for secret in secrets if secret in text], where
        assert not LOOKS_SECRET.search(text), where
