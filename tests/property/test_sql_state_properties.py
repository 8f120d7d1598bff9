"""The SQL view over random logs, most of them hostile: from scratch, in steps, after roll-backs and by time travel it is the dict view."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.core.errors import LedgerError
from ledger.core.fold import Void, judge
from ledger.core.merkle import Frontier, leaf_hashes
from ledger.core.state import DictState
from ledger.engine.store import Store
from tests.property.test_fold_properties import Action, actions, beginning, signed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ledger.core.state import StateView
    from ledger.engine.transaction import Transaction

SIZES = st.lists(st.integers(0, 40), max_size=4)
LOGS = st.lists(actions(), min_size=4, max_size=36)


def grow(log: list[Action], junk: int) -> tuple[list[bytes], list[DictState]]:
    """Return the entries of a log, and the dict state after 0, 1, 2 … of them. What is accepted comes a second time, or spoilt."""
    story = beginning()
    for number, action in enumerate(log):
        try:
            envelope = signed(story, action)
        except LedgerError:
            continue
        if not isinstance(judge(story.state, envelope, len(story.entries)), Void):
            story.case("random", envelope)
        story.entries.append(envelope.entry[:-1] if number % junk == 0 else envelope.entry)
        story.rows.append({})
    return story.entries, [refold(story.entries[:size]) for size in range(len(story.entries) + 1)]


def refold(entries: Sequence[bytes]) -> DictState:
    state = DictState()
    for index, entry in enumerate(entries):
        verdict = judge(state, entry, index)
        if not isinstance(verdict, Void):
            state.apply(verdict)
    return state


def append(entries: Sequence[bytes], transaction: Transaction) -> None:
    for entry in entries:
        index = transaction.size
        verdict = judge(transaction.view, entry, index)
        transaction.add(entry)
        if isinstance(verdict, Void):
            transaction.reject(index, verdict.code, verdict.reason)
        else:
            transaction.accept(index, verdict)


@contextmanager
def new_store() -> Iterator[Store]:
    with TemporaryDirectory() as home:
        store = Store.open(Path(home) / "ledger.db", create=True)
        try:
            yield store
        finally:
            store.close()


def sight(view: StateView, reference: DictState) -> dict[str, object]:
    """Return all that the fold could ask of a view, for the ids, keys, kinds and look-ups that the reference knows."""
    records = list(reference.records())
    return {
        "records": {one.id: view.record(one.id) for one in records},
        "keys": {one: view.key(one) for one in reference._keys},
        "kinds": {one.kind: sorted(found.id for found in view.of_kind(one.kind)) for one in records},
        "filed": {one: sorted(view.filed(one)) for one in [*reference._filed, "name nobody"]},
        "network": view.network,
    }


def check(store: Store, size: int, states: list[DictState]) -> None:
    """Compare the store's state at a size with the reference: the root, and every look-up, against the look-ups of the whole log."""
    reference = states[size]
    everything = states[-1]
    at = store.read_now(lambda snapshot: snapshot.state(size).state_root())
    assert at == reference.state_root()
    if store.read_now(lambda snapshot: snapshot.head().size) == size:
        assert store.read_now(lambda snapshot: snapshot.state().state_root()) == at
        for known in (reference, everything):
            assert store.read_now(lambda snapshot: sight(snapshot.state(), known)) == sight(reference, known)  # noqa: B023 - called at once
    found, wanted = store.read_now(lambda snapshot: sight(snapshot.state(size), everything)), sight(reference, everything)
    # The network id is a fact of the ledger, not of one size.
    assert {**found, "network": None} == {**wanted, "network": None}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(LOGS, SIZES, SIZES, st.integers(3, 9))
def test_scratch_steps_roll_backs_and_time_travel_agree(log: list[Action], cuts: list[int], backs: list[int], junk: int) -> None:
    entries, states = grow(log, junk)
    with new_store() as store:
        steps = sorted({0, *(cut % len(entries) for cut in cuts), len(entries)})
        for start, end in pairwise(steps):
            store.write_now(partial(append, entries[start:end]))
            check(store, end, states)
        for back in backs:
            size = back % (len(entries) + 1)
            go_back(store, size)
            check(store, size, states)
            store.write_now(partial(append, entries[size:]))
            check(store, len(entries), states)
            check(store, size, states)
            store.write_now(partial(back_and_again, size, entries))
            check(store, len(entries), states)
        tree = Frontier()
        tree.append_many(leaf_hashes(entries))
        head = store.read_now(lambda snapshot: snapshot.head())
        assert (head.size, head.root) == (len(entries), tree.root())


def back_and_again(size: int, entries: Sequence[bytes], transaction: Transaction) -> None:
    """Go back and fold again in one transaction, as a replica does after a reorg."""
    transaction.roll_back(size)
    append(entries[size:], transaction)


def go_back(store: Store, size: int) -> None:
    store.write_now(lambda transaction: transaction.roll_back(size))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(LOGS, st.integers(0, 40), st.booleans())
def test_what_is_undone_leaves_nothing(log: list[Action], at: int, reopened: bool) -> None:
    """A transaction that raises, at any entry, leaves the state as it was; what follows is judged as if it had not been."""
    entries, states = grow(log, 5)
    size = at % len(entries)

    class StopError(Exception):
        pass

    def fail(transaction: Transaction) -> None:
        append(entries[size:], transaction)
        raise StopError

    with new_store() as store:
        store.write_now(partial(append, entries[:size]))
        try:
            store.write_now(fail)
        except StopError:
            check(store, size, states)
        path = store.path
        if reopened:
            store.close()
            store = Store.open(path)  # noqa: PLW2901 - the same ledger, as a restart finds it
        store.write_now(partial(append, entries[size:]))
        check(store, len(entries), states)
        store.close()
