"""Whatever an honest network goes through, no node raises an alarm, and every node ends up to date (FORMATS 9)."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledger.core.root import LogKey
from ledger.core.trust import BadSource, Current, Level, Rollback, SplitView, Taken, judge_freshness, newest_line
from tests.property.trust.simulator import ORIGIN, Cache, Master, Node, clock_key, log_key, witness_key

NODES = 3
which = st.integers(0, NODES - 1)
HARMLESS = (Taken, Current)


class HonestNetwork(RuleBasedStateMachine):
    """One master at a time, three nodes that are relays too, caches of any age, restarts, restores, rotations, lost tails."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000
        self.generation = 1
        self.orders = 1
        self.continued_at = 0

    @initialize(quorum=st.integers(0, 2))
    def create(self, quorum: int) -> None:
        names = tuple(f"W{number}" for number in range(3))
        self.master = Master.create(witnesses=tuple(map(witness_key, names)), quorum=quorum)
        self.master.witnesses = names[:quorum]
        self.nodes = [Node(self.master.network, f"node{number}") for number in range(NODES)]
        self.left = [self.master.sign(self.now)]
        self.backups = [node.backup() for node in self.nodes]
        self.stale_sources: list[Master] = []

    @property
    def origin(self) -> str:
        return self.master.tree.last.root.origin

    def emit(self) -> None:
        self.left.append(self.master.sign(self.now))

    @rule(seconds=st.integers(0, 400))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(count=st.integers(0, 5), seconds=st.integers(0, 3))
    def publish_or_renew(self, count: int, seconds: int) -> None:
        self.now += seconds
        self.master.add(*(f"entry {self.master.tree.size + number} of {self.orders}" for number in range(count)))
        self.emit()

    @rule(log=st.booleans(), clock=st.booleans(), quorum=st.integers(0, 2), overlap=st.integers(0, 6), more=st.integers(0, 2))
    def rotate(self, *, log: bool, clock: bool, quorum: int, overlap: int, more: int) -> None:
        """A new root; with a new log key the old one is dropped, or stays open for `overlap` more entries."""
        master, root = self.master, self.master.tree.last.root
        self.generation += 1
        names, keys = master.log_keys, root.log_keys
        until = master.tree.size + overlap
        retiring = master.log_keys if overlap else ()
        if log:
            names = (f"L{self.generation}",)
            old = tuple(LogKey(key.vkey, until) for key in keys if key.until is None) if overlap else ()
            keys = (*old, LogKey(log_key(names[0], self.origin), None))
        clocks = (f"C{self.generation}",) if clock else (master.clock,)
        master.change_root(log_keys=keys, clock_keys=(clock_key(clocks[0], self.origin),), quorum=quorum)
        master.witnesses, master.clock = tuple(f"W{2 - number}" for number in range(quorum)), clocks[0]
        if log:
            master.log_keys = (*retiring, *names)
            self.emit()
            master.log_keys = names
        master.add(*(f"after root {self.generation} {number}" for number in range(more)))
        self.emit()

    @rule(back=st.integers(1, 8), more=st.integers(0, 2))
    def lose_the_tail_and_continue(self, back: int, more: int) -> None:
        """The master is lost; its log continues a smaller tree by a root with `continues`."""
        size = max(self.continued_at + 1, self.master.tree.size - back)
        self.continued_at = size
        self.stale_sources.append(replace(self.master, name="lost"))
        self.orders += 1
        self.generation += 1
        hashed = self.master.tree.root_at(size)
        assert hashed is not None
        origin = f"{ORIGIN}-{self.orders}"
        log, clock = f"L{self.generation}", f"C{self.generation}"
        master = self.master.fork(size, "master")
        master.log_keys, master.clock, master.witnesses = (log,), clock, ()
        order = {"type": "log", "continues": {"size": size, "root": hashed.hex()}}
        master.change_root(
            origin=origin, order=order, log_keys=(LogKey(log_key(log, origin), None),), clock_keys=(clock_key(clock, origin),), quorum=0
        )
        master.add(*(f"after the loss {self.orders} {number}" for number in range(more)))
        self.master = master
        self.emit()

    @rule(node=which)
    def poll_master(self, node: int) -> None:
        self.nodes[node].hear(self.master, self.now)

    @rule(node=which, relay=which)
    def poll_relay(self, node: int, relay: int) -> None:
        if self.nodes[relay].note():
            self.nodes[node].hear(self.nodes[relay], self.now)

    @rule(node=which, place=st.integers(0, 10**6), serves=st.booleans(), relay=which)
    def poll_cache(self, node: int, place: int, relay: int, *, serves: bool) -> None:
        """Any note that ever left, in front of the master or of a relay, with or without entries."""
        behind = self.master if place % 2 else self.nodes[relay]
        self.nodes[node].hear(Cache("cache", self.left[place % len(self.left)], behind, serves), self.now)

    @precondition(lambda self: self.stale_sources)
    @rule(node=which, place=st.integers(0, 10**6))
    def poll_what_was_before_the_loss(self, node: int, place: int) -> None:
        self.nodes[node].hear(self.stale_sources[place % len(self.stale_sources)], self.now)

    @rule(node=which)
    def back_up(self, node: int) -> None:
        self.backups[node] = self.nodes[node].backup()

    @rule(node=which)
    def restore(self, node: int) -> None:
        self.nodes[node] = self.backups[node].backup()

    @invariant()
    def nobody_is_alarmed(self) -> None:
        for node in getattr(self, "nodes", []):
            assert not node.state.stopped, node.state.alarms
            assert not any(isinstance(verdict, Rollback | SplitView) for verdict in node.verdicts)

    def teardown(self) -> None:
        if not hasattr(self, "nodes"):
            return
        self.emit()
        for node in self.nodes:
            verdict = node.hear(self.master, self.now)
            assert isinstance(verdict, HARMLESS), verdict
            assert node.tree.entries == self.master.tree.entries
            assert not node.state.stopped
            root = node.tree.last.root
            assert judge_freshness(newest_line(node.state, root), root, self.now).level is Level.FRESH
            assert not [one for one in node.verdicts if isinstance(one, BadSource) and one.evidence.source == "master"]
        super().teardown()


TestHonestNetwork = HonestNetwork.TestCase
TestHonestNetwork.settings = settings(max_examples=settings().max_examples)
