"""Export files from strangers: whatever the bytes, a domain error or an honest no; never a yes to anything but the ledger itself."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.client.exportcheck import verify_export
from ledger.client.exportfile import ExportFile
from ledger.core.errors import LedgerError
from tests.support.command import Cli


@lru_cache(maxsize=1)
def content() -> bytes:
    """Return an export, unpacked."""
    with TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        cli = Cli(home)
        cli("create", "network", "example", "--url", f"sqlite://{home}/ledger.db").good()
        cli.publish({"site": {"id": "oslo"}}, {"site": {"id": "bern"}})
        packed = cli("export").good().raw
    return zstandard.ZstdDecompressor().stream_reader(packed).read()


def verdict(raw: bytes) -> bool | None:
    """Return whether the file verifies, None when it is no export at all."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(raw)
        try:
            with ExportFile(path) as file:
                return verify_export(file, file.header.network, deep=True).verified
        except LedgerError:
            return None


def test_the_ledger_itself_verifies() -> None:
    assert verdict(zstandard.compress(content())) is True


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.binary(max_size=3), st.integers(0, 3))
def test_nothing_changed_verifies(where: float, put: bytes, taken: int) -> None:
    whole = content()
    at = int(where * len(whole))
    changed = whole[:at] + put + whole[at + taken :]
    assert verdict(zstandard.compress(changed)) in ((True,) if changed == whole else (False, None))


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(lambda raw: zstandard.compress(b"metaledger-export-1\n" + raw))))
def test_other_bytes_are_no_export(raw: bytes) -> None:
    assert verdict(raw) is None


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_damaged_frame_never_verifies_as_something_else(where: float, flip: int) -> None:
    packed = bytearray(zstandard.ZstdCompressor(write_checksum=True).compress(content()))
    packed[int(where * len(packed))] ^= flip
    verdict(bytes(packed))  # a domain error or an answer, whatever was hit
