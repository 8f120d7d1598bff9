"""What SQLite answers is what the reference says, for any policy and any condition."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

import apsw
import orjson
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.canonical import encode
from ledger.core.limits import LIMITS
from ledger.query import Condition, Path, judge_of
from ledger.query.sql import compile_condition
from ledger.query.tree import Among, And, Compare, Exists, FromNow, HasValue, Moment, Not, Or

if TYPE_CHECKING:
    from ledger.core.canonical import JSON

NOW = 1_763_800_000
IAT = "2025-11-20T10:00:00Z"
COMMON = ["a"] * 8 + ["b"] * 4 + ["date"] * 3  # often enough that conditions and policies meet
NAMES = st.sampled_from([*COMMON, "id", "ledger", "x y", 'q"', "é", "a.b", ""])
TEXTS = st.sampled_from(
    ["", "a", "A", "ab", "aB", "b", "1", "10", "é", "É", "ß", "SS", "𐀀", "\uffff", "%", "a/b", "a/b/", "10.0.0.1", "fe80::1"]
)
TIMES = st.sampled_from(["2025-11-20", "2025-11-20T10:00:00Z", "2025-11-20 12:00:00+02:00", "2025-11-22T08:26:40.5Z", "2025-99-20"])
NUMBERS = st.one_of(
    st.sampled_from([0, 1, 2]),
    st.sampled_from([0, 1, -1, 2, 10, 1.5, 0.1, 1e-7, 1e15, LIMITS.number, -LIMITS.number]),
    st.floats(-1e12, 1e12),
    st.integers(-LIMITS.number, LIMITS.number),
)
SCALARS = st.one_of(st.none() | st.booleans(), NUMBERS, TEXTS, TIMES)
VALUES = SCALARS | st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=10
)
BODIES = st.dictionaries(NAMES.filter(lambda name: name not in {"id", "ledger"}), VALUES, max_size=4)
PATHS = st.builds(
    lambda names, outside: Path(tuple(names), outside and len(names) > 1),
    st.lists(NAMES, min_size=1, max_size=1) | st.lists(st.one_of(NAMES, st.just("kind")), min_size=1, max_size=3),
    st.booleans(),
)
MOMENTS = st.builds(Moment, st.integers(NOW - 10**6, NOW + 10**6).map(lambda seconds: seconds * 10**9))
WANTED = st.one_of(NUMBERS, TEXTS, TIMES)
NETWORKS = st.sampled_from([ip_network("10.0.0.0/8"), ip_network("0.0.0.0/0"), ip_network("fe80::/10")])
LEAVES = st.one_of(
    st.builds(Compare, PATHS, st.just("="), st.one_of(WANTED, st.booleans(), MOMENTS)),
    st.builds(Compare, PATHS, st.sampled_from(["<", "<=", ">", ">="]), st.one_of(WANTED, MOMENTS, st.builds(FromNow, st.integers(-9, 9)))),
    st.builds(Compare, PATHS, st.sampled_from(["=", "<", "contains", "startswith", "endswith", "childfrom"]), TEXTS, st.booleans()),
    st.builds(
        Among, PATHS, st.lists(st.one_of(WANTED, st.booleans(), MOMENTS, NETWORKS), min_size=1, max_size=3).map(tuple), st.booleans()
    ),
    st.builds(Among, PATHS, st.lists(TEXTS, min_size=60, max_size=70).map(tuple)),
    st.builds(Exists, PATHS),
    st.builds(HasValue, PATHS),
)
CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


class Asked:
    """A connection that knows the functions of one compiled condition."""

    def __init__(self, condition: Condition) -> None:
        compiled = compile_condition(condition, now=NOW)

        def holds(number: int, text: str) -> bool:
            return compiled.holds[number](orjson.loads(text))

        def test(number: int, value: str) -> bool:
            return compiled.tests[number](value)

        self.connection = apsw.Connection(":memory:")
        self.connection.create_scalar_function("query_holds", holds, 2)  # type: ignore[arg-type]  # SQLite gives what it was given
        self.connection.create_scalar_function("query_test", test, 2)  # type: ignore[arg-type]  # SQLite gives what it was given
        places = [f"?{len(compiled.bindings) + number}" for number in range(1, 5)]
        columns = ",".join(f"{place} AS {name}" for place, name in zip(places, ("kind", "id", "iat", "body"), strict=True))
        self.sql = f"SELECT iif({compiled.sql}, 1, 0) FROM (SELECT {columns})"
        self.bindings = compiled.bindings

    def answer(self, kind: str, body: str) -> bool:
        ((found,),) = self.connection.execute(self.sql, (*self.bindings, kind, "a", IAT, body))
        return bool(found)


@given(
    st.lists(st.tuples(st.sampled_from(["kind", "other"]), BODIES), min_size=2, max_size=5), st.lists(CONDITIONS, min_size=3, max_size=6)
)
def test_sqlite_answers_as_the_reference_says(policies: list[tuple[str, dict[str, JSON]]], conditions: list[Condition]) -> None:
    texts = [encode(body).decode() for _, body in policies]
    for condition in conditions:
        asked, judge = Asked(condition), judge_of(condition, now=NOW)
        for (kind, _), text in zip(policies, texts, strict=True):
            content = orjson.loads(text)
            shown = {**content, "id": "a", "date": content.get("date", IAT), "ledger": "global"}
            assert asked.answer(kind, text) is judge(kind, shown)
