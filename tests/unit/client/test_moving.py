"""Which `master` policies count, and what the file of a move may say."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from ledger.client.moving import Moved, Moving, Named, named_places, read_moved
from ledger.client.place import Place
from ledger.core.errors import CorruptError
from ledger.home.clock import SystemClock
from ledger.home.home import Home
from ledger.home.settings import Settings
from ledger.home.url import parse_ledger_url
from tests.support.fold_story import Story, key

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.core.canonical import JSON, JSONObject

EVERY: list[JSON] = ["put", "patch", "drop"]
OLD, NEW = "https://old.example:8443", "https://new.example:8443"


def allowing(name: str, kinds: list[JSON], scope: JSONObject) -> JSONObject:
    return {"name": name, "allow": [{"ops": EVERY, "kinds": kinds, "scope": scope}], "grant": []}


@pytest.fixture
def story() -> Story:
    """A network with four members: of all rights, of rights on its own policies, on those of one site, and on one kind."""
    story = Story("who speaks for the master")
    admins: list[JSON] = [{"name": "admin", "key": key("root").public.text}]
    root: JSONObject = {
        "name": "small", "origin": "ledger.internal/small/0", "version": 1, "fold": 1, "order": {"type": "log"}, "admins": admins,
        "threshold": 1, "authority_threshold": 1, "log_keys": [], "clock_keys": [], "mark_keys": [], "witnesses": [], "quorum": 0,
        "fresh_for": 300, "stale_after": 0, "state_every": 65536, "expires": None,
    }  # fmt: skip
    story.ok("root", "put", "root/root", root)
    story.state.network = story.state.network or story.state.record("root").digest  # type: ignore[union-attr]  # it was accepted
    rights: dict[str, JSONObject] = {
        "all": allowing("all", ["*"], {}),
        "own": allowing("own", ["*"], {"own": True}),
        "oslo": allowing("oslo", ["*"], {"attr": {"site": ["oslo"]}}),
        "things": allowing("things", ["thing"], {}),
    }
    for name, body in rights.items():
        story.ok(name, "put", f"permissions/p-{name}", body)
        member: JSONObject = {"name": name, "type": "user", "key": key(name).public.text, "permissions": [f"p-{name}"]}
        story.ok(name, "put", f"member/m-{name}", member, "root", name)
    return story


def urls(story: Story) -> list[str]:
    return [named.url for named in named_places(story.state)]


def test_root_and_who_may_write_any_master_policy_say_where_the_master_is(story: Story) -> None:
    story.ok("by root", "put", "master/a", {"url": OLD})
    story.ok("by an admin", "put", "master/b", {"url": NEW + "/"}, "all")
    assert urls(story) == [NEW, OLD]
    story.ok("the newest version counts", "patch", "master/a", {"url": "https://newer.example"}, "all")
    assert urls(story) == ["https://newer.example", NEW]
    story.ok("dropped", "drop", "master/a", None, "all")
    assert urls(story) == [NEW]


def test_other_members_do_not(story: Story) -> None:
    story.ok("its own", "put", "master/mine", {"url": NEW}, "own")
    assert urls(story) == []
    story.ok("of its site", "put", "master/oslo", {"url": NEW, "site": "oslo"}, "oslo")
    assert urls(story) == []
    story.no("another kind", "put", "master/x", {"url": OLD}, "things")
    story.ok("root wrote it, its owner did not become another", "put", "master/mine", {"url": OLD})
    assert urls(story) == [OLD]
    story.ok("taken back by the one who may", "put", "master/mine", {"url": "https://trap.example"}, "own")
    assert urls(story) == []


def test_one_who_lost_its_rights_or_left_speaks_no_more(story: Story) -> None:
    story.ok("by an admin", "put", "master/a", {"url": NEW}, "all")
    story.ok("less", "put", "permissions/p-all", allowing("all", ["thing"], {}))
    assert urls(story) == []
    story.ok("again", "put", "permissions/p-all", allowing("all", ["*"], {}))
    assert urls(story) == [NEW]
    story.ok("gone", "drop", "member/m-all", None)
    assert urls(story) == []


@pytest.mark.parametrize("url", [None, 1, ["https://a"], {"url": NEW}])
def test_what_is_no_text_is_no_place(story: Story, url: JSON) -> None:
    story.ok("a policy of AnyLog has none", "put", "master/a", {"ip": "10.0.0.1", "port": 32048, "url": url})
    story.ok("none at all", "put", "master/b", {"ip": "10.0.0.1", "port": 32048})
    assert urls(story) == []


def test_only_who_is_sent_to_a_former_place_is_led_on(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert read_moved(home, OLD) is None
    home.moved_file.write_text(json.dumps({"former": [OLD], "url": NEW, "policy": "p", "index": 3, "time": 4}))
    assert read_moved(home, OLD) == read_moved(home, NEW) == Moved((OLD,), NEW, "p", 3, 4)
    assert read_moved(home, "https://set-by-hand.example") is None
    assert read_moved(home, None) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "[" * 9000, '{"url": 1}', '{"former": [], "url": "u", "policy": "p", "index": "3", "time": 4}']
)
def test_a_file_of_another_form_is_named(tmp_path: Path, text: str) -> None:
    Home(tmp_path).moved_file.write_text(text)
    with pytest.raises(CorruptError, match=r"moved\.json"):
        read_moved(Home(tmp_path), OLD)


class Seeking(Moving):
    """One whose replica names a place, where the master of this log is."""

    looked = 0

    async def _named(self) -> Named:
        await asyncio.sleep(0)
        return Named("p", 3, NEW)

    async def _problem(self, url: str) -> str | None:
        self.looked += 1
        await asyncio.sleep(0.01)
        return None


async def test_a_move_that_two_parts_of_a_home_find_at_once_is_told_once(tmp_path: Path) -> None:
    place = Place(Home(tmp_path), Settings(ledger=OLD), parse_ledger_url(OLD), SystemClock())
    told: list[Moved] = []
    seeking = Seeking(place, told.append)
    assert list(await asyncio.gather(seeking.find(OLD), seeking.find(OLD), seeking.find(NEW))) == [NEW, NEW, None]
    assert (seeking.looked, [one.url for one in told]) == (1, [NEW])
