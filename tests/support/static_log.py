"""A log made in memory by `ledger.core` and served as plain files over TLS 1.3: what other people's readers are tried on."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import trustme

from ledger.core.checkpoint import Checkpoint
from ledger.core.keys import PrivateKey
from ledger.core.merkle import Frontier, HashList, leaf_hashes
from ledger.core.note import CLOCK_KIND, LOG_KIND, Note, VerifierKey, clock_line, log_line
from ledger.core.tiles import TILE_HEIGHT, TILE_WIDTH, TilePath, entry_bundles, frame, tile_hashes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORIGIN = "ledger.internal/static/0123456789abcdef"
TIME = 1_763_800_000


@dataclass(slots=True)
class StaticLog:
    """The files of a signed log by path, for a test to serve, or to spoil first."""

    vkey: str
    clock_vkey: str
    entries: list[bytes]
    nodes: HashList
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def note(self) -> bytes:
        """Return the signed checkpoint."""
        return self.files["checkpoint"]


def static_log(entries: list[bytes]) -> StaticLog:
    """Return the files of a log of `entries`, its checkpoint signed by a log key and a clock key."""
    log_key, clock_key = (PrivateKey(hashlib.sha256(name).digest()) for name in (b"log", b"clock"))
    clock_name = f"{ORIGIN}/clock"
    log = StaticLog(
        vkey=VerifierKey(ORIGIN, LOG_KIND, log_key.public).text,
        clock_vkey=VerifierKey(clock_name, CLOCK_KIND, clock_key.public).text,
        entries=entries,
        nodes=HashList(),
    )
    frontier = Frontier()
    log.nodes.nodes.extend(node for _, node in frontier.append_many(leaf_hashes(entries)))
    text = Checkpoint(ORIGIN, len(entries), frontier.root()).text
    lines = (log_line(text, ORIGIN, log_key), clock_line(text, clock_name, clock_key, TIME))
    log.files["checkpoint"] = Note(text, lines).encode()
    for path in _tiles(len(entries)):
        log.files[path.text] = tile_hashes(log.nodes, path, len(entries))
    for path in entry_bundles(0, len(entries), len(entries)):
        log.files[path.text] = frame(entries[path.start : path.end])
    return log


def _tiles(size: int) -> Iterator[TilePath]:
    level, width = 0, size
    while width:
        for index in range(-(-width // TILE_WIDTH)):
            yield TilePath(level, index, min(TILE_WIDTH, width - index * TILE_WIDTH))
        level, width = level + 1, width >> TILE_HEIGHT


@dataclass(frozen=True, slots=True)
class Served:
    """Where a static log is served, and what a reader needs to be let in and to verify it."""

    url: str
    ca_file: Path
    vkey: str
    clock_vkey: str
    token: str


def _certified(ca_file: Path) -> ssl.SSLContext:
    """Return the context of a server on loopback, under a new CA whose certificate goes into `ca_file`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@contextlib.contextmanager
def served(log: StaticLog, folder: Path, token: str = "a-token") -> Iterator[Served]:
    """Serve the files of `log` on loopback while inside: all but the checkpoint to bearers of `token` only."""
    ca_file = folder / "ca.pem"
    context = _certified(ca_file)

    class Files(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits 40 ms for the reader's acknowledgement

        def do_GET(self) -> None:
            path = self.path.removeprefix("/")
            status, body = 200, log.files.get(path, b"")
            if path not in log.files:
                status = 404
            elif path != "checkpoint" and self.headers["Authorization"] != f"Bearer {token}":
                status, body = 401, b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Say nothing when a reader hangs up."""

    with Server(("127.0.0.1", 0), Files) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield Served(f"https://127.0.0.1:{server.server_port}", ca_file, log.vkey, log.clock_vkey, token)
        finally:
            server.shutdown()
            thread.join()
