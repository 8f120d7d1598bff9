"""The fold against its vectors: every verdict and every state root, and what the files say about themselves."""

from __future__ import annotations

import base64
import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ledger.core.errors import UnsupportedError
from ledger.core.fold import Void, judge
from ledger.core.merkle import Frontier, leaf_hash
from ledger.core.state import Accepted, DictState
from tests.conformance import make_holes

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
FILES = sorted((HERE / "vectors" / "fold1").glob("*.json"))
CHECK = HERE / "check_fold.py"
EXPECTED = {"holes", "holes-first", "random-1", "random-2", "rules-1", "rules-2", "rules-3", "small", "story"}


def vectors(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_bytes())
    return loaded


def entries(path: Path) -> list[bytes]:
    return [base64.b64decode(row["entry"]) for row in vectors(path)["entries"]]


def run_check() -> Callable[[list[str]], int]:
    main: Callable[[list[str]], int] = runpy.run_path(str(CHECK))["main"]
    return main


def test_all_files_are_here() -> None:
    assert {path.stem for path in FILES} == EXPECTED


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_verdict_and_root_agrees(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_check()([str(path)]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_log_root_is_of_all_entries(path: Path) -> None:
    tree = Frontier()
    tree.append_many(map(leaf_hash, entries(path)))
    assert tree.root().hex() == vectors(path)["log_root"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_pinned_replica_agrees_and_another_network_takes_nothing(path: Path) -> None:
    pinned, stranger = DictState(vectors(path)["network"]), DictState("0" * 64)
    for index, (row, entry) in enumerate(zip(vectors(path)["entries"], entries(path), strict=True)):
        outcome = judge(pinned, entry, index)
        assert isinstance(outcome, Void) is (row["verdict"] == "void")
        if isinstance(outcome, Accepted):
            pinned.apply(outcome)
        assert isinstance(judge(stranger, entry, index), Void)
    assert pinned.state_root() == vectors(path)["entries"][-1]["state_root"]


@pytest.mark.parametrize("name", ["rules-2", "rules-3", "holes-first"])
def test_nothing_is_judged_under_an_unknown_fold(name: str) -> None:
    path = HERE / "vectors" / "fold1" / f"{name}.json"
    state = DictState()
    for index, entry in enumerate(entries(path)):
        outcome = judge(state, entry, index)
        if isinstance(outcome, Accepted):
            state.apply(outcome)
    for entry in (b"", entries(path)[-1]):
        with pytest.raises(UnsupportedError, match="this program knows fold 1"):
            judge(state, entry, len(entries(path)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verdict": "void"}, "entry 2 is void"),
        ({"state_root": "0" * 64}, "entry 2: the state root is 0000"),
        ({"index": 7}, "entry 2: the file calls it 7"),
        ({"entry": "!"}, "cannot be judged"),
    ],
)
def test_check_names_the_first_disagreement(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    changed = vectors(HERE / "vectors" / "fold1" / "small.json")
    changed["entries"][2] |= change
    file = tmp_path / "changed.json"
    file.write_text(json.dumps(changed))
    run = subprocess.run([sys.executable, CHECK, file], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert message in run.stderr
    assert "Traceback" not in run.stderr


def test_check_compares_the_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "changed.json"
    file.write_text(json.dumps(vectors(HERE / "vectors" / "fold1" / "small.json") | {"network": "0" * 64}))
    assert run_check()([str(file)]) == 1
    assert "the network is 0000" in capsys.readouterr().err


def test_check_fails_without_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_check()([str(tmp_path / "none.json")]) == 1
    assert "cannot be judged" in capsys.readouterr().err


def test_generator_makes_the_committed_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_holes, "HERE", tmp_path)
    make_holes.main()
    for name in ("holes.json", "holes-first.json"):
        assert (tmp_path / name).read_bytes() == (HERE / "vectors" / "fold1" / name).read_bytes()
