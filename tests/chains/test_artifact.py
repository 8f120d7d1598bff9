"""The artifact that is committed is what the pinned compiler makes of the source, byte for byte."""

from __future__ import annotations

import json

from tests.support.solidity import CONTRACT, compiled


def test_the_artifact_is_what_the_compiler_makes_of_the_source() -> None:
    assert compiled() == (CONTRACT / "MetaLedger.json").read_text()


def test_the_storage_is_laid_out_as_the_source_says() -> None:
    layout = {one["label"]: (one["slot"], one["offset"]) for one in json.loads((CONTRACT / "MetaLedger.json").read_text())["storage"]}
    assert layout == {
        "head": ("0", 0),
        "root": ("1", 0),
        "count": ("2", 0),
        "size": ("2", 8),
        "deployedAt": ("2", 16),
        "open": ("2", 24),
        "owner": ("3", 0),
        "pendingOwner": ("4", 0),
        "isSubmitter": ("5", 0),
    }
