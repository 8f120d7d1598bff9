"""Verifying many signatures ahead of the fold, on threads: the libraries free the interpreter while they compute.

The fold asks `Checked.check` for each signature it needs. What was verified before is looked up, everything else is verified on
the spot, so the verdict never depends on what ran ahead. A key is known here once the fold has asked with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.core.envelope import pae

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from concurrent.futures import Executor

    from ledger.core.envelope import Envelope
    from ledger.core.keys import PublicKey

THREADS = 2
WORTH_IT = 16
MOST_KEYS = 65_536


class Checked:
    """Signatures found good. `ahead` may run in several threads; `check` and `forget` belong to the thread that judges."""

    def __init__(self) -> None:
        self._good: set[tuple[bytes, bytes, bytes]] = set()
        self._keys: dict[str, PublicKey] = {}

    def check(self, key: PublicKey, signature: bytes, message: bytes) -> bool:
        """Tell whether the signature is valid by FORMATS 2; the fold's `check`."""
        if (key.raw, signature, message) in self._good:
            return True
        if key.keyid not in self._keys:
            if len(self._keys) >= MOST_KEYS:
                self._keys.clear()
            self._keys[key.keyid] = key
        return key.verify(signature, message)

    def ahead(self, envelopes: Iterable[Envelope]) -> None:
        """Verify the signatures by known keys and remember the good ones."""
        for envelope in envelopes:
            message = pae(envelope.payload)
            for keyid, signature in envelope.signatures:
                key = self._keys.get(keyid)
                if key is not None and key.verify(signature, message):
                    self._good.add((key.raw, signature, message))

    def forget(self) -> None:
        """Drop what was remembered of signatures: their entries are judged."""
        self._good.clear()

    def spread(self, envelopes: Sequence[Envelope], pool: Executor) -> None:
        """Do as `ahead` does, on `THREADS` threads of `pool`, when there is enough to do; wait for it."""
        if len(envelopes) >= WORTH_IT:
            list(pool.map(self.ahead, [envelopes[start::THREADS] for start in range(THREADS)]))
