"""What a node says of itself: fresh, stale, stopped, halted, draining."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from ledger.core.root import parse_root
from ledger.core.trust import Alarm, AlarmKind, Evidence, TrustState
from ledger.core.trust.clocks import ClockHistory
from ledger.engine.signing import clock_vkey
from ledger.http.frames import SignedHead
from ledger.node.condition import Condition, Running
from tests.support.small_network import ORIGIN, START, TurnedClock, key, root_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.core.root import Root

STALE_AFTER = 86_400


class Store:
    """What `Condition.learn` reads."""

    def __init__(self, root: Root | None) -> None:
        self.root = root

    async def read(self, work: object) -> Root | None:
        assert callable(work)
        return self.root


class Circumstances:
    """A node whose replica, trust state and clock a test sets as it likes."""

    def __init__(self) -> None:
        self.clock = TurnedClock()
        self.store = Store(parse_root(root_body()))
        self.halted: str | None = None
        self.replica = SimpleNamespace(store=self.store, halted=self._halted)
        history = ClockHistory(clock_vkey(ORIGIN, key("clock")), held=int(START))
        self.syncer = SimpleNamespace(replica=self.replica, state=TrustState("0" * 64, clocks=(history,)), stands=None)
        self.hub = SimpleNamespace(head=SignedHead(6, b"note"), followers=0)
        parts: Any = SimpleNamespace(syncer=self.syncer, sources=())
        self.audit = SimpleNamespace(marks=(), void=0, last_void=None)
        absent: Any = None
        running = Running(absent, "1", parts, cast("Any", self.hub), absent, absent, cast("Any", self.audit), absent, absent)
        self.condition = Condition(running, self.clock)

    async def _halted(self) -> str | None:
        return self.halted

    def marks(self) -> Mapping[str, object]:
        return self.condition.marks()


@pytest.fixture
async def node() -> Circumstances:
    circumstances = Circumstances()
    await circumstances.condition.learn()
    return circumstances


async def test_fresh_node_is_ready_and_says_how_old_its_line_is(node: Circumstances) -> None:
    node.clock.turn(40)
    assert node.condition.unready() is None
    assert node.marks() == {"stale": False, "age": 40}
    assert node.condition.remark() is None


async def test_stale_node_says_so_and_is_not_ready(node: Circumstances) -> None:
    node.clock.turn(STALE_AFTER)
    assert node.condition.unready() is None
    node.clock.turn(1)
    remark = f"stale: the newest line is older than {STALE_AFTER} s"
    assert node.marks() == {"stale": True, "age": STALE_AFTER + 1, "remark": remark}
    assert node.condition.remark() == node.condition.unready() == remark


async def test_line_from_the_future_is_of_unknown_age(node: Circumstances) -> None:
    node.clock.turn(-1_000)
    assert node.marks()["stale"] is True
    assert node.marks()["age"] is None
    assert "1000 s ahead" in str(node.condition.unready())


async def test_node_without_a_log_is_not_ready(node: Circumstances) -> None:
    node.hub.head = SignedHead(0, b"")
    node.store.root = None
    await node.condition.learn()
    assert node.condition.unready() == "nothing is verified yet"
    assert node.marks()["stale"] is True


async def test_alarm_is_named_but_does_not_make_answers_stale(node: Circumstances) -> None:
    alarm = Alarm(AlarmKind.SPLIT_VIEW, "7 ff", Evidence("two trees", "https://other", int(START), ()))
    node.syncer.state = node.syncer.state.with_alarm(alarm)
    reason = f"the sync stopped: split-view, see evidence/{alarm.name}.json"
    assert node.condition.unready() == reason
    assert node.marks() == {"stale": False, "age": 0, "remark": reason}


async def test_root_of_rules_unknown_here_makes_answers_stale(node: Circumstances) -> None:
    node.halted = "root 2 asks for fold 2"
    await node.condition.learn()
    assert node.marks()["stale"] is True
    assert "root 2 asks for fold 2" in str(node.condition.unready())


async def test_stopping_node_is_not_ready(node: Circumstances) -> None:
    node.condition.draining = True
    assert node.condition.unready() == "stopping"
