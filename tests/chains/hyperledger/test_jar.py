"""The jar: the same sources make the same bytes, and what it contains is named with its licence."""

from __future__ import annotations

import hashlib
import re
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.support.java_bridge import SOURCES, TOLD, bridge_jar, compile_bridge

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.java
PUT_IN = re.compile(r"^\[INFO\] Including ([\w.-]+):([\w.-]+):jar:([\w.-]+) in the shaded jar\.$", re.MULTILINE)
NAMED = re.compile(r"^  (?P<group>[a-z][\w.]+): (?P<works>.+?)\.(?: Copyright .+)?$", re.MULTILINE)


def named_in(notice: str) -> set[tuple[str, str, str]]:
    """Return group, artifact and version of each work that a notice names; a version stands for those before it, too."""
    found = set()
    for line in NAMED.finditer(notice):
        waiting = []
        for work in re.sub(r" \([^)]+\)", "", line["works"]).split(", "):
            name, _, version = work.partition(" ")
            waiting.append(name)
            if version:
                found |= {(line["group"], one, version) for one in waiting}
                waiting = []
        assert not waiting, f"{line[0]}: no version"
    return found


@pytest.mark.timeout(300)
def test_it_is_built_to_the_same_bytes_elsewhere_of_what_its_notice_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    monkeypatch.setenv("LC_ALL", "C")
    again = compile_bridge(tmp_path / "another place")
    assert hashlib.sha256(again.read_bytes()).hexdigest() == hashlib.sha256(bridge_jar().read_bytes()).hexdigest()
    # What Maven resolved and put in, each with its version: most of these ship no pom that the jar would show.
    put_in = set(PUT_IN.findall(again.with_name(TOLD).read_text()))
    assert ("net.sf.py4j", "py4j", "0.10.9.9") in put_in
    assert named_in(again.parents[1].joinpath("NOTICE").read_text()) == put_in


def test_it_holds_the_licence_and_the_notice_once_and_no_signature_of_a_part() -> None:
    with zipfile.ZipFile(bridge_jar()) as jar:
        names = jar.namelist()
        assert len(names) == len(set(names))
        for name in ("LICENSE", "NOTICE"):
            assert jar.read(f"META-INF/{name}") == SOURCES.joinpath(name).read_bytes()
        notice = jar.read("META-INF/NOTICE").decode()
        for kept in re.findall(r"META-INF/[\w.]*\w", notice):
            assert kept in names or f"{kept}/" in names, kept
    assert "Apache License" in SOURCES.joinpath("LICENSE").read_text()
    for holder in ("Hyperledger", "Bouncy Castle", "Dagenais", "Google", "Netty"):
        assert holder in notice
    assert not [one for one in names if one.endswith((".SF", ".RSA", ".DSA"))]
