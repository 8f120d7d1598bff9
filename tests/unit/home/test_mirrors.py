"""The file of mirrors in a master's home."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.core.errors import CorruptError
from ledger.home.home import Home
from ledger.home.mirrors import FILE, Mirror, read_mirrors, write_mirrors

if TYPE_CHECKING:
    from pathlib import Path

URL = "ethereum+http://127.0.0.1:8545/0x5fbdb2315678afecb367f032d93f642f64180aa3"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert read_mirrors(home) == ()
    mirrors = (
        Mirror(url=URL, key="ethereum.json"),
        Mirror(url=URL[:-1] + "4", key="b.json", every=0.0, chain=1, max_gas_per_day=5, paused=True),
    )
    write_mirrors(home, mirrors)
    assert read_mirrors(home) == mirrors
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        '[{"url":"x"}]',
        '[{"url":"x","key":"y","more":1}]',
        "7",
        "null",
        '[{"url":1,"key":"y"}]',
        '[{"url":"x","key":"y","every":"z"}]',
        '[{"url":"x","key":"y","chain":"z"}]',
    ],
)
def test_what_nobody_wrote_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(CorruptError, match="does not say where") as raised:
        read_mirrors(Home(tmp_path))
    assert "add the mirrors again" in raised.value.hint


def test_a_mirror_is_named_by_its_url_or_its_contract() -> None:
    mirror = Mirror(url=URL, key="k")
    assert mirror.is_named(URL.upper())
    assert mirror.is_named(URL.rpartition("/")[2])
    assert not mirror.is_named("0x5f")
    assert not mirror.is_named("")
