"""What the docker tier says where it cannot run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.docker import engine

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_every_command_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert engine.missing() == "no command dockerd, docker, mmdebstrap, setpriv (make system-packages)"


def test_without_root_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in engine.COMMANDS:
        (tmp_path / command).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert engine.missing() == "a Docker daemon needs root with CAP_SYS_ADMIN"
