"""The record that the chaincode announces for each batch (chaincode/README.md, Record): what somebody appended, or anchored."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from ledger.core.errors import FormatError

EVENT: Final = "Appended"
FORMAT: Final = 1
KINDS: Final = (0, 1)
_HEAD: Final = struct.Struct(">BBQQ32sQ32s")
_CERTIFICATE: Final = 32


@dataclass(frozen=True, slots=True)
class Record:
    """A batch with what its submitter claims of it, and who that was: MSP id and SHA-256 of the certificate."""

    start: int
    size: int
    root: bytes
    submitter: str
    batch: bytes
    note: bytes


def parse_record(text: bytes) -> Record:
    """Return the record in an event. FormatError for anything else."""
    if len(text) < _HEAD.size:
        raise FormatError("a record of the chaincode is cut off")
    form, kind, start, size, root, _number, _head = _HEAD.unpack_from(text)
    if form != FORMAT or kind not in KINDS:
        raise FormatError("a record of another format")
    msp, at = _field(text, _HEAD.size, 2)
    certificate, at = text[at : at + _CERTIFICATE], at + _CERTIFICATE
    batch, at = _field(text, at, 4)
    note, at = _field(text, at, 4)
    if at != len(text):
        raise FormatError("a record of the chaincode has something behind it")
    return Record(start, size, root, f"{msp.decode(errors='replace')}:{certificate.hex()}", batch, note)


def _field(text: bytes, at: int, width: int) -> tuple[bytes, int]:
    """Return what stands behind its length, and where it ends."""
    start = at + width
    end = start + int.from_bytes(text[at:start])
    if start > len(text) or end > len(text):
        raise FormatError("a record of the chaincode is cut off")
    return text[start:end], end


__all__ = ["EVENT", "Record", "parse_record"]
