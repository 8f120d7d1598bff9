from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from blockchain_adapters.hyperledger.java import DISTRIBUTION, JAR, MissingJavaError, find_jar, find_java
from ledger.core.errors import EXIT_CODE, MissingExtraError, lookup

if TYPE_CHECKING:
    from pathlib import Path


def command(folder: Path) -> Path:
    found = folder / "bin" / "java"
    found.parent.mkdir(parents=True)
    found.write_text("#!/bin/sh\n")
    found.chmod(0o755)
    return found


def test_java_of_java_home_comes_before_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named, on_path = command(tmp_path / "named"), command(tmp_path / "other")
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert find_java(str(tmp_path / "named")) == named
    assert find_java(None) == on_path
    assert find_java("") == on_path


def test_java_home_without_java_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(command(tmp_path / "other").parent))
    with pytest.raises(MissingJavaError, match=f"JAVA_HOME is {tmp_path}"):
        find_java(str(tmp_path))  # and the one on the PATH is not taken in its stead


def test_no_java_at_all_says_which_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingJavaError) as raised:
        find_java(None)
    assert "17" in raised.value.hint
    assert "JAVA_HOME" in raised.value.hint
    assert lookup(EXIT_CODE, raised.value) == 2


def test_no_jar_says_which_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, DISTRIBUTION, None)
    with pytest.raises(MissingExtraError) as raised:
        find_jar()
    assert 'pip install "metaledger[hyperledger]"' in raised.value.hint


def test_a_distribution_without_its_jar_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, DISTRIBUTION, raising=False)
    (tmp_path / DISTRIBUTION).mkdir()
    (tmp_path / DISTRIBUTION / "__init__.py").write_text("")
    with pytest.raises(MissingExtraError):
        find_jar()
    (tmp_path / DISTRIBUTION / JAR).write_bytes(b"PK")
    assert find_jar() == tmp_path / DISTRIBUTION / JAR
