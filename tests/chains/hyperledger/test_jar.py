"""The jar: the same sources make the same bytes, and what it contains is named with its licence."""

from __future__ import annotations

import hashlib
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.support.java_bridge import bridge_jar, compile_bridge

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.java


@pytest.mark.timeout(300)
def test_it_is_built_to_the_same_bytes_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    monkeypatch.setenv("LC_ALL", "C")
    again = compile_bridge(tmp_path / "another place")
    assert hashlib.sha256(again.read_bytes()).hexdigest() == hashlib.sha256(bridge_jar().read_bytes()).hexdigest()


def test_it_names_what_it_contains() -> None:
    with zipfile.ZipFile(bridge_jar()) as jar:
        notice = jar.read("META-INF/NOTICE").decode()
        names = jar.namelist()
        poms = {one.split("/")[3] for one in names if one.startswith("META-INF/maven/") and one.endswith("pom.xml")}
    assert {one for one in poms if one not in notice} <= {"fabric-bridge"}
    for holder in ("Hyperledger", "Bouncy Castle", "Dagenais", "Google", "Netty"):
        assert holder in notice
    assert len(names) == len(set(names))
    assert not [one for one in names if one.endswith((".SF", ".RSA", ".DSA"))]
