"""The scenes of vectors/trust1/replicas.json: what a replica makes of the notes that it hears (FORMATS 9 and 11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ledger.core.checkpoint import Checkpoint
from ledger.core.note import Note, log_line
from ledger.core.root import LogKey
from tests.property.trust.simulator import ORIGIN, Master, clock_key, log_key, sign_note, signer, witness_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.conformance.make_trust import Book

SPLIT: Final = ["split-view"]
ROLLBACK: Final = ["rollback"]
SECOND: Final = (LogKey(log_key("L2"), None),)
_KEPT: Final = 16


class Tale:
    """One replica and the notes that it hears; what an answer does not say is as after the note before."""

    def __init__(self, book: Book, name: str, master: Master) -> None:
        self._book = book
        self._answer: dict[str, Any] = {"verdict": "", "size": 0, "alarms": [], "line": None}
        self._steps: list[dict[str, Any]] = []
        book.cases.append({"name": name, "network": master.network, "steps": self._steps})

    def hear(self, source: Master, verdict: str, note: bytes = b"", *, roots: Sequence[bytes] | None = None, **after: object) -> Tale:
        """Hear a note of `source`, its last one if none is given; it shows `roots`, its own if none are given."""
        served = source.tree.root_entries if roots is None else roots
        shown = {"log": self._book.log(source.tree.entries), "roots": self._book.numbers(served), "serves": source.serves}
        self._answer = {**self._answer, **after, "verdict": verdict}
        self._steps.append({"note": (note or source.left).decode(), "source": shown, "answer": self._answer})
        return self


def founded(**changes: object) -> Master:
    """Return a master of four entries that signed them at 100."""
    master = Master.create(**changes).add("a", "b", "c")
    master.sign(100)
    return master


def joined(book: Book, name: str, master: Master) -> Tale:
    """Return a tale whose replica holds the four entries."""
    return Tale(book, name, master).hear(master, "taken", size=master.tree.size, line=100)


def hash_at(master: Master, size: int) -> bytes:
    """Return the root hash of the first `size` entries."""
    found = master.tree.root_at(size)
    if found is None:
        raise AssertionError
    return found


def continued(master: Master, size: int, more: int = 0, name: str = "9", clocks: Sequence[str] = ()) -> Master:
    """Return a master that continues the first `size` entries, under a new origin and new keys of that name; `clocks` stay."""
    fresh = master.fork(size, f"fresh {name}", log_keys=(f"L{name}",), clock=f"C{name}", time=0)
    origin = f"{ORIGIN}-{name}"
    fresh.change_root(
        origin=origin,
        order={"type": "log", "continues": {"size": size, "root": hash_at(master, size).hex()}},
        log_keys=(LogKey(log_key(f"L{name}", origin), None),),
        clock_keys=(clock_key(f"C{name}", origin), *clocks),
    )
    fresh.add(*(f"fresh {number}" for number in range(more))).sign(10)
    return fresh


def sizes(book: Book) -> None:
    """Trees that a replica holds, and trees that it gets."""
    master = founded()
    tale = joined(book, "one log: taken, current, behind", master).hear(master, "current")
    master.sign(150)
    tale.hear(master, "current", line=150)
    tale.hear(master, "behind", sign_note(master.tree, 2, ("L1",), {"C1": 50}))
    master.add("d", "e").sign(200)
    tale.hear(master, "taken", size=6, line=200)
    Tale(book, "another network's log", Master.create(name="other")).hear(master, "bad note")
    Tale(book, "a source that shows no roots", master).hear(master, "bad note", roots=[])


def splits(book: Book) -> None:
    """Two trees of one log, and what is none."""
    master = founded()
    for size, fork in ((3, master.fork(2).add("x")), (4, master.fork(2).add("x", "y")), (6, master.fork(3).add("x", "y", "z"))):
        fork.sign(100)
        tale = joined(book, f"a fork of {size} entries", master).hear(fork, "split view", alarms=SPLIT)
        tale.hear(master, "current").hear(fork, "split view" if size <= 4 else "waits for a root")
    text = Checkpoint(ORIGIN, 6, bytes(32)).text
    nobody = Note(text, (log_line(text, ORIGIN, signer("L1")),)).encode()
    more = master.fork(4, "more").add("d", "e")
    joined(book, "a good note of a tree that nobody has: its source is bad, no alarm", master).hear(more, "bad source", nobody)
    liar = master.fork(2, "liar").add("x", "y")
    Tale(book, "a new replica, entries that do not make the root", master).hear(liar, "bad source", master.left)
    fork = master.fork(4, "fork").add("x", "y")
    fork.serves = False
    fork.sign(200)
    tale = joined(book, "a fork that keeps its entries back is compared when the replica gets there", master)
    tale.hear(fork, "waits for entries")
    master.add("d").sign(200)
    tale.hear(master, "taken", size=5, line=200)
    master.add("e").sign(201)
    tale.hear(master, "split view", alarms=SPLIT)
    closed = founded()
    thief = closed.fork(4, "thief").add("x", "y")
    thief.serves = False
    thief.sign(200)
    tale = joined(book, "a kept note by a key that the log closed below its size is dropped", closed).hear(thief, "waits for entries")
    closed.change_root(log_keys=SECOND, clock_keys=(clock_key("C2"),)).add("e", "f")
    closed.log_keys, closed.clock = ("L2",), "C2"
    closed.sign(300)
    tale.hear(closed, "taken", size=7, line=300)
    short = thief.fork(5, "thief")
    short.sign(201)
    tale.hear(short, "split view", alarms=SPLIT)  # a stolen key can do that for ever up to its last size


def kept_notes(book: Book) -> None:
    """The 16 largest notes of trees not reached are kept, and freshness counts what is held."""
    master = founded()
    held_back = master.fork(4).add("d")
    held_back.serves = False
    held_back.sign(500)
    tale = joined(book, "freshness counts no tree whose entries did not come", master).hear(held_back, "waits for entries")
    held_back.serves = True
    tale.hear(held_back, "taken", size=5, line=500)
    for count, verdict in ((_KEPT - 2, "split view"), (_KEPT, "taken")):
        ours = founded()
        fork = ours.fork(4, "fork").add(*(f"x {number}" for number in range(30)))
        fork.serves = False
        tale = joined(book, f"a fork of 5 entries that keeps them back, and {count} larger ones", ours)
        for size in (5, *range(10, 10 + count)):
            tale.hear(fork, "waits for entries", sign_note(fork.tree, size, ("L1",), {}))
        ours.add("d").sign(200)
        after = {"alarms": SPLIT} if verdict == "split view" else {"size": 5, "line": 200}
        tale.hear(ours, verdict, **after)


def rollbacks(book: Book) -> None:
    """One clock key that goes back."""
    master = founded()
    late = sign_note(master.tree, 3, ("L1",), {"C1": 101})
    tale = joined(book, "a smaller tree at a later time", master).hear(master, "rollback", late, alarms=ROLLBACK)
    master.add("d").sign(200)
    tale.hear(master, "waits for a root")
    master.change_root(stale_after=9).sign(210)
    tale.hear(master, "waits for a root")
    master.change_root(clock_keys=(clock_key("C2"),))
    master.clock = "C2"
    master.sign(220)
    tale.hear(master, "taken", size=7, line=220, alarms=[])
    again = master.fork(7).change_root(clock_keys=(clock_key("C1"),))
    again.clock, again.time = "C1", 0
    again.sign(50)
    tale.hear(again, "taken", size=8, line=50)  # of a key that was dropped nothing is remembered
    early = founded()
    longer = early.fork(4).add("d")
    note = sign_note(longer.tree, 5, ("L1",), {"C1": 99})
    joined(book, "a larger tree at an earlier time", early).hear(longer, "rollback", note, alarms=ROLLBACK)
    note = sign_note(longer.tree, 5, ("L1",), {"C1": 100})
    joined(book, "a larger tree at the same time", early).hear(longer, "taken", note, size=5)
    far = early.fork(4).add("d", "e")
    far.serves = False
    tale = joined(book, "between two trees that it does not hold", early)
    tale.hear(far, "waits for entries", sign_note(far.tree, 6, ("L1",), {"C1": 200}))
    tale.hear(far, "rollback", sign_note(far.tree, 5, ("L1",), {"C1": 201}), alarms=ROLLBACK)
    two = Master.create(clock_keys=(clock_key("C1"), clock_key("C2"))).add("a", "b", "c")
    two.sign(100)
    tale = joined(book, "each clock key is compared with itself only", two)
    tale.hear(two, "behind", sign_note(two.tree, 1, ("L1",), {"C2": 500}), line=500)
    secret = early.fork(4, "secret").change_root(clock_keys=(clock_key("C2"),))
    liar = early.fork(4, "liar").add("d")
    liar.sign(200)
    tale = joined(book, "a rollback does not end by a root that the log lacks", early).hear(early, "rollback", late, alarms=ROLLBACK)
    tale.hear(liar, "bad source", roots=secret.tree.root_entries)
    back = early.fork(4, "back").change_root(clock_keys=(clock_key("C2"),)).change_root(clock_keys=(clock_key("C1"),))
    back.sign(200)
    tale = joined(book, "nor by one after which the key is listed again", early).hear(early, "rollback", late, alarms=ROLLBACK)
    tale.hear(back, "waits for a root")


def roots(book: Book) -> None:
    """Roots that come before the entries, upwards and downwards."""
    master = founded()
    tale = joined(book, "new log keys, then new witnesses and a new origin, are proven by roots upwards", master)
    master.change_root(log_keys=SECOND).add("d").change_root(log_keys=(LogKey(log_key("L3"), None),))
    master.log_keys = ("L3",)
    master.sign(200)
    tale.hear(master, "taken", size=7, line=200)
    master.change_root(witnesses=(witness_key("W1"),), quorum=1)
    master.witnesses = ("W1",)
    master.sign(300)
    tale.hear(master, "taken", size=8, line=300)
    master.witnesses = ()
    master.sign(310)
    tale.hear(master, "bad note")
    ours = founded()
    secret = ours.fork(4, "secret").change_root(log_keys=SECOND).tree.root_entries
    stranger = ours.fork(4, "stranger", log_keys=("L2",)).add("d")
    text = Checkpoint(ORIGIN, 5, hash_at(stranger, 5)).text
    note = Note(text, (log_line(text, ORIGIN, signer("L2")),)).encode()
    joined(book, "a log key that no root proves", ours).hear(stranger, "bad note", note)
    joined(book, "a root that the entries lack", ours).hear(stranger, "bad source", note, roots=secret)
    fork = ours.fork(3, "fork").add("x", "y", "z")
    text = Checkpoint(ORIGIN, 6, hash_at(fork, 6)).text
    note = Note(text, (log_line(text, ORIGIN, signer("L2")),)).encode()
    joined(book, "a fork that lacks the root that came with it", ours).hear(fork, "bad source", note, roots=secret)
    small = sign_note(ours.tree, 1, ("L2",), {})
    joined(book, "a root without room in the tree", ours).hear(ours, "bad note", small, roots=secret)
    old = ours.fork(4, "old").change_root(log_keys=SECOND).add("d")
    joined(book, "good before the fetch, not by its own entries", ours).hear(old, "bad note", sign_note(old.tree, 6, ("L1",), {}))
    mine, other = ours.fork(4, "mine"), ours.fork(4, "other")
    mine.change_root(log_keys=(LogKey(log_key("L3"), None),)).add("d")
    mine.log_keys = ("L3",)
    other.change_root(log_keys=SECOND).add("x", "y")
    other.log_keys = ("L2",)
    mine.sign(100)
    other.sign(100)
    tale = joined(book, "two roots of one version, both with a tree", mine)
    tale.hear(replace_serving(other), "waits for entries").hear(other, "split view", alarms=SPLIT)


def replace_serving(master: Master) -> Master:
    """Return the same master without its entries."""
    mute = master.fork(master.tree.size, "mute")
    mute.serves = False
    return mute


def ways_back(book: Book) -> None:
    """`continues`: who goes back, and who does not."""
    master = founded()
    fork = master.fork(3, "fork").add("x", "y", "z")
    fork.sign(200)
    fresh = continued(master, 3, 1)
    tale = joined(book, "continues ends a split view", master).hear(fork, "split view", alarms=SPLIT)
    tale.hear(fresh, "taken", size=5, line=10, alarms=[])
    tale = Tale(book, "continues ends it for the replica of the other tree", master).hear(fork, "taken", size=6, line=200)
    tale.hear(master, "split view", alarms=SPLIT).hear(fresh, "taken", size=5, line=10, alarms=[])
    tale = joined(book, "old notes after continues", master).hear(fresh, "taken", size=5, line=10)
    tale.hear(master, "bad note").hear(fork, "bad note")
    tale.hear(fresh, "behind", sign_note(master.tree, 3, ("L1",), {"C1": 90}))
    tail = founded()
    before = tail.fork(3)
    tail.change_root(stale_after=9).add("d")
    tail.sign(100)
    fresh = continued(before, 3, 1)
    tale = joined(book, "continues below a root of the lost tail: roots are asked for downwards", tail)
    tale.hear(fresh, "taken", size=5, line=10).hear(tail, "bad source")
    lost = joined(book, "two continuations of one log", master)
    lost.hear(continued(master, 3, 1, "8"), "taken", size=5, line=10).hear(continued(master, 2, 1), "split view", alarms=SPLIT)
    first = continued(master, 2, 1, "8")
    second = continued(first, 4)
    joined(book, "a log that was lost twice", master).hear(second, "taken", size=5, line=10)
    fork = master.fork(2, "fork").add("x", "y")
    joined(book, "continues over another tree", master).hear(continued(fork, 3, 1), "split view", alarms=SPLIT)
    for name, size, root in (("size", 5, hash_at(master, 4)), ("root", 4, bytes(32))):
        order = {"type": "log", "continues": {"size": size, "root": root.hex()}}
        wrong = master.fork(4, "wrong").change_root(order=order).add("d", "e")
        wrong.sign(200)
        joined(book, f"continues of a wrong {name}", master).hear(wrong, "bad source")


def repeated(book: Book) -> None:
    """`continues` is new once, and never in version 1."""
    master = founded()
    fresh = continued(master, 3, 1)
    tale = joined(book, "continues left out, then repeated: nobody goes back again", master).hear(fresh, "taken", size=5, line=10)
    order = fresh.tree.last.root.order
    fresh.change_root(order={"type": "log"}).add("e")
    fresh.sign(20)
    tale.hear(fresh, "taken", size=7, line=20)
    fresh.change_root(order=order).add("f")
    fresh.sign(30)
    tale.hear(fresh, "taken", size=9, line=30)
    other = continued(fresh, 9, name="8")
    tale.hear(other, "taken", size=10, line=10)
    other.change_root(order=order).sign(20)
    tale.hear(other, "taken", size=11, line=20)
    both = founded(clock_keys=(clock_key("C1"), clock_key("C9", f"{ORIGIN}-9")))
    tale = joined(book, "continues forgets the lines above its size, also of a clock key that stays listed", both)
    tale.hear(both, "behind", sign_note(both.tree, 2, ("L1",), {"C1": 50}))
    tale.hear(continued(both, 2, clocks=(clock_key("C1"),)), "taken", size=3, line=50)
    joined(book, "continues in version 1 continues nothing", founded(order={"type": "log", "continues": {"size": 2, "root": "00" * 32}}))


SCENES: Final[tuple[Callable[[Book], None], ...]] = (sizes, splits, kept_notes, rollbacks, roots, ways_back, repeated)
