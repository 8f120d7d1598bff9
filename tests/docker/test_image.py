"""What the image is: small, without a shell, without rights, and whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.docker.engine import EngineError
from tests.docker.images import ETHEREUM, IMAGE, LARGEST, VERSION, build, weight

if TYPE_CHECKING:
    from tests.docker.engine import Engine

pytestmark = pytest.mark.timeout(600)  # the first of them waits for the build

LOOK_AROUND = """
import importlib, json, os, pathlib, pkgutil
ours = ("ledger", "master", "auth", "blockchain_adapters")
names = [m.name for p in ours for m in pkgutil.walk_packages(importlib.import_module(p).__path__, p + ".")]
for name in names:
    if name.startswith(("blockchain_adapters.ethereum.", "blockchain_adapters.hyperledger.")):  # need extras that the image does not hold
        continue
    importlib.import_module(name)
files = [f for f in pathlib.Path("/opt/metaledger").rglob("*") if f.is_file()]
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
def writable(place):
    try:
        pathlib.Path(place, "x").write_text("x")
        return True
    except OSError:
        return False
print(json.dumps({
    "modules": len(names),
    "suffixes": sorted({f.suffix for f in files}),
    "programs": sorted(f.name for d in ("/bin", "/usr/bin", "/sbin", "/usr/sbin") if os.path.isdir(d) for f in pathlib.Path(d).iterdir()),
    "ids": sorted({os.getuid(), os.getgid(), *os.getgroups()}),
    "rights": int(status["CapEff"], 16),
    "owner": os.stat("/var/lib/metaledger").st_uid,
    "writable": [p for p in ("/", "/tmp", "/opt/metaledger", "/usr/lib", "/var/lib/metaledger", "/run/invites") if writable(p)],
}))
"""


SPEAKS = """
import importlib, pkgutil, blockchain_adapters.ethereum as package
for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
from blockchain_adapters.ethereum.artifact import load_artifact
from eth_account import Account
assert load_artifact().runtime and Account.create().address
"""


def test_the_image_is_small(engine: Engine) -> None:
    assert weight(engine, IMAGE) <= LARGEST[IMAGE]


def test_the_image_with_the_ethereum_extra_speaks_to_a_chain_and_the_plain_one_says_what_it_lacks(engine: Engine) -> None:
    build(engine, ETHEREUM)
    assert weight(engine, ETHEREUM) <= LARGEST[ETHEREUM]
    ask = ("create", "contract", "ethereum+http://127.0.0.1:9", "--key", "/run/invites/none", "--anybody")
    confined = ("run", "--rm", "--read-only", "--network", "none", "--cap-drop", "ALL")
    with pytest.raises(EngineError, match="no account's key"):  # every library is there: it looks for the account
        engine.docker(*confined, ETHEREUM, *ask)
    with pytest.raises(EngineError, match=r"metaledger\[ethereum\]"):
        engine.docker(*confined, IMAGE, *ask)
    engine.docker(*confined, "--entrypoint", "python3", ETHEREUM, "-c", SPEAKS)


def test_the_image_has_no_shell_no_source_no_rights_and_loads_every_module(engine: Engine) -> None:
    confined = ("--rm", "--read-only", "--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    seen = json.loads(engine.docker("run", *confined, "--entrypoint", "python3", IMAGE, "-c", LOOK_AROUND))
    assert seen["modules"] > 100
    assert ".pyc" in seen["suffixes"]
    assert not {".py", ".c", ".h", ".pyi"} & set(seen["suffixes"])
    assert seen["programs"] == ["python3", "python3.11"]
    assert (seen["ids"], seen["rights"], seen["owner"]) == ([65532], 0, 65532)
    assert seen["writable"] == []


def test_the_image_says_how_it_is_run_and_probed_without_a_shell(engine: Engine) -> None:
    config = json.loads(engine.docker("image", "inspect", "--format", "{{json .Config}}", IMAGE))
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["python3", "-m", "ledger.cli"]
    assert config["Healthcheck"]["Test"] == ["CMD", "python3", "-m", "ledger.http.probe"]
    assert config["StopSignal"] == "SIGTERM"


def test_the_command_answers_and_a_wrong_one_is_exit_2(engine: Engine) -> None:
    assert json.loads(engine.docker("run", "--rm", "--network", "none", IMAGE, "version", "-o", "json"))["metaledger"] == VERSION
    ended = engine.attempt("run", "--rm", "--network", "none", IMAGE, "gett")
    assert (ended.returncode, ended.stdout) == (2, "")


def test_a_probe_without_a_server_fails(engine: Engine) -> None:
    with pytest.raises(EngineError, match=r"listen\.json"):
        engine.docker("run", "--rm", "--network", "none", "--entrypoint", "python3", IMAGE, "-m", "ledger.http.probe")
