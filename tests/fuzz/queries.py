"""`python -m tests.fuzz.queries [libFuzzer options]`: any text is a query or a domain error, in linear time, and all who answer agree.

Inputs are texts as they come, and pieces of them repeated up to the longest query, so that whatever takes more than linear time shows.
What parses is judged by the reference and by SQLite. A crash prints the text; libFuzzer keeps it in a file.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import apsw
import atheris  # type: ignore[import-untyped]  # it has no types
import orjson

with atheris.instrument_imports():
    from ledger.core.errors import InvalidError
    from ledger.core.limits import LIMITS
    from ledger.query import Query, judge_of, parse_query
    from ledger.query.sql import Compiled, compile_condition

NOW = 1_795_000_000
LONGEST_SECONDS = 1.5  # of CPU for the longest query; it takes about 50 ms while it is watched
TABLE = Path(__file__).parents[1] / "conformance" / "query"
WORDS = (
    "where and or not exists in is null like bring with contains startswith endswith childfrom order by asc desc limit ci now all get as"
    " join merge left inner true false json table count unique first last recent sort min max ip_port children parents paths tree separator"
    " root policies [*] [] == != <= >= 10.0.0.0/8 2026-01-01T00:00:00Z 7d"
)


class TooSlowError(Exception):
    """A query took more than its time."""


def policies() -> list[tuple[str, str]]:
    """Return kinds and bodies of the table's policies."""
    lines = (json.loads(line) for line in (TABLE / "policies.jsonl").read_text().splitlines())
    bodies = [(kind, body) for one in lines for kind, body in one.items()]
    return [(kind, json.dumps({name: value for name, value in body.items() if name != "id"})) for kind, body in bodies]


class Answers:
    """The policies of the table, in SQLite and for the reference."""

    def __init__(self) -> None:
        self._policies = [(kind, body, orjson.loads(body)) for kind, body in policies()]
        self._connection = apsw.Connection(":memory:")
        self._connection.execute("CREATE TABLE version(kind, id, iat, body)")
        rows = [(kind, str(number), "", body) for number, (kind, body, _) in enumerate(self._policies)]
        self._connection.executemany("INSERT INTO version VALUES(?,?,?,?)", rows)

    def check(self, query: Query) -> None:
        """Compare what SQLite says of a condition with what the reference says."""
        judge = judge_of(query.where, now=NOW)
        wanted = [
            number
            for number, (kind, _, body) in enumerate(self._policies)
            if judge(kind, {"date": "", **body, "id": str(number), "ledger": "global"})
        ]
        compiled = compile_condition(query.where, now=NOW)
        self._teach(compiled)
        sql = f"SELECT cast(id AS INTEGER) FROM version WHERE {compiled.sql} ORDER BY 1"
        found = [row[0] for row in self._connection.execute(sql, compiled.bindings)]
        if found != wanted:
            raise AssertionError(f"SQLite finds {found}, the reference {wanted}")

    def _teach(self, compiled: Compiled) -> None:
        def holds(number: int, body: str) -> bool:
            return compiled.holds[number](orjson.loads(body))

        def test(number: int, value: str) -> bool:
            return compiled.tests[number](value)

        self._connection.create_scalar_function("query_holds", holds, 2)  # type: ignore[arg-type]  # SQLite gives what it was given
        self._connection.create_scalar_function("query_test", test, 2)  # type: ignore[arg-type]  # SQLite gives what it was given


def parsed(text: str) -> Query | None:
    """Return the query that a text is, None for a refusal. TooSlowError when that took too long."""
    start = time.process_time()
    try:
        return parse_query(text)
    except InvalidError:
        return None
    finally:
        if time.process_time() - start > LONGEST_SECONDS:
            raise TooSlowError(text)


def texts(raw: bytes) -> list[str]:
    """Return what is tried of one input: the text, and of each eighth its end repeated until the query is as long as one may be."""
    text = raw.decode("utf-8", "replace")
    if not raw or raw[-1] % 8:
        return [text]
    piece = text[-1 - raw[0] % 16 :]
    longest = (text + piece * LIMITS.query_text).encode()[: LIMITS.query_text]
    return [text, longest.decode("utf-8", "ignore")]


def main() -> None:
    """Fuzz until libFuzzer's options say that it is enough."""
    answers = Answers()

    def try_one(raw: bytes) -> None:
        for text in texts(raw):
            query = parsed(text)
            if query is not None:
                answers.check(query)

    with tempfile.TemporaryDirectory(prefix="metaledger-fuzz-") as folder:
        words, corpus = Path(folder) / "words", Path(folder) / "corpus"
        corpus.mkdir()
        words.write_text("".join(f'"{word}"\n' for word in WORDS.split()))
        for name in TABLE.glob("*.jsonl"):
            for number, line in enumerate(name.read_text().splitlines()):
                query = json.loads(line).get("query")
                if isinstance(query, str):
                    (corpus / f"{name.stem}-{number}").write_text(query)
        options = [f"-dict={words}", "-max_len=600", "-timeout=20", "-rss_limit_mb=2048", f"-artifact_prefix={Path.cwd()}/"]
        atheris.Setup([sys.argv[0], *options, *sys.argv[1:], str(corpus)], try_one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
