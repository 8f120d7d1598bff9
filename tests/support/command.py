"""`ledger-cli` for tests: in this process, so that its coverage counts, or as a program of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ledger.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PROGRAM = (sys.executable, "-c", "from ledger.cli.program import main; main()")


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.raw.splitlines()]

    def good(self) -> Ran:
        """Return itself when it ended well; else the test fails with what it said."""
        assert self.code == 0, (self.code, self.raw, self.err)
        return self


@dataclass(frozen=True)
class Cli:
    """The commands of one home."""

    home: Path

    def __call__(self, *words: str, stdin: bytes | str = b"", **environment: str) -> Ran:
        content = stdin.encode() if isinstance(stdin, str) else stdin
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        with _streams(content), _environment(environment), redirect_stdout(out), redirect_stderr(err):
            code = main(["--home", str(self.home), *words])
        return Ran(code, _written(out), _written(err).decode())

    def publish(self, *policies: object, words: tuple[str, ...] = ()) -> list[Any]:
        """Publish policies and return what `-o json` says of them."""
        stdin = "\n".join(json.dumps(policy) for policy in policies)
        found: list[Any] = self("publish", "policy", "-", "-o", "json", *words, stdin=stdin).good().json
        return found


def program(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a program of its own."""
    return subprocess.run([*PROGRAM, *words], env=clean(environment), capture_output=True, text=True, timeout=50, check=False)


def clean(more: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which no setting of ours comes from outside."""
    return {name: value for name, value in os.environ.items() if not name.startswith("METALEDGER_")} | dict(more)


def _written(stream: io.TextIOWrapper) -> bytes:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue()


@contextmanager
def _streams(content: bytes) -> Iterator[None]:
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(content))
    try:
        yield
    finally:
        sys.stdin = before


@contextmanager
def _environment(more: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    wanted = clean(more)
    os.environ.clear()
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
