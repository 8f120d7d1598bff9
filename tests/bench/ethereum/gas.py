"""What an entry costs on a chain: gas, by batch size, beside the same batch in the plain codec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blockchain_adapters.codec import encode, encode_plain
from blockchain_adapters.ethereum.calls import Calls
from blockchain_adapters.ethereum.rpc import quantity
from blockchain_adapters.transactions import Parcel
from tests.bench.ethereum.samples import note, operators, sites
from tests.bench.figures import Bound, Figure
from tests.support.contract import Contract, mined, send

if TYPE_CHECKING:
    from blockchain_adapters.ethereum.artifact import Artifact
    from tests.bench.figures import Report
    from tests.support.anvil import Anvil

BATCHES = (1, 10, 100, 500)
BOUNDS = {"airports": 7_000, "operators of 500 bytes": 8_500}  # gas a signed entry, in batches of 100
BOUND_AT = 100


class GasMeter:
    """Puts batches onto a contract and reads what they cost. The first of each kind is paid for before: it fills empty storage."""

    def __init__(self, contract: Contract, artifact: Artifact) -> None:
        self._contract = contract
        self._calls = Calls(artifact)

    @classmethod
    async def make(cls, chain: Anvil, artifact: Artifact) -> GasMeter:
        """Deploy a contract and use each of its functions once."""
        meter = cls(await Contract.deploy(chain), artifact)
        await meter.used(b"\x01first", Parcel((), note=b"first", size=1, root=b"\1" * 32))
        await meter.used(b"\x01first", Parcel(()))
        return meter

    async def used(self, batch: bytes, parcel: Parcel) -> int:
        """Return the gas of one transaction."""
        call = self._calls.record(parcel, batch)
        receipt = await mined(self._contract.node, await send(self._contract.node, call, self._contract.address))
        return quantity(receipt["gasUsed"])


async def measure_gas(report: Report, chain: Anvil, artifact: Artifact) -> None:
    """Add gas an entry: direct, mirrored with its note, in the plain codec; and of an anchor alone."""
    meter = await GasMeter.make(chain, artifact)
    for name, entries in (("airports", sites(max(BATCHES))), ("operators of 500 bytes", operators(max(BATCHES)))):
        for count in BATCHES:
            await _measure_batch(report, meter, f"{name}, batches of {count}", entries[:count])
    entries = sites(100)
    anchor = await meter.used(b"", Parcel((), start=100, size=100, root=b"\2" * 32, note=note(entries)))
    report.add(
        Figure("gas, an anchor alone", anchor, "gas", remark=f"a note of {len(note(entries))} B; a hundredth an entry at 100 a note")
    )


async def _measure_batch(report: Report, meter: GasMeter, name: str, entries: list[bytes]) -> None:
    count = len(entries)
    batch, plain, signed = encode(entries), encode_plain(entries), note(entries)
    fits = len(plain) < 126_976
    before = f"gas an entry, {name}, plain" if fits else None
    if before is not None:
        report.add(Figure(before, await meter.used(plain, Parcel(())) / count, "gas", remark=f"{len(plain) / count:.0f} B an entry"))
    direct = await meter.used(batch, Parcel(()))
    kind = name.partition(",")[0]
    bound = Bound(most=BOUNDS[kind], of_value=True) if count == BOUND_AT else None
    remark = f"{len(batch) / count:.0f} B an entry of {sum(map(len, entries)) / count:.0f} B"
    report.add(Figure(f"gas an entry, {name}", direct / count, "gas", before, remark, bound))
    parcel = Parcel((), start=0, size=count, root=b"\2" * 32, note=signed)
    mirrored = await meter.used(batch, parcel)
    remark = f"a note of {len(signed)} B"
    report.add(Figure(f"gas an entry, {name}, mirrored with a note", mirrored / count, "gas", f"gas an entry, {name}", remark, bound))
