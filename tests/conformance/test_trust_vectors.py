"""The trust rules against their vectors, what the files promise, and that the check sees what differs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import check_trust, make_trust
from tests.property.trust.simulator import Master

FILES = sorted((Path(__file__).parent / "vectors" / "trust1").glob("*.json"))


def vectors(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_bytes())
    return loaded


def cases() -> list[tuple[Path, str]]:
    return [(path, case["name"]) for path in FILES for case in vectors(path)["cases"]]


def test_files_and_names() -> None:
    assert [path.stem for path in FILES] == ["notes", "replicas"]
    assert len(cases()) == len(set(cases())) > 100


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_answer_agrees(path: Path) -> None:
    assert check_trust.first_disagreement(vectors(path)) is None


def test_every_verdict_has_a_case() -> None:
    steps = [step["answer"]["verdict"] for case in vectors(FILES[1])["cases"] for step in case["steps"]]
    assert set(steps) == {
        *("taken", "current", "behind", "waits for entries", "waits for a root"),
        *("bad note", "bad source", "split view", "rollback"),
    }
    assert {case["answer"]["good"] for case in vectors(FILES[0])["cases"]} == {True, False}


def test_generator_makes_the_committed_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_trust, "HERE", tmp_path)
    make_trust.main()
    for path in FILES:
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_generator_writes_nothing_that_is_not_so(tmp_path: Path) -> None:
    book = make_trust.Book("wrong")
    master = Master.create()
    book.bad("good", master, master.sign(7))
    with pytest.raises(AssertionError, match="good, note 0"):
        book.write(tmp_path / "wrong.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_check_names_the_first_disagreement(path: Path, tmp_path: Path) -> None:
    changed = vectors(path)
    case = changed["cases"][1]
    (case["steps"][0] if "steps" in case else case)["answer"] = {"verdict": "other"}
    file = tmp_path / "changed.json"
    file.write_text(json.dumps(changed))
    run = subprocess.run([sys.executable, check_trust.__file__, file], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert f"{case['name']}, note 0: {{'verdict': 'other'}} in the file" in run.stderr
    assert "Traceback" not in run.stderr


def test_check_says_yes(capsys: pytest.CaptureFixture[str]) -> None:
    assert [check_trust.main([str(path)]) for path in FILES] == [0, 0]
    assert capsys.readouterr().err == ""


def test_check_fails_without_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_trust.main([str(tmp_path / "none.json")]) == 1
    assert "cannot be judged" in capsys.readouterr().err
