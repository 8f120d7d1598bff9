"""The files of AnyLog and EdgeLake: their policies as ours and back. Pure; docs/edgelake.md is for people."""

from ledger.edgelake.ledgerfile import LedgerFile, read_ledger_file
from ledger.edgelake.order import in_order
from ledger.edgelake.policies import CHANGES, Change, Deletion, LeftOut, Policy, policy_line, their_kind

__all__ = ["CHANGES", "Change", "Deletion", "LedgerFile", "LeftOut", "Policy", "in_order", "policy_line", "read_ledger_file", "their_kind"]
