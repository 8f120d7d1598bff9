"""make_trust.py: write vectors/trust1/notes.json and replicas.json, what FORMATS 9 and 11 say about notes, case by case.

Run as `python -m tests.conformance.make_trust` from the top of the repository. Each case states its answer by hand;
nothing is written when the trust rules disagree. `check_trust.py` says how the files are read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ledger.core.checkpoint import Checkpoint
from ledger.core.note import CLOCK_KIND, Line, Note, VerifierKey, clock_line, log_line, parse_note
from ledger.core.root import LogKey
from tests.conformance.check_trust import first_disagreement
from tests.conformance.trust_scenes import SCENES
from tests.property.trust.simulator import ORIGIN, Master, clock_key, log_key, sign_note, signer, witness_key

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent / "vectors" / "trust1"
CLOCK: Final = f"{ORIGIN}/clock"


class Book:
    """The cases of one file, and the entries and logs that they name."""

    def __init__(self, about: str) -> None:
        self.about = about
        self.entries: dict[str, int] = {}
        self.logs: dict[tuple[int, ...], str] = {}
        self.cases: list[dict[str, Any]] = []

    def numbers(self, entries: Sequence[bytes]) -> list[int]:
        """Return the numbers of these entries."""
        return [self.entries.setdefault(entry.decode(), len(self.entries)) for entry in entries]

    def log(self, entries: Sequence[bytes]) -> str:
        """Return the name of the log of these entries."""
        return self.logs.setdefault(tuple(self.numbers(entries)), f"log {len(self.logs)}")

    def good(self, name: str, master: Master, note: Note | bytes, line: int | None = None) -> None:
        """Add a good note; `line` is the time of its newest clock line."""
        self._note(name, master, note, {"good": True, "line": line})

    def bad(self, name: str, master: Master, note: Note | bytes) -> None:
        """Add a note that is not good."""
        self._note(name, master, note, {"good": False})

    def _note(self, name: str, master: Master, note: Note | bytes, answer: dict[str, Any]) -> None:
        raw = note.encode() if isinstance(note, Note) else note
        self.cases.append({"name": name, "log": self.log(master.tree.entries), "note": raw.decode(), "answer": answer})

    def write(self, path: Path) -> None:
        """Write the file. AssertionError if an answer is not what the trust rules say."""
        logs = {name: list(numbers) for numbers, name in self.logs.items()}
        vectors = {"about": self.about, "entries": list(self.entries), "logs": logs, "cases": self.cases}
        difference = first_disagreement(vectors)
        if difference is not None:
            raise AssertionError(difference)
        members = [f"{json.dumps(name)}: {_one_a_line(value)}" for name, value in vectors.items()]
        path.write_text("{\n" + ",\n".join(members) + "\n}\n")


def _one_a_line(value: object) -> str:
    if isinstance(value, list):
        return "\n".join(("[", ",\n".join(json.dumps(one, ensure_ascii=False) for one in value), "]"))
    if isinstance(value, dict):
        return "\n".join(("{", ",\n".join(f"{json.dumps(name)}: {json.dumps(one)}" for name, one in value.items()), "}"))
    return json.dumps(value)


def spoilt(line: Line) -> Line:
    """Return the line with its last bit turned."""
    return Line(line.name, line.key_id, line.signature[:-1] + bytes((line.signature[-1] ^ 1,)))


def filled(raw: bytes, size: int) -> bytes:
    """Return the note made as long as `size` by lines of strangers."""
    width = len(Line("", b"1234", b"-").text.encode()) + 1
    while len(raw) < size:
        room = size - len(raw) - width
        raw += Line("x" * (room if room <= 255 else 200), b"1234", b"-").text.encode() + b"\n"
    return raw


def checkpoint(text: str, *keys: str) -> Note:
    """Return a note of any text by log keys of the origin."""
    return Note(text, tuple(log_line(text, ORIGIN, signer(name)) for name in keys))


def forms(book: Book) -> None:
    """Length, lines, origin."""
    master = Master.create().add("a", "b")
    note = parse_note(master.sign(7))
    head = note.text.split("\n")
    book.good("a log line and a clock line", master, note, 7)
    book.good("no clock line: good, and says nothing of the time", master, Note(note.text, note.lines[:1]))
    book.bad("a clock line only", master, Note(note.text, note.lines[1:]))
    book.good("a line of a stranger", master, note.with_lines(Line("stranger", b"1234", b"junk")), 7)
    book.good("16,384 bytes", master, filled(note.encode(), 16_384), 7)
    book.bad("16,385 bytes", master, filled(note.encode(), 16_385))
    book.bad("four lines", master, checkpoint(note.text + "extension\n", "L1"))
    book.bad("two lines", master, checkpoint("\n".join(head[:2]) + "\n", "L1"))
    book.bad("a size with a zero before it", master, checkpoint(f"{head[0]}\n03\n{head[2]}\n", "L1"))
    book.bad("a root in base64 without its padding", master, checkpoint(f"{head[0]}\n3\n{head[2][:-1]}\n", "L1"))
    book.bad("a root of 31 bytes", master, checkpoint(f"{head[0]}\n3\n{'A' * 40}AA==\n", "L1"))
    book.bad("carriage returns", master, note.encode().replace(b"\n", b"\r\n"))
    book.bad("no newline at the end", master, note.encode()[:-1])
    book.bad("size 0: no root stands in that tree", master, checkpoint(Checkpoint(ORIGIN, 0, bytes(32)).text, "L1"))
    book.bad("another origin", master, checkpoint(Checkpoint("elsewhere", 3, bytes(32)).text, "L1"))
    named = Master.create(log_keys=(LogKey(log_key("L1", "elsewhere"), None),))
    text = Checkpoint(ORIGIN, 1, bytes(32)).text
    book.bad("a log key under another name than the origin", named, Note(text, (log_line(text, "elsewhere", signer("L1")),)))


def lines(book: Book) -> None:
    """Bad lines, and second lines."""
    master = Master.create(witnesses=(witness_key("W1"),)).add("a", "b")
    note = parse_note(sign_note(master.tree, 3, ("L1",), {"C1": 7}, ("W1",)))
    book.good("a line of each known key", master, note, 7)
    for number, key in enumerate(("log key", "witness", "clock key")):
        line = note.lines[number]
        rest = [one for one in note.lines if one is not line]
        book.bad(f"{key}: a bad line", master, Note(note.text, (*rest, spoilt(line))))
        book.bad(f"{key}: a bad line after a good one", master, note.with_lines(spoilt(line)))
        book.bad(f"{key}: a bad line before a good one", master, Note(note.text, (spoilt(line), *note.lines)))
        book.bad(f"{key}: a line of one byte", master, note.with_lines(Line(line.name, line.key_id, b"-")))
        book.good(f"{key}: its line twice", master, note.with_lines(line), 7)
    book.good(
        "of two clock lines the first counts, not the later", master, note.with_lines(clock_line(note.text, CLOCK, signer("C1"), 99)), 7
    )
    first = Note(note.text, (clock_line(note.text, CLOCK, signer("C1"), 99), *note.lines))
    book.good("of two clock lines the first counts, not the earlier", master, first, 99)
    master.change_root(log_keys=(LogKey(log_key("L2"), None),), witnesses=(), clock_keys=(clock_key("C2"),)).add("c")
    after = parse_note(sign_note(master.tree, 5, ("L2",), {"C2": 9}))
    for name, old in (("log key", note.lines[0]), ("witness", note.lines[1]), ("clock key", note.lines[2])):
        book.bad(f"{name} that an older root listed: a bad line", master, after.with_lines(old))
    book.good(
        "a clock key that an older root listed tells no time", master, after.with_lines(clock_line(after.text, CLOCK, signer("C1"), 99)), 9
    )
    odd = Master.create(
        log_keys=(LogKey("nonsense", None), LogKey(log_key("L1"), None)),
        clock_keys=("nonsense", log_key("L1"), clock_key("C1")),
        witnesses=("nonsense",),
    )
    book.good("texts in the root that are no verifier keys", odd, odd.sign(7), 7)
    other = VerifierKey("elsewhere/clock", CLOCK_KIND, signer("C1").public)
    named = Master.create(clock_keys=(other.text,))
    text = parse_note(sign_note(named.tree, 1, ("L1",), {})).text
    two = Note(text, (log_line(text, ORIGIN, signer("L1")), clock_line(text, "elsewhere/clock", signer("C1"), 9)))
    book.good("a clock key under another name than <origin>/clock tells no time", named, two)


def quorum(book: Book) -> None:
    """Who counts as a witness, and how often."""
    master = Master.create(witnesses=(witness_key("W1"), witness_key("W2")), quorum=2)
    book.good("quorum 2: two witnesses", master, sign_note(master.tree, 1, ("L1",), {}, ("W1", "W2")))
    for name, names in (("one", ("W1",)), ("one twice", ("W1", "W1")), ("one, and one that the root does not list", ("W1", "W3"))):
        book.bad(f"quorum 2: {name}", master, sign_note(master.tree, 1, ("L1",), {}, names))
    alias = VerifierKey("alias", CLOCK_KIND, signer("W1").public)
    twice = Master.create(witnesses=(witness_key("W1"), alias.text), quorum=2)
    note = parse_note(sign_note(twice.tree, 1, ("L1",), {}, ("W1",)))
    book.bad("quorum 2: one public key under two names", twice, note.with_lines(clock_line(note.text, "alias", signer("W1"), 1)))
    clock = VerifierKey("witness.example/C1", CLOCK_KIND, signer("C1").public)
    for name, listed in (("listed as a witness", clock_key("C1")), ("listed as a witness under another name", clock.text)):
        listing = Master.create(witnesses=(listed,), quorum=1)
        book.bad(f"quorum 1: a clock key {name}", listing, sign_note(listing.tree, 1, ("L1",), {"C1": 5}, ("C1",)))
    later = Master.create().add("a").change_root(origin="another", witnesses=(witness_key("W1"),), quorum=1)
    book.good("quorum and origin: of the newest root in the note's own tree", later, sign_note(later.tree, 2, ("L1",), {"C1": 5}), 5)
    hashed = later.tree.root_at(3)
    if hashed is None:
        raise AssertionError
    book.bad("the old origin in a tree with the new root", later, checkpoint(Checkpoint(ORIGIN, 3, hashed).text, "L1"))


def log_keys(book: Book) -> None:
    """When log keys and clock keys count."""
    key = {name: LogKey(log_key(name), None) for name in ("L1", "L2")}
    master = Master.create().add("a", "b").change_root(log_keys=(key["L2"],)).add("c", "d")

    def at(log: Master, size: int, *names: str) -> Note:
        return parse_note(sign_note(log.tree, size, names, {"C1": 5}))

    book.good("a key at its last size, index + 1 of the root that lists it no more", master, at(master, 4, "L1"), 5)
    book.bad("a key above its last size", master, at(master, 5, "L1"))
    book.bad("a key below the root that opens it", master, at(master, 3, "L2"))
    book.good("a key from the root on that opens it", master, at(master, 4, "L2"), 5)
    book.good("a closed key beside an open one", master, at(master, 5, "L1", "L2"), 5)
    for until, last in ((0, 4), (4, 4), (5, 5)):
        ended = Master.create().add("a", "b").change_root(log_keys=(LogKey(log_key("L1"), until), key["L2"])).add("c", "d")
        book.good(f"until {until} in the root at index 3: good at {last}", ended, at(ended, last, "L1"), 5)
        book.bad(f"until {until} in the root at index 3: not at {last + 1}", ended, at(ended, last + 1, "L1"))
    ended = Master.create().add("a", "b").change_root(log_keys=(LogKey(log_key("L1"), 5), key["L2"])).add("c", "d")
    ended.change_root(log_keys=(key["L1"], key["L2"])).add("e")
    book.bad("a key that was closed and is listed again", ended, at(ended, 7, "L1"))
    both = Master.create().add("a", "b").change_root(clock_keys=(clock_key("C2"),)).add("c")
    note = parse_note(sign_note(both.tree, 3, ("L1",), {"C1": 5, "C2": 6}))
    book.good("clock keys: those of the newest root known, for a smaller tree too", both, note, 6)
    both.change_root(clock_keys=(clock_key("C1"), clock_key("C2")))
    again = parse_note(sign_note(both.tree, 6, ("L1",), {"C1": 8, "C2": 6}))
    book.good("a clock key that was dropped may be listed again", both, again, 8)
    hashed = master.tree.root_at(2)
    order = {"type": "log", "continues": {"size": 2, "root": hashed.hex() if hashed else ""}}
    going = Master.create().add("a").change_root(order=order, log_keys=(key["L1"], key["L2"])).add("b")
    book.good("continues: an old key at its size", going, at(going, 2, "L1"), 5)
    book.bad("continues: an old key above its size, though listed", going, at(going, 3, "L1"))
    book.good("continues: the key that it brings", going, at(going, 3, "L2"), 5)


def main() -> None:
    """Write both files."""
    HERE.mkdir(parents=True, exist_ok=True)
    notes = Book("notes, and whether they are good by the roots of a log")
    for chapter in (forms, lines, quorum, log_keys):
        chapter(notes)
    notes.write(HERE / "notes.json")
    replicas = Book("replicas that hear notes")
    for scene in SCENES:
        scene(replicas)
    replicas.write(HERE / "replicas.json")


if __name__ == "__main__":
    main()
