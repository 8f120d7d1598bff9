"""etcd over TLS, when this machine has it: the same entries, the same load program, the same disk."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import time
from typing import TYPE_CHECKING, TypedDict
from urllib.error import URLError
from urllib.request import urlopen

import trustme

from ledger.core.tiles import frame
from tests.bench.figures import Figure, Report
from tests.support.go_tools import LOAD, built

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

START_SECONDS = 20
LOAD_SECONDS = 320
CONNECTIONS = (1, 32)
WARMUP = 200


class Outcome(TypedDict):
    """What the load program prints."""

    count: int
    seconds: float
    p50_ms: float
    p99_ms: float


def find_etcd() -> str | None:
    """Return the etcd server of this machine (Debian: etcd-server), if there is one."""
    return shutil.which("etcd")


def run_load(*arguments: str) -> Outcome:
    """Run the load program; CalledProcessError if anything was not acknowledged."""
    done = subprocess.run([str(built(LOAD)), *arguments], capture_output=True, text=True, timeout=LOAD_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    outcome: Outcome = json.loads(done.stdout)
    return outcome


def measure_etcd(report: Report, entries: Sequence[bytes], folder: Path) -> None:
    """Put entries of the product's own sizes, at 1 and at 32 connections."""
    server = find_etcd()
    if server is None:
        return
    (folder / "entries").write_bytes(frame(entries))
    with etcd_running(server, folder) as url:
        for connections in CONNECTIONS:
            arguments = ("-target=etcd", f"-url={url}", f"-ca={folder / 'ca.pem'}", f"-entries={folder / 'entries'}")
            outcome = run_load(*arguments, f"-connections={connections}", f"-warmup={WARMUP}")
            remark = f"put over TLS, p50 {outcome['p50_ms']:.2f} ms, p99 {outcome['p99_ms']:.2f} ms"
            report.add(Figure(f"etcd, {connections}", outcome["count"] / outcome["seconds"], "/s", remark=remark))


@contextlib.contextmanager
def etcd_running(server: str, folder: Path) -> Iterator[str]:
    """Run a single etcd over TLS on loopback while inside; give its URL."""
    authority, url, peer = trustme.CA(), f"https://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate.private_key_pem.write_to_path(folder / "etcd-key.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "etcd.pem")
    options = {
        "data-dir": folder / "etcd",
        "cert-file": folder / "etcd.pem",
        "key-file": folder / "etcd-key.pem",
        "listen-client-urls": url,
        "advertise-client-urls": url,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
    }
    with (folder / "etcd.log").open("wb") as log:
        command = [server, *(f"--{name}={value}" for name, value in options.items())]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _await_health(url, folder, process)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=START_SECONDS)


def _await_health(url: str, folder: Path, process: subprocess.Popen[bytes]) -> None:
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(URLError, OSError), urlopen(f"{url}/health", timeout=2, context=context) as answer:
            if answer.status == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f"etcd did not start: {(folder / 'etcd.log').read_text(errors='replace')[-500:]}")


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
