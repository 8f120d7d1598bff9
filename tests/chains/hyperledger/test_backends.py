"""A log in a chaincode keeps the contract of the port: ordered by the channel and mirrored there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.suite import BackendContract, BackendFactory

if TYPE_CHECKING:
    from tests.support.channel import Bench

pytestmark = pytest.mark.java


class TestOrdered(BackendContract):
    @pytest.fixture
    def backend_factory(self, bench: Bench) -> BackendFactory:
        return bench.ordered


class TestMirrored(BackendContract):
    @pytest.fixture
    def backend_factory(self, bench: Bench) -> BackendFactory:
        return bench.mirrored
