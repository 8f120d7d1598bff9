"""The Go parts' own tests: the chaincode, and the stand-in peer that drives it for the official client."""

from __future__ import annotations

import pytest

from tests.support.go_tools import CHAINCODE, FABRIC_PEER, GoProgram, run_tests

pytestmark = [pytest.mark.go, pytest.mark.timeout(900)]  # the first run builds gRPC


@pytest.mark.parametrize("program", [CHAINCODE, FABRIC_PEER], ids=lambda program: program.name)
def test_go_tests_of_a_module_pass(program: GoProgram) -> None:
    assert "ok" in run_tests(program)
