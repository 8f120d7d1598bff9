"""The query language: what `get KIND where …` means. Pure; docs/query.md has the grammar for people."""

from ledger.query.evaluation import judge_of, matches
from ledger.query.parse import parse_clauses, parse_get, parse_path, parse_query, parse_where
from ledger.query.tree import EVERYTHING, Condition, Path, Query

__all__ = [
    "EVERYTHING",
    "Condition",
    "Path",
    "Query",
    "judge_of",
    "matches",
    "parse_clauses",
    "parse_get",
    "parse_path",
    "parse_query",
    "parse_where",
]
