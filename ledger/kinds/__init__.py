"""Kinds of policies: what their schemas say beyond the fold, for authors and admission. Pure; docs/kinds.md is for people."""

from ledger.kinds.breaking import Breach
from ledger.kinds.explaining import Explanation, explain
from ledger.kinds.faults import Fault, Faulty, fault_error
from ledger.kinds.rulebook import KindView, Rulebook
from ledger.kinds.schema import KindSchema
from ledger.kinds.standard import standard_schemas

__all__ = ["Breach", "Explanation", "Fault", "Faulty", "KindSchema", "KindView", "Rulebook", "explain", "fault_error", "standard_schemas"]
