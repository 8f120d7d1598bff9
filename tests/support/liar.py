"""A liar master: a real HTTPS server with the network's true keys and certificate that shows what it is told to show."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from ledger.core.envelope import parse_envelope
from ledger.core.errors import FormatError
from ledger.core.tiles import frame
from ledger.home.clock import SystemClock
from ledger.home.home import Home

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.support.forgery import Forgery

Answer = tuple[int, dict[str, str], bytes]
PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Endless:
    """A body that never ends: `piece` again and again, with `pause` seconds between, until the reader goes or the liar stops lying."""

    piece: bytes
    pause: float = 0.0


@dataclass(slots=True)
class Liar:
    """What the server shows: by default what it holds, honestly. `lies` answer in place of it, by the beginning of the path."""

    log: Forgery
    url: str = ""
    note: bytes | None = None
    entries: Sequence[bytes] | None = None
    roots: dict[int, bytes] = field(default_factory=dict)
    lies: dict[str, tuple[int, dict[str, str], bytes | Endless]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    changed: threading.Event = field(default_factory=threading.Event)
    stands: int | None = None  # the second at which its clock stands, in Unix time; None: it runs

    def honest(self, log: Forgery | None = None) -> None:
        """Show a log as it is from now on."""
        self.log = log or self.log
        self.note = self.entries = None
        self.roots = {}
        self.lies = {}
        self.changed.set()
        self.changed = threading.Event()

    def answer(self, path: str) -> Answer:
        """Return what is shown at a path."""
        parts = urlsplit(path)
        if parts.path == "/checkpoint":
            seconds = 0 if self.stands is None else self.stands - int(SystemClock().now())
            return 200, {"Content-Type": "text/plain"}, self.note or self.log.note(seconds=seconds)
        if parts.path == "/v1/entries":
            query = parse_qs(parts.query)
            start, end = int(query["start"][0]), int(query["end"][0])
            page = (self.log.entries if self.entries is None else self.entries)[start : min(end, start + PAGE)]
            return (200, {}, frame(page)) if page else _problem(404, "not-found")
        match = re.fullmatch(r"/v1/roots/([0-9]+)", parts.path)
        root = self._root(int(match[1])) if match else None
        if root is not None:
            return 200, {}, root
        return _problem(404, "not-found")

    def _root(self, version: int) -> bytes | None:
        if version in self.roots:
            return self.roots[version]
        found = [entry for entry in self.log.entries if _root_version(entry) == version]
        return found[0] if found else None


def _root_version(entry: bytes) -> object:
    try:
        statement = parse_envelope(entry).statement
    except FormatError:
        return None
    return statement.body["version"] if statement.kind == "root" and statement.body else None


def _problem(status: int, code: str) -> Answer:
    return status, {"Content-Type": "application/problem+json"}, json.dumps({"code": code, "status": status}).encode()


def _handler(liar: Liar) -> type[BaseHTTPRequestHandler]:
    class Show(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            liar.asked.append(self.path)
            lie = next((lie for beginning, lie in liar.lies.items() if self.path.startswith(beginning)), None)
            status, headers, body = liar.answer(self.path) if lie is None else lie
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if isinstance(body, Endless):
                self.close_connection = True
                self.end_headers()
                self._pour(body)
                return
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"access_token": "any", "token_type": "Bearer", "expires_in": 900}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _pour(self, body: Endless) -> None:
            over = liar.changed
            while not over.wait(body.pause) if body.pause else not over.is_set():
                self.wfile.write(body.piece)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Show


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """Say nothing when a reader hangs up."""


class _Server6(_Server):
    address_family: int = socket.AF_INET6


@contextlib.contextmanager
def lying(log: Forgery, master: Path, host: str = "127.0.0.1") -> Iterator[Liar]:
    """Serve `log` on loopback while inside, with the certificate of the master whose home is `master`."""
    home = Home(master)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(home.certificate_file, home.certificate_key_file)
    liar = Liar(log)
    with (_Server6 if ":" in host else _Server)((host, 0), _handler(liar)) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        liar.url = f"https://[{host}]:{server.server_port}" if ":" in host else f"https://{host}:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield liar
        finally:
            liar.changed.set()
            server.shutdown()
            thread.join()
