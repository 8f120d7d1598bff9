"""Files as AnyLog and EdgeLake have them, with faults whose lines are known."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

EACH = 100  # one line in so many is faulty
TABLES = 15  # tables of a cluster


@dataclass
class FaultyFile:
    """Lines of a file, and which of them are left out for which reason."""

    lines: list[bytes] = field(default_factory=list)
    faults: dict[int, str] = field(default_factory=dict)

    def add(self, line: bytes, fault: str | None = None) -> None:
        """Add a line, and what is wrong with it."""
        self.lines.append(line)
        if fault is not None:
            self.faults[len(self.lines)] = fault

    @property
    def content(self) -> bytes:
        """What the file holds."""
        return b"\n".join(self.lines) + b"\n"


def line(kind: str, **content: object) -> bytes:
    """Return a policy as their files have it: an MD5 for an id, a date with microseconds."""
    named = {"id": hashlib.md5(repr(content).encode(), usedforsecurity=False).hexdigest(), "date": "2024-03-05T06:07:08.123456Z"}
    return json.dumps({kind: {**content, **named, "ledger": "global"} | {"id": content.get("id", named["id"])}}).encode()


def operator(number: int, **more: object) -> bytes:
    """Return an operator of the cluster of its number."""
    address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    content: dict[str, object] = {
        "name": f"operator-{number}",
        "company": "acme",
        "ip": address,
        "port": 32148,
        "cluster": f"cluster-{number}",
    }
    return line("operator", **{**content, "member": number % 255 + 1, "id": f"operator-{number}", **more})


def cluster(number: int) -> bytes:
    """Return a cluster."""
    return line("cluster", id=f"cluster-{number}", name=f"cluster-{number}", company="acme", status="active")


def table(number: int) -> bytes:
    """Return a table."""
    return line(
        "table", name=f"table_{number}", dbms="metering", company="acme", create=f"CREATE TABLE table_{number}(ts TIMESTAMP, kw FLOAT);"
    )


def faulty_file(policies: int) -> FaultyFile:
    """Return a file of so many lines, of which one in a hundred is faulty, each in one of five ways by turns.

    Every operator comes before its cluster, as it may in files that are sorted by nothing.
    """
    file = FaultyFile()
    faults = list(FAULTS)
    while len(file.lines) < policies:
        number = len(file.lines)
        if number % EACH == EACH - 1:
            fault = faults[number // EACH % len(faults)]
            file.add(FAULTS[fault](number), fault)
        elif number % (TABLES + 2) == 0:
            file.add(operator(number))
        elif number % (TABLES + 2) == 1:
            file.add(cluster(number - 1))
        else:
            file.add(table(number))
    for number, found in enumerate(file.lines):  # a cluster whose line went to a fault is put in the place of a table
        if number % EACH == EACH - 1 and number % (TABLES + 2) == 1:
            file.lines[number + 1] = cluster(number - 1)
        elif not found:
            raise AssertionError(number)
    return file


FAULTS: Mapping[str, Callable[[int], bytes]] = {
    "duplicate": lambda _number: cluster(0),
    "same name": lambda number: operator(number, name="operator-0", cluster="cluster-0"),
    "no cluster": lambda number: operator(number, cluster="cluster-nowhere"),
    "not UTF-8": lambda number: line("site", name=f"K-{number}").replace(b"K-", b"K\xf6ln-"),
    "two root keys": lambda number: b'{"site": {"id": "s%d"}, "device": {"id": "d%d"}}' % (number, number),
}
