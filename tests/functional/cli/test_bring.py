"""`get … bring …` as people type it: each form by itself, and under every `-o`; second queries and hierarchies; what is refused."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.command import Cli

if TYPE_CHECKING:
    from pathlib import Path

PLACES = (
    {"zone": {"id": "z1", "name": "plant", "lead": "ann"}},
    {"zone": {"id": "z2", "name": "hall", "parent": "z1", "lead": "bob"}},
    {"zone": {"id": "z3", "name": "yard", "parent": "z1", "seats": 12}},
    {"person": {"id": "ann", "name": "Ann", "note": "a\x1b[2Jb\tc\nd"}},
    {"ring": {"id": "r1", "name": "one", "parent": "r2"}},
    {"ring": {"id": "r2", "name": "two", "parent": "r1"}},
)


@pytest.fixture(scope="module")
def asker(embedded_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """The commands of a home with zones, people and a ring in its ledger, for reading only."""
    home = tmp_path_factory.mktemp("bring") / "home"
    shutil.copytree(embedded_template, home)
    config = home / "config.toml"
    config.write_text(config.read_text().replace(str(embedded_template), str(home)))
    cli = Cli(home)
    cli.publish(*PLACES)
    return cli


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (("zone", "bring", "[zone][name]"), "plant\nhall\nyard\n"),
        (("zone", "bring [*][name] : [lead] separator = ,"), "plant:ann,hall:bob,yard:\n"),
        (("zone", "where", "name", "=", "hall", "bring", "[name]", "separator", "=", ","), "hall\n"),
        (("zone where lead = ann bring [name]",), "plant\n"),
        (("(zone, person)", "bring.count"), "4\n"),
        (("*", "where id in (ann, z1) bring [] [name]"), "zoneplant\npersonAnn\n"),
        (("zone", "bring.json", "[name]", "[seats]"), '[\n  {\n    "name": "plant"\n  },\n  {\n    "name": "hall"\n  },\n'),
        (("zone", "bring.list.sort", "[name]"), '[\n  "hall",\n  "plant",\n  "yard"\n]\n'),
        (("zone", "bring.table", "[name]", "[seats]"), "NAME    SEATS\nplant\nhall\nyard    12\n"),
        (("zone", "bring.table"), "ID   NAME    "),
        (("zone", "bring.count"), "3\n"),
        (("zone", "bring.max", "[seats]"), "12\n"),
        (("zone", "bring.max", "[none]"), ""),
        (("zone", "bring.ip_port"), ""),
        (("operator", "bring.ip_port"), "10.0.0.11:32148,10.0.0.12:32149\n"),
        (("zone", "where name = nobody bring [name]"), ""),
        (("zone", "where name = nobody bring.json [name]"), "[]\n"),
        (("zone", "bring.tree"), "plant (zone z1)\n  hall (zone z2)\n  yard (zone z3)\n"),
        (("zone", "where id = z1 bring.children [name]"), "hall\nyard\n"),
        (("root", "policies"), "ID   NAME    LEAD\nz1   plant   ann\n"),
        (("root policies bring [name]",), "plant\n"),
        (("zone", "with (get person where id = [zone][lead]) bring [zone][name] / [person][name]"), "plant/Ann\n"),
        (("zone", "with (get person where id = [zone][lead])"), "ZONE                  PERSON\n"),
        (("person", "bring [note] separator = \\t"), "a\\u001b[2Jb\tc\nd\n"),
    ],
)
def test_without_o_a_bring_has_its_own_form(asker: Cli, words: tuple[str, ...], out: str) -> None:
    found = asker("get", *words).good().out
    assert found.startswith(out) if out else not found, found


def test_o_lays_any_form_over_a_bring(asker: Cli) -> None:
    def asked(form: str, words: str) -> str:
        return asker("get", "zone", words, "-o", form).good().out

    assert asker("get", "zone", "bring [name]", "-o", "json").json == ["plant", "hall", "yard"]
    assert asker("get", "zone", "bring.table [name] [seats]", "-o", "json").json == [
        {"name": "plant"},
        {"name": "hall"},
        {"name": "yard", "seats": 12},
    ]
    assert asker("get", "zone", "bring.count", "-o", "json").json == 3
    assert asker("get", "zone", "bring.min [none]", "-o", "json").json is None
    assert asker("get", "zone", "bring.tree [name]", "-o", "json").json[0]["children"] == [
        {"name": "hall", "children": []},
        {"name": "yard", "children": []},
    ]
    assert asker("get", "zone", "bring.list [seats]", "-o", "jsonl").lines == [12]
    assert asker("get", "zone", "bring.json [seats]", "-o", "jsonl").lines == [{"seats": 12}]
    assert asked("id", "bring.recent") == "z3\n"
    assert asked("id", "bring.json [id]") == "z1\nz2\nz3\n"
    assert asked("id", "bring.children(*)") == "z2\nz3\n"
    assert asked("table", "bring.json [name]") == "NAME\nplant\nhall\nyard\n"
    assert asked("table", "bring [name]") == "VALUE\nplant\nhall\nyard\n"
    assert asked("table", "bring.first").startswith("ID   ")
    assert asked("table", "bring.json [none]") == ""


def test_there_are_no_ids_of_values(asker: Cli) -> None:
    ran = asker("get", "zone", "bring [name]", "-o", "id")
    assert (ran.code, ran.out) == (2, "")
    assert "brings no ids" in ran.err


def test_circles_are_said_on_stderr(asker: Cli) -> None:
    ran = asker("get", "ring", "bring.children(*)", "-o", "id").good()
    assert ran.out == "r1\nr2\n"
    assert "in a circle: r1 > r2 > r1" in ran.err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("zone", "bring", "name"), "column 1: this brings nothing but text"),
        (("zone", "bring.jsn", "[name]"), "column 7: 'jsn' is no form of bring"),
        (("zone bring [name",), "column 17: expected ]"),
        (("zone", "join", "(get", "zone", "where id = [zone][parent])"), "expected as, and a name"),
        (("root", "policies", "include"), "expected a kind"),
        (("(zone", "bring [name]"), "expected )"),
    ],
)
def test_what_is_not_understood_is_named_with_its_column(asker: Cli, words: tuple[str, ...], what: str) -> None:
    ran = asker("get", *words)
    assert (ran.code, ran.out) == (2, "")
    assert what in ran.err


def test_a_past_size_and_the_queue_are_brought_alike(cli: Cli) -> None:
    cli.publish(*PLACES)
    size = cli("status", "-o", "json").json["size"]
    cli.publish({"zone": {"id": "z4", "name": "late", "parent": "z2"}})
    assert cli("get", "zone", "where id = z1 bring.children(*).count").out == "3\n"
    assert cli("get", "zone", "where id = z1 bring.children(*).count", "--at", str(size)).out == "2\n"
    assert cli("get", "zone", "bring.count", "--local").out == "4\n"
