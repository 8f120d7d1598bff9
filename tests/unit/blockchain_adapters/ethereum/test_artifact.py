"""The built contract that the package carries."""

from __future__ import annotations

from blockchain_adapters.ethereum.artifact import load_artifact


def test_the_artifact_is_whole() -> None:
    artifact = load_artifact()
    names = {one["name"] for one in artifact.abi if one["type"] in {"function", "event"}}
    assert names >= {"append", "anchor", "status", "setSubmitter", "offerOwnership", "acceptOwnership", "Appended"}
    assert artifact.runtime in artifact.bytecode
    assert len(artifact.runtime) < 24_576  # the largest code that a chain takes
    assert len(artifact.runtime_hash) == 32


def test_the_code_has_no_way_out() -> None:
    """Neither SELFDESTRUCT nor DELEGATECALL, CALL, CALLCODE, STATICCALL, CREATE or CREATE2 stands in the code."""
    code, found, at = load_artifact().runtime, set[int](), 0
    while at < len(code):
        found.add(code[at])
        at += 1 + (code[at] - 0x5F if 0x60 <= code[at] <= 0x7F else 0)  # PUSH1 to PUSH32 bring their bytes along
    assert found.isdisjoint({0xF0, 0xF1, 0xF2, 0xF4, 0xF5, 0xFA, 0xFF})
