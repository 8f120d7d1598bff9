"""Forks by whoever holds the keys: what FORMATS 9 promises to find is found once nodes compare, whatever the schedule."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ledger.core.root import LogKey
from ledger.core.trust import AlarmKind, TrustState
from tests.property.trust.simulator import Cache, Master, Node, clock_key, log_key, sign_note

NODES = 3
which = st.integers(0, NODES - 1)
place = st.integers(0, 10**6)


def conflict(left: Node, right: Node) -> bool:
    """Tell whether two nodes hold different entries at one index."""
    shared = min(left.tree.size, right.tree.size)
    return left.tree.root_at(shared) != right.tree.root_at(shared)


class ForkedNetwork(RuleBasedStateMachine):
    """The keys of the sequencer sign several trees; roots may differ too, as when the admin's keys are in the same hands."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000
        self.generation = 1

    @initialize(size=st.integers(0, 4))
    def create(self, size: int) -> None:
        first = Master.create().add(*(f"common {number}" for number in range(size)))
        first.sign(self.now)
        self.views = [first]
        self.left = [first.left]
        self.nodes = [Node(first.network, f"node{number}") for number in range(NODES)]

    @rule(which=place, back=st.integers(0, 5), serves=st.booleans(), seconds=st.integers(-50, 50))
    def fork(self, which: int, back: int, seconds: int, *, serves: bool) -> None:
        old = self.views[which % len(self.views)]
        if len(self.views) < 5:
            view = old.fork(max(1, old.tree.size - back), f"view{len(self.views)}")
            view.serves = serves
            view.time = max(0, old.time + seconds)
            self.views.append(view)
            view.add(f"only in {view.name}")
            self.left.append(view.sign(0))

    @rule(which=place, count=st.integers(0, 4), seconds=st.integers(0, 30))
    def grow(self, which: int, count: int, seconds: int) -> None:
        self.now += seconds
        view = self.views[which % len(self.views)]
        view.add(*(f"{view.name} {view.tree.size + number}" for number in range(count)))
        self.left.append(view.sign(self.now))

    @rule(which=place, clock=st.booleans())
    def rotate(self, which: int, *, clock: bool) -> None:
        """Another log key, and perhaps another clock key, in one view only."""
        view = self.views[which % len(self.views)]
        self.generation += 1
        log, clock_name = f"L{self.generation}", f"C{self.generation}" if clock else view.clock
        view.change_root(log_keys=(LogKey(log_key(log), None),), clock_keys=(clock_key(clock_name),))
        view.log_keys, view.clock = (log,), clock_name
        self.left.append(view.sign(self.now))

    @rule(which=place, size=place, seconds=st.integers(-100, 100))
    def re_clock(self, which: int, size: int, seconds: int) -> None:
        """Sign any size again, at any time: what a stolen clock key or a restored master does."""
        view = self.views[which % len(self.views)]
        first = view.tree.last.index + 1
        size = first + size % (view.tree.size - first + 1)
        self.left.append(sign_note(view.tree, size, view.log_keys, {view.clock: max(0, view.time + seconds)}))

    @rule(node=which, view=place)
    def poll(self, node: int, view: int) -> None:
        self.nodes[node].hear(self.views[view % len(self.views)], self.now)

    @rule(node=which, view=place, note=place)
    def poll_old(self, node: int, view: int, note: int) -> None:
        self.nodes[node].hear(Cache("cache", self.left[note % len(self.left)], self.views[view % len(self.views)]), self.now)

    @rule(node=which, relay=which)
    def gossip(self, node: int, relay: int) -> None:
        if self.nodes[relay].note():
            self.nodes[node].hear(self.nodes[relay], self.now)

    @invariant()
    def alarms_keep_their_evidence(self) -> None:
        for node in getattr(self, "nodes", []):
            assert TrustState.from_json(node.state.to_json()) == node.state
            assert len(node.state.pending) <= 16
            for alarm in node.state.alarms:
                assert alarm.evidence.notes
                if alarm.kind is AlarmKind.ROLLBACK:
                    assert len(alarm.evidence.notes) == 2

    def teardown(self) -> None:
        """Compare all with all: who holds other entries than another was told of it, or tells the other."""
        if not hasattr(self, "nodes"):
            return
        for left in self.nodes:
            for right in self.nodes:
                if left is right or not right.note() or not left.note():
                    continue
                held = left.tree.size, right.tree.size
                if conflict(left, right):
                    first, second = left.backup(), right.backup()
                    first.hear(right, self.now)
                    second.hear(left, self.now)
                    assert first.state.stopped or second.state.stopped, held
                    assert (first.tree.size, second.tree.size) == held or not conflict(first, second)
        super().teardown()


class KeysStolenOnce(RuleBasedStateMachine):
    """An old log key and clock key were stolen; the root after the theft closed them. No fork beyond that is taken any more."""

    @initialize(size=st.integers(0, 4))
    def create(self, size: int) -> None:
        self.now = 1000
        self.master = Master.create().add(*(f"common {number}" for number in range(size)))
        self.master.sign(self.now)
        self.thief = self.master.fork(self.master.tree.size, "thief")
        self.master.change_root(log_keys=(LogKey(log_key("L2"), None),), clock_keys=(clock_key("C2"),))
        self.master.log_keys, self.master.clock = ("L2",), "C2"
        self.master.sign(self.now)
        self.closed = self.master.tree.size
        self.nodes = [Node(self.master.network, f"node{number}") for number in range(NODES)]
        for node in self.nodes:
            node.hear(self.master, self.now)

    @rule(count=st.integers(0, 3), seconds=st.integers(0, 60))
    def publish(self, count: int, seconds: int) -> None:
        self.now += seconds
        self.master.add(*(f"entry {self.master.tree.size + number}" for number in range(count)))
        self.master.sign(self.now)

    @rule(node=which, count=st.integers(0, 3), ahead=st.integers(0, 500), late=st.booleans())
    def show_fork(self, node: int, count: int, ahead: int, *, late: bool) -> None:
        """The thief's tree outgrows the last size of his key, with his roots or with those of the log."""
        while self.thief.tree.size <= self.closed:
            self.thief.add("fork")
        self.thief.add(*("fork" for _ in range(count)))
        behind = self.master if late else self.thief
        self.nodes[node].hear(Cache("thief", self.thief.sign(self.now + ahead), behind), self.now)

    @rule(node=which)
    def poll(self, node: int) -> None:
        self.nodes[node].hear(self.master, self.now)

    @invariant()
    def nobody_follows_or_stops(self) -> None:
        for node in getattr(self, "nodes", []):
            assert not node.state.stopped
            assert node.tree.is_prefix_of(self.master.tree)


class RollbackInAnyOrder(RuleBasedStateMachine):
    """Every two lines of one clock key that contradict each other are found by a node that saw both, in whatever order."""

    @initialize(sizes=st.integers(2, 7))
    def create(self, sizes: int) -> None:
        self.master = Master.create().add(*(f"entry {number}" for number in range(sizes)))
        self.master.sign(0)
        self.node = Node(self.master.network)
        self.lines: list[tuple[int, int]] = []

    @rule(size=place, time=st.integers(0, 40), serves=st.booleans())
    def see(self, size: int, time: int, *, serves: bool) -> None:
        if self.node.state.stopped:
            return
        size = 1 + size % self.master.tree.size
        note = sign_note(self.master.tree, size, ("L1",), {"C1": time})
        self.node.hear(replace(self.master, left=note, serves=serves), 100)
        self.lines.append((size, time))

    @invariant()
    def found_at_once(self) -> None:
        lines = getattr(self, "lines", [])
        if not lines:
            return
        contradict = any(low < high and early > late for low, early in lines for high, late in lines)
        if self.node.tree.roots() or self.node.state.stopped:  # before the first root is in, no key is known
            assert self.node.state.stopped == contradict
            assert all(alarm.kind is AlarmKind.ROLLBACK for alarm in self.node.state.alarms)


TestForkedNetwork = ForkedNetwork.TestCase
TestKeysStolenOnce = KeysStolenOnce.TestCase
TestRollbackInAnyOrder = RollbackInAnyOrder.TestCase
TestForkedNetwork.settings = settings(max_examples=settings().max_examples)
TestKeysStolenOnce.settings = settings(max_examples=settings().max_examples // 4)
TestRollbackInAnyOrder.settings = settings(max_examples=settings().max_examples // 2)
