"""The query language: what `get KIND where …` means. Pure; docs/query.md has the grammar for people."""

from ledger.query.evaluation import matches
from ledger.query.grammar import Equal, Query, Where, parse_query, parse_where

__all__ = ["Equal", "Query", "Where", "matches", "parse_query", "parse_where"]
