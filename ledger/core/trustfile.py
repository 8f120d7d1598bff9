"""Trust files: which logs and witnesses to believe, and how many of them (C2SP tlog-policy).

A trust file lets programs that know nothing of this network check its notes and receipts. It is written from the
root; where the root is known, the root rules. Names are opaque octets, kept by surrogate escapes.
Spec: https://c2sp.org/tlog-policy
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.core.checkpoint import Checkpoint, parse_checkpoint
from ledger.core.errors import FormatError, SignatureError
from ledger.core.note import CLOCK_KIND, LOG_KIND, Line, Note, VerifierKey, good_lines, parse_vkey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ledger.core.root import Root

MAX_FILE = 64 * 1024
NO_QUORUM = "none"

_OCTETS = re.compile(rb"[\t\n\x20-\x7e\x80-\xff]*")
_COUNT = re.compile(r"[1-9][0-9]{0,4}")
_GROUP = "witnesses"


@dataclass(frozen=True, slots=True)
class Group:
    """Counts as a witness when at least `threshold` of `members` (witnesses or earlier groups) do."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SignedTree:
    """A checkpoint that a TrustPolicy accepts, and the good line of each known key."""

    checkpoint: Checkpoint
    lines: dict[VerifierKey, Line]


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """Accepts a checkpoint signed by one of `logs` and witnessed by `quorum`, a name or `none`.

    Built by `parse_trust_file`, `policy_of_keys` or `policy_of_root`, which hold the rules of the format.
    """

    logs: tuple[VerifierKey, ...]
    witnesses: dict[str, VerifierKey]
    groups: tuple[Group, ...] = ()
    quorum: str = NO_QUORUM

    def encode(self) -> bytes:
        """Return the trust file."""
        lines = [f"log {key.text}" for key in self.logs]
        lines += [f"witness {name} {key.text}" for name, key in self.witnesses.items()]
        lines += [f"group {group.name} {group.threshold} {' '.join(group.members)}" for group in self.groups]
        return "".join(f"{line}\n" for line in [*lines, f"quorum {self.quorum}"]).encode(errors="surrogateescape")

    def verify_note(self, note: Note) -> SignedTree:
        """Return what `note` proves.

        FormatError if it is no checkpoint. SignatureError if a known key's line is bad, no known log of that origin
        signed it, or the quorum is not met.
        """
        checkpoint = parse_checkpoint(note.text)
        lines = good_lines(note, (*self.logs, *self.witnesses.values()))
        if not any(log in lines and log.name == checkpoint.origin for log in self.logs):
            raise SignatureError("no known log signed this checkpoint", origin=checkpoint.origin)
        if not self._is_met({name for name, key in self.witnesses.items() if key in lines}):
            raise SignatureError(f"the quorum {self.quorum!r} of witnesses is not met", size=checkpoint.size)
        return SignedTree(checkpoint, lines)

    def _is_met(self, present: set[str]) -> bool:
        for group in self.groups:
            if len(present.intersection(group.members)) >= group.threshold:
                present.add(group.name)
        return self.quorum == NO_QUORUM or self.quorum in present


class _Reader:
    """Collects the lines of one trust file."""

    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: dict[str, VerifierKey] = {}
        self.groups: dict[str, Group] = {}
        self.quorum: str | None = None
        self._grouped: set[str] = set()

    def read(self, words: Sequence[str]) -> None:
        match words:
            case ["log", vkey] | ["log", vkey, _]:
                self.logs.append(_new_key(vkey, LOG_KIND, self.logs))
            case ["witness", name, vkey] | ["witness", name, vkey, _]:
                self._check_name(name)
                self.witnesses[name] = _new_key(vkey, CLOCK_KIND, self.witnesses.values())
            case ["group", name, threshold, *members] if members:
                self._check_name(name)
                self.groups[name] = self._group(name, threshold, members)
            case ["quorum", name] if self.quorum is None and (name == NO_QUORUM or self._is_defined(name)):
                self.quorum = name
            case _:
                raise FormatError(f"this line of a trust file makes no sense: {_shown(' '.join(words))}")

    def _is_defined(self, name: str) -> bool:
        return name in self.witnesses or name in self.groups

    def _check_name(self, name: str) -> None:
        if name == NO_QUORUM or self._is_defined(name):
            raise FormatError(f"the name {_shown(name)} is taken")

    def _group(self, name: str, threshold: str, members: list[str]) -> Group:
        for member in members:
            if not self._is_defined(member) or member in self._grouped:
                raise FormatError(f"{_shown(member)} is not defined before group {_shown(name)}, or is already a member of a group")
            self._grouped.add(member)
        count = {"any": 1, "all": len(members)}.get(threshold) or _parse_count(threshold)
        if count > len(members):
            raise FormatError(f"group {_shown(name)} asks for more members than it has")
        return Group(name, count, tuple(members))


def _shown(text: str) -> str:
    return ascii(text[:80])


def _parse_count(text: str) -> int:
    if not _COUNT.fullmatch(text):
        raise FormatError("a group needs `all`, `any` or a count")
    return int(text)


def _new_key(vkey: str, kind: int, others: Iterable[VerifierKey]) -> VerifierKey:
    key = parse_vkey(vkey)
    if key.kind != kind:
        raise FormatError(f"{_shown(vkey)} is a key of kind {key.kind}; here stands one of kind {kind}")
    if any(key.public == other.public for other in others):
        raise FormatError(f"{_shown(vkey)} is listed twice")
    return key


def parse_trust_file(raw: bytes) -> TrustPolicy:
    """Return the policy that a trust file states; URLs and comments are dropped. FormatError otherwise."""
    if len(raw) > MAX_FILE:
        raise FormatError(f"a trust file has at most {MAX_FILE} bytes")
    if not _OCTETS.fullmatch(raw):
        raise FormatError("a trust file has no control characters but tab and newline")
    reader = _Reader()
    for line in raw.decode(errors="surrogateescape").split("\n"):
        words = line.replace("\t", " ").split(" ")
        words = [word for word in words if word]
        if words and not words[0].startswith("#"):
            reader.read(words)
    if reader.quorum is None:
        raise FormatError("a trust file has one quorum line")
    return TrustPolicy(tuple(reader.logs), reader.witnesses, tuple(reader.groups.values()), reader.quorum)


def policy_of_keys(
    logs: Iterable[VerifierKey], *, clocks: Iterable[VerifierKey] = (), witnesses: Iterable[VerifierKey] = (), quorum: int = 0
) -> TrustPolicy:
    """Return the policy that accepts checkpoints of `logs` with `quorum` of `witnesses`.

    Clock keys are listed as witnesses, so that their lines are checked, but are no part of the quorum, under another
    name neither. Of vkeys that wrap one key the first counts. FormatError if `quorum` exceeds what is left.
    """
    known = _distinct(clocks)
    clock_keys = set(known)
    named = {f"clock-{number}": key for number, key in enumerate(known.values(), 1)}
    independent = [key for public, key in _distinct(witnesses).items() if public not in clock_keys]
    members = {f"witness-{number}": key for number, key in enumerate(independent, 1)}
    if quorum > len(members):
        raise FormatError(f"a quorum of {quorum} needs as many witnesses; there are {len(members)}")
    groups = (Group(_GROUP, quorum, tuple(members)),) if quorum else ()
    return TrustPolicy(tuple(_distinct(logs).values()), named | members, groups, _GROUP if quorum else NO_QUORUM)


def policy_of_root(root: Root) -> TrustPolicy:
    """Return the policy that says of notes of today what `root` says, as far as a trust file can.

    Only log keys without `until` are listed: a trust file knows no sizes, and a closed key may be a stolen one. Vkeys
    that are none of their place (FORMATS 9) are left out. FormatError if the quorum cannot be met any more.
    """
    open_logs = [key.vkey for key in root.log_keys if key.until is None]
    return policy_of_keys(
        _usable(open_logs, LOG_KIND, root.origin),
        clocks=_usable(root.clock_keys, CLOCK_KIND, f"{root.origin}/clock"),
        witnesses=_usable(root.witnesses, CLOCK_KIND),
        quorum=root.quorum,
    )


def _usable(vkeys: Iterable[str], kind: int, name: str | None = None) -> Iterator[VerifierKey]:
    for vkey in vkeys:
        try:
            key = parse_vkey(vkey)
        except FormatError:
            continue
        if key.kind == kind and name in {None, key.name}:
            yield key


def _distinct(keys: Iterable[VerifierKey]) -> dict[bytes, VerifierKey]:
    found: dict[bytes, VerifierKey] = {}
    for key in keys:
        found.setdefault(key.public.raw, key)
    return found
