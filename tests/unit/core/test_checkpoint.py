"""The three lines of a checkpoint."""

from __future__ import annotations

import pytest

from ledger.core.checkpoint import Checkpoint, parse_checkpoint
from ledger.core.errors import FormatError
from ledger.core.merkle import EMPTY_ROOT, MAX_SIZE

# The example of https://c2sp.org/tlog-checkpoint
SPEC = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
ROOT = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


def test_example_of_the_specification_is_read_and_written() -> None:
    checkpoint = parse_checkpoint(SPEC)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert checkpoint.root.hex().startswith("0ac5186a")
    assert checkpoint.text == SPEC


def test_empty_tree_is_written_with_size_zero() -> None:
    assert Checkpoint("a b", 0, EMPTY_ROOT).text == f"a b\n0\n{ROOT}\n"
    assert parse_checkpoint(f"a b\n0\n{ROOT}\n") == Checkpoint("a b", 0, EMPTY_ROOT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n\n",
        SPEC + "extension\n",
        SPEC + "\n",
        SPEC.removesuffix("\n"),
        SPEC.replace("20852163", "020852163"),
        SPEC.replace("20852163", "-1"),
        SPEC.replace("20852163", ""),
        SPEC.replace("20852163", "9223372036854775808"),
        SPEC.replace("20852163", "\u0661"),
        SPEC.replace("=", ""),
        SPEC.replace("2I=", "2J="),
        f"\n1\n{ROOT}\n",
        "o\n1\n\n",
        "o\n1\nAAAA\n",
        f"o\x01\n1\n{ROOT}\n",
        f"o\r\n1\n{ROOT}\n",
        "o" * 256 + f"\n1\n{ROOT}\n",
    ],
)
def test_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [("", 1, EMPTY_ROOT), ("a\nb", 1, EMPTY_ROOT), ("a", -1, EMPTY_ROOT), ("a", MAX_SIZE + 1, EMPTY_ROOT), ("a", 1, b"")],
)
def test_checkpoint_that_cannot_be_written_is_not_made(origin: str, size: int, root: bytes) -> None:
    with pytest.raises(FormatError):
        Checkpoint(origin, size, root)
