"""A process of its own that checks signatures, for bulk intake.

A check takes forty microseconds in a library that needs no Python, and then Python's lock again: beside a thread that
judges and writes, threads wait for that lock most of their time. A process does not. It keeps nothing and reads nothing but
what it is told: keys, signatures, messages. Whoever asks keeps the right to check for itself, and does when the process is gone.

A question is 4 bytes of length and, for each claim, 32 bytes of key, 64 of signature, 4 of length and the message.
The answer is one byte a claim, 1 for a valid signature.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from ledger.core.keys import PublicKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import IO

_LENGTH = 4
_KEY = 32
_SIGNATURE = 64
_HEAD = _KEY + _SIGNATURE + _LENGTH
END_SECONDS = 5.0


class Claim(NamedTuple):
    """That the holder of a key signed a message: 32 bytes of key, 64 of signature."""

    key: bytes
    signature: bytes
    message: bytes

    def is_valid(self) -> bool:
        """Tell whether the signature is valid by FORMATS 2."""
        return PublicKey(self.key).verify(self.signature, self.message)


class Verifier:
    """The process, as seen by who asks. For any thread; one question at a time. `close` it."""

    def __init__(self) -> None:
        """Start the process (blocking). Without one, where the system refuses, every question is answered here."""
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        # Safe path: `-m` would look for modules in the working directory first.
        command = [sys.executable, "-P", "-m", __name__]
        with suppress(OSError):
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - this very program

    @property
    def pid(self) -> int | None:
        """Return the number of the process, None when there is none."""
        return None if self._process is None else self._process.pid

    def valid(self, claims: Sequence[Claim]) -> list[Claim]:
        """Return the claims that hold (blocking)."""
        if not claims:
            return []
        with self._turn:
            answer = self._ask(encode(claims))
        if len(answer) != len(claims):
            return [claim for claim in claims if claim.is_valid()]
        return [claim for claim, is_valid in zip(claims, answer, strict=True) if is_valid]

    def _ask(self, question: bytes) -> bytes:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return b""
        try:
            process.stdin.write(len(question).to_bytes(_LENGTH) + question)
            process.stdin.flush()
            return _read_frame(process.stdout)
        except (OSError, ValueError):
            return b""

    def close(self) -> None:
        """End the process (blocking). Idempotent; later questions are answered here."""
        with self._turn:
            process, self._process = self._process, None
        if process is None:
            return
        with suppress(OSError):
            process.communicate(timeout=END_SECONDS)  # it ends with its input
        if process.poll() is None:
            process.kill()
            process.wait()


def encode(claims: Iterable[Claim]) -> bytes:
    """Return the bytes of a question, without its length."""
    parts: list[bytes] = []
    for key, signature, message in claims:
        parts += (key, signature, len(message).to_bytes(_LENGTH), message)
    return b"".join(parts)


def decode(question: bytes) -> Iterator[Claim]:
    """Yield the claims of a question."""
    at = 0
    while at < len(question):
        start = at + _HEAD
        end = start + int.from_bytes(question[start - _LENGTH : start])
        yield Claim(question[at : at + _KEY], question[at + _KEY : at + _KEY + _SIGNATURE], question[start:end])
        at = end


def answer(question: bytes) -> bytes:
    """Return the answer to a question."""
    return bytes(claim.is_valid() for claim in decode(question))


def _read_frame(stream: IO[bytes]) -> bytes:
    """Return what stands behind its length; nothing at the end of the stream."""
    head = stream.read(_LENGTH)
    return stream.read(int.from_bytes(head)) if len(head) == _LENGTH else b""


def main() -> None:
    """Answer questions until the input ends. An interrupt is for who asks: its end is the end of the input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while question := _read_frame(sys.stdin.buffer):
        said = answer(question)
        sys.stdout.buffer.write(len(said).to_bytes(_LENGTH) + said)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
