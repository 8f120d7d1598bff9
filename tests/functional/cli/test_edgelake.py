"""`import --from edgelake`, `export --format edgelake`: what becomes of each line, twice the same, and no authority."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from ledger.client.client import LedgerClient
from ledger.client.importing import Importer
from ledger.core.limits import LIMITS
from ledger.edgelake import read_ledger_file
from ledger.home.clock import SystemClock
from master.create import NewNetwork, create_network
from tests.support.command import Cli, Ran
from tests.support.edgelake import faulty_file, line
from tests.support.reference import documented_shapes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ledger.client.importing import Imported
    from tests.support.live import LiveNetwork

    Import = Callable[..., Ran]

SHAPES = dict(documented_shapes())
NOTHING = {"published": 0, "patched": 0, "dropped": 0, "unchanged": 0, "left_out": 0}


@pytest.fixture
def load(cli: Cli, tmp_path: Path) -> Import:
    """Import these policies (or bytes) into the embedded ledger."""

    def load(*policies: object, words: tuple[str, ...] = (), by: Cli = cli) -> Ran:
        path = tmp_path / "blockchain.json"
        path.write_bytes(b"\n".join(one if isinstance(one, bytes) else json.dumps(one).encode() for one in policies))
        return by("import", "--from", "edgelake", str(path), "-o", "json", *words)

    return load


def counts(ran: Ran) -> dict[str, int]:
    """Return the counts that are not zero; all of them together are what was read."""
    facts = ran.json
    assert sum(facts[name] for name in NOTHING) == facts["read"]
    assert ran.code == (1 if facts["left_out"] else 0), ran.err
    return {name: facts[name] for name in NOTHING if facts[name]}


def reasons(ran: Ran) -> dict[int, str]:
    """Return why each line was left out."""
    found = {fault["line"]: fault["reason"] for fault in ran.json["faults"]}
    for number in found:
        assert f"line {number}: " in ran.err
    return found


def live(cli: Cli, policy_id: str) -> Any:
    """Return the content of a live policy, None for one that is dropped or never was."""
    ran = cli("get", "policy", policy_id, "-o", "json")
    return None if ran.code else next(iter(ran.json.values()))


def size(cli: Cli) -> int:
    """Return how many entries the ledger has."""
    found: int = cli("status", "-o", "json").json["ledger_size"]
    return found


# -- what becomes of it ------------------------------------------------------------------------------------------


def test_import_keeps_ids_dates_and_attributes_and_a_second_one_changes_nothing(cli: Cli, load: Import) -> None:
    file = (
        line("operator", id="0cc175b9c0f1b6a831c399e269772661", name="o", company="c", ip="10.1.1.1", port=1, cluster="k"),
        line("cluster", id="k", name="k", company="c"),
        {"site": {"name": "no id"}},
    )
    first = load(*file)
    assert list(first.json) == SHAPES["import --from edgelake FILE"]
    assert counts(first) == {"published": 3}
    found = live(cli, "0cc175b9c0f1b6a831c399e269772661")
    assert (found["date"], found["cluster"], found["ledger"]) == ("2024-03-05T06:07:08.123456Z", "k", "global")
    assert live(cli, "k")["status"] == "active"
    before = size(cli)
    assert counts(load(*file)) == {"unchanged": 3}
    assert size(cli) == before
    assert [version["by"] for version in cli("history", "k", "-o", "json").json] == ["admin"]


def test_import_never_creates_changes_or_drops_authority(cli: Cli, load: Import) -> None:
    before = cli("get", "member", "-o", "json").json
    member = next(iter(before[0].values()))["id"]
    schemas = [policy["schema"]["id"] for policy in cli("get", "schema", "-o", "json").json]
    kinds = ("member", "permissions", "assignment", "root", "mark", "invite", "schema", "Member")
    ran = load(
        *(line(kind, id=f"their-{kind}", name=kind, enable=["*"]) for kind in kinds),
        {"anmp": {schemas[0]: {"kind": "stolen"}}},
        {"deleted": {"id": schemas[1]}},
        {"member": {"id": member, "name": "stolen"}},
    )
    assert counts(ran) == {"published": len(kinds), "left_out": 3}
    assert reasons(ran) == {
        len(kinds) + 1: "the id is that of a schema of the network, which no file changes",
        len(kinds) + 2: "the id is that of a schema of the network, which no file drops",
        len(kinds) + 3: "the id is of another kind here: member",
    }
    assert cli("get", "member", "-o", "json").json == before
    assert [policy["schema"]["id"] for policy in cli("get", "schema", "-o", "json").json] == schemas
    assert len(cli("get", "anylog-member", "-o", "json").json) == 1
    out = [json.loads(one) for one in cli("export", "--format", "edgelake").good().raw.splitlines()]
    assert {next(iter(one)) for one in out if next(iter(one.values()))["id"].startswith("their-")} == set(kinds)


def test_anmp_becomes_patches_in_the_order_of_dates(cli: Cli, load: Import) -> None:
    file = (
        {"anmp": {"s": {"n": 3, "box": {"b": 2}}, "date": "2024-02-02", "id": "later"}},
        {"anmp": {"s": {"n": 2, "none": None}, "acme": {"city": "Oslo"}, "date": "2024-01-01", "id": "sooner"}},
        {"site": {"id": "s", "n": 1, "box": {"a": 1}}},
        {"anmp": {"nobody": {"n": 1}}},
    )
    assert counts(load(*file)) == {"published": 1, "patched": 3, "left_out": 1}
    found = live(cli, "s")
    assert {name: found[name] for name in ("n", "box", "none")} == {"n": 3, "box": {"b": 2}, "none": None}
    assert live(cli, "acme")["city"] == "Oslo"
    assert [version["body"]["n"] for version in cli("history", "s", "-o", "json").json] == [1, 2, 3]
    before = size(cli)
    again = load(*file)
    assert counts(again) == {"unchanged": 4, "left_out": 1}
    assert reasons(again) == {4: "there is no such policy, neither in the file nor here"}
    assert size(cli) == before


def test_an_import_that_was_cut_short_goes_on_where_it_stopped(cli: Cli, load: Import) -> None:
    policy, change = {"site": {"id": "s", "n": 1}}, {"anmp": {"s": {"n": 2}, "date": "2024"}}
    load(policy)
    assert counts(load(policy, change)) == {"unchanged": 1, "patched": 1}
    assert counts(load(policy, change, {"anmp": {"s": {"n": 3}, "date": "2025"}})) == {"unchanged": 2, "patched": 1}
    assert live(cli, "s")["n"] == 3


def test_deleted_becomes_a_drop_and_names_are_free_for_others(cli: Cli, load: Import) -> None:
    file = (
        {"deleted": {"id": "acme", "ledger": "local"}},
        line("operator", id="acme-2", name="acme", company="ACME", ip="10.0.0.11", port=32148, cluster="k"),
        line("operator", id="gone", name="gone", company="ACME", ip="10.0.0.99", port=32148, cluster="gone-k"),
        line("cluster", id="gone-k", name="k", company="ACME"),
        line("cluster", id="k", name="k", company="ACME"),
        {"deleted": {"id": "gone-k"}},
        {"deleted": {"id": "gone"}},
        {"deleted": {"id": "never"}},
    )
    assert counts(load(*file)) == {"published": 4, "dropped": 3, "unchanged": 1}
    assert (live(cli, "acme"), live(cli, "gone"), live(cli, "gone-k"), live(cli, "acme-2")["name"]) == (None, None, None, "acme")
    assert [version["op"] for version in cli("history", "gone", "-o", "json").json] == ["put", "drop"]
    before = size(cli)
    assert counts(load(*file)) == {"unchanged": 8}
    assert size(cli) == before


def test_what_waits_for_others_of_the_file_comes_in_after_them(cli: Cli, load: Import) -> None:
    load(line("cluster", id="p", name="k", company="c"), line("cluster", id="c", name="k", company="c", parent="p"))
    file = (
        {"deleted": {"id": "p"}},  # its child goes after it
        {"deleted": {"id": "c"}},
        line("cluster", id="p2", name="k", company="c"),
        line("operator", id="acme-2", name="acme", company="ACME", ip="10.0.0.11", port=1, cluster="p2"),
        {"anmp": {"acme": {"name": "acme-1"}}},  # which frees the name
    )
    assert counts(load(*file)) == {"published": 2, "patched": 1, "dropped": 2}
    assert (live(cli, "p"), live(cli, "c"), live(cli, "p2")["name"], live(cli, "acme-2")["name"]) == (None, None, "k", "acme")
    before = size(cli)
    assert counts(load(*file)) == {"unchanged": 5}
    assert size(cli) == before


def test_what_is_live_and_differs_or_was_dropped_stays_as_it_is(cli: Cli, load: Import) -> None:
    cli("drop", "policy", "zeta").good()
    before = live(cli, "oslo"), size(cli)
    ran = load(
        {"site": {"id": "oslo", "name": "Bergen", "lat": 59.9}},
        {"anmp": {"oslo": {"lat": 1}}},
        {"operator": {"id": "zeta", "name": "zeta", "company": "Zeta", "ip": "10.0.0.12", "port": 32149}},
        {"device": {"id": "acme"}},
    )
    assert counts(ran) == {"left_out": 4}
    found = reasons(ran)
    assert found[1] == "it is live here and differs in /name; what is here stays"
    assert found[2] == "its policy, on line 1, is left out"
    assert found[3].startswith("it was dropped here by entry ")
    assert found[4] == "the id is of another kind here: operator"
    assert (live(cli, "oslo"), size(cli)) == before


def test_anmp_that_makes_the_live_one_what_the_file_says_is_followed(cli: Cli, load: Import) -> None:
    ran = load({"site": {"id": "oslo", "name": "Christiania", "lat": 59.9}}, {"anmp": {"oslo": {"name": "Kristiania"}}})
    assert counts(ran) == {"unchanged": 1, "patched": 1}
    assert live(cli, "oslo")["name"] == "Kristiania"


def test_faults_of_kinds_have_a_pointer_and_an_id_of_40_digits_must_be_true(cli: Cli, load: Import) -> None:
    ran = load(
        {"operator": {"id": "x", "name": "x", "company": "c", "ip": "10.9.9.9", "port": "32148"}},
        {"site": {"id": "a" * 40}},
        {"anmp": {"acme": {"port": 0}}},
        {"anmp": {"oslo": {"big": "x" * 31_740}}},
        {"cluster": {"id": "k1", "name": "k", "company": "c"}},
        {"cluster": {"id": "k2", "name": "k", "company": "c"}},
    )
    assert counts(ran) == {"published": 1, "left_out": 5}
    facts = {fault["line"]: fault for fault in ran.json["faults"]}
    assert (facts[1]["pointer"], facts[1]["code"]) == ("/port", "schema-mismatch")
    assert facts[2]["reason"] == "an id of 40 hex digits is that of the content, and this is not"
    assert "/port: expected an integer" in facts[3]["reason"]
    assert "it makes a body of" in facts[4]["reason"]
    assert (facts[6]["pointer"], facts[6]["other"], facts[6]["code"]) == ("/name", "k1", "conflict")
    assert live(cli, "acme")["port"] == 32148


def test_dry_run_says_the_same_and_sends_nothing(cli: Cli, load: Import) -> None:
    file = faulty_file(500)
    before = size(cli)
    dry = load(file.content, words=("--dry-run",))
    assert (set(reasons(dry)), size(cli)) == (set(file.faults), before)
    wet = load(file.content)
    assert {**dry.json, "dry_run": False} == wet.json
    assert size(cli) - before in {495, 496}  # the log's own mark, when a minute went by


@pytest.mark.parametrize("form", ["array", "sql"])
def test_arrays_and_sql_exports_come_in_as_lines_do(cli: Cli, load: Import, form: str) -> None:
    rows = [line("site", id=f"s{number}", name=f"O'Hara {number}") for number in range(3)]
    sql = [b"INSERT INTO ledger (policy_id, policy) VALUES ('x', '" + row.replace(b"'", b"''") + b"');" for row in rows]
    content = b"[" + b",\n".join(rows) + b",\n{]" if form == "array" else b"\n".join(sql) + b"\nDELETE;"
    ran = load(content)
    assert (ran.json["form"], counts(ran)) == (form, {"published": 3, "left_out": ran.json["left_out"]})
    assert 4 in reasons(ran)
    assert live(cli, "s2")["name"] == "O'Hara 2"


def test_table_form_names_counts_and_faults_for_people(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "blockchain.json"
    path.write_bytes(b'{"site": {"id": "s"}}\n\x1b[31m\n')
    ran = cli("import", "--from", "edgelake", str(path))
    assert (ran.code, "published  1" in ran.out, "line 2: not JSON" in ran.err) == (1, True, True)
    assert "1 left out: mend them in the file and import it again" in ran.err
    with (tmp_path / "large").open("wb") as large:
        large.truncate(LIMITS.ledger_file + 1)
    refused = cli("import", "--from", "edgelake", str(tmp_path / "large"))
    assert (refused.code, "[too-large]" in refused.err) == (2, True)
    missing = cli("import", "--from", "edgelake", str(tmp_path / "absent"))
    assert (missing.code, missing.raw) == (2, b"")
    assert cli("import", str(path), "--dry-run").code == 2


def test_who_was_faster_between_plan_and_publish_is_not_overwritten(cli: Cli) -> None:
    lines = [line("site", id="new", n=1), line("site", id="oslo"), b'{"anmp": {"acme": {"n": 1}}}', b'{"deleted": {"id": "zeta"}}']

    async def race() -> Imported:
        async with LedgerClient.open(home=cli.home) as client:
            file = read_ledger_file(b"\n".join(lines))
            importer = Importer(client.copy.store, await client.publisher(), client.sync)
            plan = await importer.plan(file)
            await client.publish_one({"site": {"id": "new", "n": 2}})
            for policy_id in ("acme", "zeta"):
                await client.patch(policy_id, {"n": 2})
            return await importer.carry_out(file, plan)

    imported = asyncio.run(race())
    assert [(one.line, one.code) for one in imported.left] == [
        (1, "version-mismatch"),
        (2, "conflict"),
        (3, "version-mismatch"),
        (4, "version-mismatch"),
    ]
    assert [live(cli, policy_id)["n"] for policy_id in ("new", "acme", "zeta")] == [2, 2, 2]


# -- round trips -------------------------------------------------------------------------------------------------


@pytest.fixture
def other(tmp_path: Path) -> Cli:
    """The commands of another network."""
    home = tmp_path / "other"
    asyncio.run(create_network(home, NewNetwork("other", f"sqlite://{home}/ledger.db"), SystemClock()))
    return Cli(home)


def test_export_and_import_in_another_network_give_the_same_policies(cli: Cli, other: Cli, load: Import) -> None:
    load(
        faulty_file(200).content,
        line("assignment", id="as", members=["x"]),
        {"site": {"id": "uni", "name": "Köln 東京 😀", "x": [1.5, None, {}]}},
    )
    made = cli.publish({"site": {"name": "no id"}}, {"device": {"name": "no id, changed", "a": {"b": 1}}})
    cli("patch", "policy", made[1]["id"], '{"a": {"b": 2}, "more": true}').good()
    exported = cli("export", "--format", "edgelake").good()
    assert counts(load(exported.raw)).keys() == {"unchanged"}
    assert counts(load(exported.raw, by=other)).keys() == {"published", "patched"}
    wanted, found = (sorted(by("get", "all", "where", "id != ''", "-o", "jsonl").good().raw.splitlines()) for by in (cli, other))
    ours = [json.loads(one) for one in wanted]
    assert len([one for one in ours if "anylog-assignment" in one]) == 1
    authority = ("member", "schema", "permissions", "assignment", "root", "mark", "invite")
    kept = [[one for one in map(json.loads, lines) if next(iter(one)) not in authority] for lines in (wanted, found)]
    assert len(kept[0]) > 200
    assert kept[0] == kept[1]
    assert counts(load(exported.raw, by=other)).keys() == {"unchanged"}


def test_export_to_a_file_is_whole_and_says_what_it_leaves_out(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "blockchain.json"
    said = cli("export", "--format", "edgelake", "-o", str(path)).good().err
    assert f"written to {path}" in said
    assert "3 policies" in said
    assert not cli("export", "--format", "edgelake").good().err.rstrip().endswith(",")
    nowhere = cli("export", "--format", "edgelake", "-o", str(tmp_path / "absent" / "file"))
    assert (nowhere.code, "Make the directory first" in nowhere.err) == (4, True)
    assert [next(iter(json.loads(one))) for one in path.read_bytes().splitlines()] == ["operator", "operator", "site"]
    assert cli("export", "--format", "edgelake", "-o", str(path)).code == 5


# -- over HTTPS --------------------------------------------------------------------------------------------------


def test_import_over_https_in_several_requests(admin: Cli, load: Import) -> None:
    file = faulty_file(1_500)
    ran = load(file.content, {"deleted": {"id": "cluster-1479"}}, by=admin)
    assert counts(ran) == {"published": 1_484, "dropped": 1, "left_out": 16}
    assert set(reasons(ran)) == set(file.faults) | {1480}  # the operator of the cluster that is gone
    assert counts(load(file.content, {"deleted": {"id": "cluster-1479"}}, by=admin)) == {"unchanged": 1_485, "left_out": 16}


def test_import_by_a_member_with_a_copy_of_its_own(network: LiveNetwork, load: Import) -> None:
    home = asyncio.run(network.join("importer"))
    member = Cli(home)
    assert counts(load(line("site", id="mine"), {"anmp": {"mine": {"n": 1}}}, by=member)) == {"published": 1, "patched": 1}
    assert counts(load(line("site", id="mine"), {"anmp": {"mine": {"n": 1}}}, by=member)) == {"unchanged": 2}
