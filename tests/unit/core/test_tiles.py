"""Tile paths, tile bytes, and the framing of entries."""

from __future__ import annotations

import pytest

from ledger.core.errors import FormatError, NotFoundError
from ledger.core.limits import LIMITS
from ledger.core.merkle import MAX_SIZE, Frontier, HashList, leaf_hashes, tree_root
from ledger.core.tiles import TilePath, entry_bundles, frame, parse_tile_path, tile_hashes, unframe

SIZE = 4 * 256 + 112
LEAVES = leaf_hashes([b"%d" % number for number in range(SIZE)])
TREE = HashList([one for _, one in Frontier().append_many(LEAVES)])
PATHS = {
    "tile/0/000": TilePath(0, 0),
    "tile/0/x001/x234/067": TilePath(0, 1_234_067),
    "tile/63/999.p/255": TilePath(63, 999, 255),
    "tile/1/x001/000.p/1": TilePath(1, 1_000, 1),
    "tile/entries/042": TilePath(None, 42),
    "tile/entries/x036/x028/x797/x018/x963/967.p/9": TilePath(None, MAX_SIZE >> 8, 9),
}


@pytest.mark.parametrize("text", PATHS)
def test_path_is_read_and_written(text: str) -> None:
    assert parse_tile_path(text) == PATHS[text]
    assert PATHS[text].text == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/0/000/",
        "tile//0/000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/100/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/001",
        "tile/0/x001",
        "tile/0/x001/x001",
        "tile/0/X001/001",
        "tile/0/../000",
        "tile/0/x001/../001",
        "tile/../0/000",
        "tile/0/%30%30%30",
        "tile/0/000\n",
        "tile/0/000\x00",
        "tile/0/000?x",
        "tile/0/\u0661\u0661\u0661",
        "tile/\u0661/000",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/257",
        "tile/0/000.p/1000",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000.p/1/1",
        "tile/entry/000",
        "tile/entries/000.p/0",
        "tile/entries/x036/x028/x797/x018/x963/968",
        "tile/0/" + "x001/" * 7 + "001",
        "tile/0/" + "x001/" * 100_000 + "001",
    ],
)
def test_text_that_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        parse_tile_path(text)


@pytest.mark.parametrize(("level", "index", "width"), [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 1 << 55, 1), (0, 0, 0), (0, 0, 257)])
def test_path_that_cannot_be_written_is_not_made(level: int, index: int, width: int) -> None:
    with pytest.raises(FormatError):
        TilePath(level, index, width)


def test_tiles_hold_the_hashes_of_their_level() -> None:
    assert tile_hashes(TREE, TilePath(0, 1), SIZE) == b"".join(LEAVES[256:512])
    assert tile_hashes(TREE, TilePath(0, 4, 112), SIZE) == b"".join(LEAVES[1024:])
    above = [tree_root(256, HashList([one for _, one in Frontier().append_many(LEAVES[at : at + 256])])) for at in range(0, 1024, 256)]
    assert tile_hashes(TREE, TilePath(1, 0, 4), SIZE) == b"".join(above)


@pytest.mark.parametrize(
    "text", ["tile/0/004", "tile/0/004.p/113", "tile/0/005.p/1", "tile/1/000.p/5", "tile/1/000", "tile/2/000.p/1", "tile/63/000.p/1"]
)
def test_tile_that_the_tree_has_not_is_not_found(text: str) -> None:
    with pytest.raises(NotFoundError, match=r"a tree of size 1136 has no tile/"):
        tile_hashes(TREE, parse_tile_path(text), SIZE)


def test_entry_bundle_has_no_hashes() -> None:
    with pytest.raises(FormatError, match="holds no hashes"):
        tile_hashes(TREE, TilePath(None, 0), SIZE)


def test_bundles_cover_a_range_as_wide_as_the_log_has_them() -> None:
    assert [path.text for path in entry_bundles(200, 520, 530)] == ["tile/entries/000", "tile/entries/001", "tile/entries/002.p/18"]
    assert [path.text for path in entry_bundles(256, 512, 512)] == ["tile/entries/001"]
    assert [path.text for path in entry_bundles(0, 9_999, 1)] == ["tile/entries/000.p/1"]
    assert list(entry_bundles(5, 5, 9)) == list(entry_bundles(9, 12, 9)) == []
    assert [(path.start, path.end) for path in entry_bundles(256, 300, 300)] == [(256, 300)]


def test_entries_are_framed_by_two_bytes_of_length() -> None:
    assert frame([b"", b"ab", b"x" * 258]) == b"\x00\x00\x00\x02ab\x01\x02" + b"x" * 258
    assert unframe(b"\x00\x00\x00\x02ab") == [b"", b"ab"]
    assert unframe(b"") == []


def test_entry_of_the_largest_size_is_framed_and_a_larger_one_is_not() -> None:
    assert unframe(frame([b"x" * LIMITS.entry])) == [b"x" * LIMITS.entry]
    with pytest.raises(FormatError, match="65535"):
        frame([b"x" * (LIMITS.entry + 1)])


@pytest.mark.parametrize("raw", [b"\x00", b"\x00\x01", b"\x00\x02a", b"\x00\x01ab", b"\x00\x00\x00", b"\xff\xffabc"])
def test_frame_that_is_cut_off_is_refused(raw: bytes) -> None:
    with pytest.raises(FormatError, match="cut off"):
        unframe(raw)


def test_more_entries_than_asked_for_are_refused() -> None:
    assert len(unframe(bytes(2 * 3), most=3)) == 3
    with pytest.raises(FormatError, match="more than 3"):
        unframe(bytes(2 * 4), most=3)
    with pytest.raises(FormatError, match="more than 1000"):
        unframe(bytes(2 * 1_001))
