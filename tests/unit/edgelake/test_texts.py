"""Where policies stand in a file: lines, arrays, SQL; every text with its line."""

from __future__ import annotations

import pytest

from ledger.edgelake.texts import texts


def found(content: bytes) -> tuple[str, list[tuple[int, bytes, str | None]]]:
    """Return the form of a file and its texts."""
    form, each = texts(content)
    return form, [(one.line, one.text, one.fault) for one in each]


def test_lines_blank_ones_and_a_byte_order_mark_are_no_policies() -> None:
    assert found(b"\xef\xbb\xbf{1}\r\n\n  \n {2}") == ("lines", [(1, b"{1}", None), (4, b"{2}", None)])


@pytest.mark.parametrize("content", [b"", b"\n", b"[]", b" [\n]\n"])
def test_a_file_without_policies_has_no_texts(content: bytes) -> None:
    assert found(content)[1] == []


def test_array_elements_have_the_line_on_which_they_begin() -> None:
    content = b'[{"a": {"t": "],}\\"["}},\n\n {"b":\n [1, {}]},\n{"c"]'
    form, elements = found(content)
    assert form == "array"
    assert elements[:2] == [(1, b'{"a": {"t": "],}\\"["}}', None), (3, b'{"b":\n [1, {}]}', None)]


def test_array_a_broken_element_costs_itself_alone() -> None:
    assert found(b'[{"a"},\nnonsense,\n{"b": 1}]')[1] == [(1, b'{"a"}', None), (2, b"nonsense", None), (3, b'{"b": 1}', None)]


def test_array_without_an_end_is_a_fault_of_its_last_line() -> None:
    assert found(b'[{"a": 1},\n{"b": 1},\n')[1][-1] == (3, b"", "the list has no end")
    assert found(b'[{"a": 1}, "text')[1][-1][2] == "the list has no end"


def test_array_what_stands_behind_its_end_is_a_fault_of_that_line() -> None:
    assert found(b'[{"a": 1}]\n\n{"b": 1}\n')[1] == [(1, b'{"a": 1}', None), (3, b"", "8 bytes stand after the end of the list")]


INSERT = b"INSERT INTO ledger (policy_id, host, policy, status) VALUES ('x', NULL, '{\"site\": {\"id\": \"O''Hara\"}}', 1);"


def test_sql_the_column_policy_is_read_and_doubled_quotes_are_one() -> None:
    assert found(b"\n" + INSERT + b"\n" + INSERT) == (
        "sql",
        [(2, b'{"site": {"id": "O\'Hara"}}', None), (3, b'{"site": {"id": "O\'Hara"}}', None)],
    )


def test_sql_as_their_export_has_it_without_semicolons() -> None:
    columns, values = "(policy_type ,policy_id, company_name, date, host, policy)", "('site' ,'a', 'acme', '2024', '10.0.0.1', '{%d}')"
    content = "\n".join(f"insert into ledger {columns} values {values % number}" for number in range(3))
    assert found(content.encode()) == ("sql", [(1, b"{0}", None), (2, b"{1}", None), (3, b"{2}", None)])


def test_sql_a_quote_that_their_export_does_not_double_costs_its_row() -> None:
    rows = ["insert into ledger (company_name, policy) values ('O'Hara', '{a}')", "insert into ledger (policy) values ('{b}')"]
    assert [(line, fault is None) for line, _, fault in found("\n".join(rows).encode())[1]] == [(1, False), (2, True)]


def test_sql_rows_of_one_statement_have_lines_of_their_own() -> None:
    content = b'insert into "blockchain"."ledger" ("id","policy") values\n(1,\'{a}\'),\n(-2.5e3,\'{b}\')\n;\n'
    assert found(content)[1] == [(2, b"{a}", None), (3, b"{b}", None)]


def test_sql_without_columns_the_last_text_that_begins_an_object_is_the_policy() -> None:
    assert found(b"INSERT INTO ledger VALUES ('{no', 'operator', '{yes}', '10.0.0.1')")[1] == [(1, b"{yes}", None)]


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        (b"INSERT INTO ledger (policy) VALUES ('{a}'); DROP TABLE ledger;", "no INSERT statement"),
        (b"INSERT INTO ledger (policy) VALUES ('{a}') RETURNING", "no INSERT statement"),
        (b"INSERT INTO ledger (policy) VALUES ('{a}'", "the list of values has no end"),
        (b"INSERT INTO ledger (policy) VALUES ('{a}", "no INSERT statement of names, numbers and text in quotes"),
        (b"INSERT INTO ledger (policy) VALUES (now())", "the list of values has no end"),
        (b"INSERT INTO ledger (policy) SELECT x", "not an INSERT of values"),
        (b"INSERT INTO ledger (policy, VALUES", "the list of columns has no end"),
        (b"INSERT INTO ledger (1) VALUES ('{a}')", "a name is missing"),
        (b"INSERT INTO ledger (policy) VALUES (,)", "a value is missing"),
        (b"INSERT LATE ledger", "INTO is missing in an INSERT statement"),
        (b"INSERT INTO ledger (a, policy) VALUES ('{a}')", "1 values for 2 columns"),
        (b"INSERT INTO ledger (a) VALUES ('{a}')", "there is no column policy"),
        (b"INSERT INTO ledger (policy) VALUES (7)", "the row holds no policy"),
        (b"INSERT INTO ledger VALUES (7, 'x')", "the row holds no policy"),
    ],
)
def test_sql_a_broken_statement_is_a_fault_and_the_next_is_read(statement: bytes, fault: str) -> None:
    read = found(INSERT + b"\n" + statement + b"\n" + INSERT + b"\n")[1]
    assert [one for one in read if one[2] is not None] == [(2, b"", fault)]
    assert [one[0] for one in read if one[1].startswith(b'{"site"')] == [1, 3]


@pytest.mark.parametrize(
    "content",
    [
        b'["' + b'\\"' * 500_000,
        b"[" * 1_000_000,
        b"INSERT INTO x VALUES (" + b"'a'," * 250_000,
        b"INSERT INTO x VALUES ('" + b"''" * 500_000,
    ],
    ids=["a text without an end", "lists in lists", "values without an end", "quotes without an end"],
)
def test_a_million_hostile_bytes_are_read_in_one_pass(content: bytes) -> None:
    assert any(fault is not None for _, _, fault in found(content)[1])
