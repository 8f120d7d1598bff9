"""Verifying many signatures ahead of the fold, on threads: the libraries free the interpreter while they compute.

The fold asks the check of `Checked.checker` for each signature it needs. What was verified before is looked up, everything else is
verified on the spot, so the verdict never depends on what ran ahead. A key is known here once the fold has asked with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.core.envelope import pae
from ledger.engine.verifier import Claim

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from concurrent.futures import Executor

    from ledger.core.envelope import Envelope
    from ledger.core.fold import Check
    from ledger.core.keys import PublicKey

THREADS = 2
WORTH_IT = 16
MOST_KEYS = 65_536


Good = frozenset[Claim]


class Checked:
    """Verifies ahead with the keys that the fold asked with before. `ahead` is for any thread, a check for the one that judges."""

    def __init__(self) -> None:
        self._keys: dict[str, PublicKey] = {}

    def checker(self, good: Good) -> Check:
        """Return a `check` for the fold that looks into `good` first."""

        def check(key: PublicKey, signature: bytes, message: bytes) -> bool:
            if good and Claim(key.raw, signature, message) in good:
                return True
            if len(self._keys) >= MOST_KEYS:
                self._keys.clear()
            self._keys[key.keyid] = key
            return key.verify(signature, message)

        return check

    def claims(self, envelopes: Iterable[Envelope]) -> list[Claim]:
        """Return what the signatures by known keys claim."""
        known = self._keys.get
        found = []
        for envelope in envelopes:
            message = pae(envelope.payload)
            for keyid, signature in envelope.signatures:
                key = known(keyid)
                if key is not None:
                    found.append(Claim(key.raw, signature, message))
        return found

    def ahead(self, envelopes: Iterable[Envelope]) -> Good:
        """Verify the signatures by known keys; return the good ones."""
        return frozenset(claim for claim in self.claims(envelopes) if claim.is_valid())

    def spread(self, envelopes: Sequence[Envelope], pool: Executor) -> Good:
        """Do as `ahead` does on `THREADS` threads of `pool`, when there is enough to do; wait for it."""
        if len(envelopes) < WORTH_IT:
            return NONE
        return NONE.union(*pool.map(self.ahead, [envelopes[start::THREADS] for start in range(THREADS)]))


NONE: Good = frozenset()
