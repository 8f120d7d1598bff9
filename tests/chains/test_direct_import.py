"""Policies in bulk onto a chain, which refuses nobody: nobody pays for what is void already, and what became void is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support.edgelake import cluster, faulty_file, line, operator

if TYPE_CHECKING:
    from tests.support.direct_story import DirectStory


def test_an_import_leaves_out_what_the_network_refuses_and_pays_for_nothing_void(story: DirectStory) -> None:
    file, path = faulty_file(500), story.folder / "blockchain.json"
    path.write_bytes(file.content)
    words = ("import", "--from", "edgelake", str(path), "-o", "json")
    dry = story("admin", *words, "--dry-run")
    assert (dry.code, {one["line"] for one in dry.json["faults"]}) == (1, set(file.faults))
    blocks = story.call("eth_blockNumber")
    done = story("admin", *words)
    assert (done.code, done.json["published"], {one["line"] for one in done.json["faults"]}) == (1, 495, set(file.faults))
    assert int(story.call("eth_blockNumber"), 16) > int(blocks, 16)
    assert story("admin", "get", "void", "-o", "json").good().json == []
    blocks = story.call("eth_blockNumber")
    again = story("admin", *words)
    assert (again.code, again.json["published"], again.json["unchanged"], again.json["left_out"]) == (1, 0, 495, 5)
    assert story.call("eth_blockNumber") == blocks
    story.read_only("reader")
    assert len(story("reader", "get", "table", "-o", "json").good().json) == len(story("admin", "get", "table", "-o", "json").good().json)


def test_a_bulk_that_is_refused_in_part_says_what_and_the_rest_stands(story: DirectStory) -> None:
    wanted = [json.loads(one) for one in (cluster(1), operator(1), operator(2), line("site", name="Oslo"))]
    path = story.folder / "policies.json"
    path.write_text(json.dumps(wanted))
    done = story("admin", "publish", "policy", str(path), "-o", "json")
    assert (done.code, [one["result"] for one in done.json]) == (5, ["published", "published", "refused", "published"])
    assert done.json[2]["error"]["code"] == "conflict"
    assert story("admin", "get", "void", "-o", "json").good().json == []


def test_what_another_author_outran_is_void_and_an_error_of_the_one_who_was_late(story: DirectStory) -> None:
    story.publish("admin", "Oslo").good()
    (site,) = story("admin", "get", "site", "-o", "id").good().out.split()
    path = story.folder / "late.json"
    path.write_text(json.dumps({"site": {"id": site, "name": "Oslo", "country": "late"}}))
    version = story("admin", "history", site, "-o", "json").good().json[-1]["digest"]
    story("admin", "patch", "policy", site, '{"country": "se"}').good()
    late = story("admin", "publish", "policy", str(path), "--expect", version)
    assert (late.code, "version-mismatch" in late.err) == (5, True)
    assert story("admin", "get", "void", "-o", "json").good().json == []  # the copy knew: nobody paid
