"""etcd over TLS, when this machine has it: a server of others that makes the same promise, durable and ordered, on the same disk."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import time
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import trustme

from tests.bench.loading import Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_SECONDS = 20


def find_etcd() -> str | None:
    """Return the etcd server of this machine (Debian: etcd-server), if there is one."""
    return shutil.which("etcd")


@contextlib.contextmanager
def etcd_running(server: str, folder: Path) -> Iterator[Target]:
    """Run a single etcd over TLS on loopback while inside."""
    folder.mkdir()
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
            yield Target("etcd", url, folder / "ca.pem", folder / "ca.pem", process.pid)
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
