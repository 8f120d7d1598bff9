"""Receipts for a batch that was just committed: from the batch's own nodes where they do, from the store where they do not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ledger.core.backend import Placed
from ledger.core.merkle import inclusion_proofs
from ledger.core.receipt import Receipt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.engine.admission import Request
    from ledger.engine.snapshot import Snapshot


def add_receipts(requests: Sequence[Request], size: int, note: bytes, snapshot: Snapshot) -> None:
    """Put a receipt under `note`, which signs the tree of `size`, into every outcome that wants one. Each tree node is read once."""
    wanted = [request for request in requests if request.receipts]
    indices = sorted({one.index for request in wanted for one in request.outcomes if isinstance(one, Placed)})
    proofs = dict(zip(indices, inclusion_proofs(indices, size, snapshot), strict=True))
    for request in wanted:
        for place, one in enumerate(request.outcomes):
            if isinstance(one, Placed):
                receipt = Receipt(one.index, proofs[one.index], note, snapshot.entry(one.index)).encode()
                request.outcomes[place] = replace(one, receipt=receipt)
