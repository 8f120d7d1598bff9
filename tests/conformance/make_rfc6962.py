"""Write vectors/rfc6962/: RFC 6962 section 2.1 by its own recursive definitions, with nothing of ours.

Usage: make_rfc6962.py DIRECTORY. The roots of the eight reference leaves are those that Certificate Transparency
implementations publish; the script fails when it does not reproduce them.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

REFERENCE_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
REFERENCE_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
SIZES = [*range(1, 9), 11, 16, 33]
Row = tuple[object, ...]


def split(n: int) -> int:
    """Return the largest power of two below n."""
    return 1 << (n - 1).bit_length() - 1


def mth(d: list[bytes]) -> bytes:
    if len(d) < 2:
        return sha256(b"\x00" + d[0] if d else b"").digest()
    k = split(len(d))
    return sha256(b"\x01" + mth(d[:k]) + mth(d[k:])).digest()


def path(m: int, d: list[bytes]) -> list[bytes]:
    if len(d) == 1:
        return []
    k = split(len(d))
    return [*path(m, d[:k]), mth(d[k:])] if m < k else [*path(m - k, d[k:]), mth(d[:k])]


def subproof(m: int, d: list[bytes], whole: bool) -> list[bytes]:
    if m == len(d):
        return [] if whole else [mth(d)]
    k = split(len(d))
    return [*subproof(m, d[:k], whole), mth(d[k:])] if m <= k else [*subproof(m - k, d[k:], False), mth(d[:k])]


def flip(digest: bytes) -> bytes:
    return bytes((digest[0] ^ 1,)) + digest[1:]


def spoiled(proof: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """Yield a name and a proof that is wrong, for each way of spoiling one."""
    yield "longer", [*proof, bytes(32)]
    yield "longer at the front", [bytes(32), *proof]
    if proof:
        yield "shorter", proof[:-1]
        yield "without the first", proof[1:]
        yield "short hash", [*proof[:-1], proof[-1][:-1]]
        yield "long hash", [*proof[:-1], proof[-1] + b"\x00"]
        for at in range(len(proof)):
            yield f"bit in hash {at}", [*proof[:at], flip(proof[at]), *proof[at + 1 :]]
    if len(proof) > 1:
        yield "reversed", proof[::-1]


def inclusion(d: list[bytes]) -> Iterator[Row]:
    for n in SIZES:
        for m in range(n):
            root, proof, leaf = mth(d[:n]), path(m, d[:n]), mth(d[m : m + 1])
            yield "good", m, n, leaf, proof, root, True
            if m in {0, n // 2, n - 1}:
                for name, bad in spoiled(proof):
                    yield name, m, n, leaf, bad, root, False
                yield "other root", m, n, leaf, proof, flip(root), False
                yield "other leaf", m, n, flip(leaf), proof, root, False
                yield "index at the size", n, n, leaf, proof, root, False
                yield "index before the first", -1, n, leaf, proof, root, False
    yield "empty tree", 0, 0, mth(d[:1]), [], mth([]), False


def consistency(d: list[bytes]) -> Iterator[Row]:
    for n in SIZES:
        for m in range(1, n + 1):
            old, new, proof = mth(d[:m]), mth(d[:n]), subproof(m, d[:n], True)
            yield "good", m, n, old, new, proof, True
            if m in {1, n // 2, n - 1, n} - {0}:
                for name, bad in spoiled(proof):
                    yield name, m, n, old, new, bad, False
                yield "other old root", m, n, flip(old), new, proof, False
                yield "other new root", m, n, old, flip(new), proof, False
                yield "sizes swapped", n + 1, m, new, old, proof, False
    yield "from an empty tree", 0, 1, mth([]), mth(d[:1]), [], False


def in_hex(value: object) -> object:
    if isinstance(value, list):
        return [one.hex() for one in value]
    return value.hex() if isinstance(value, bytes) else value


def main(directory: Path) -> None:
    reference = [bytes.fromhex(leaf) for leaf in REFERENCE_LEAVES]
    if [mth(reference[:n]).hex() for n in range(9)] != REFERENCE_ROOTS:
        sys.exit("the reference roots do not come out")
    d = reference + [b"leaf %d" % n for n in range(8, 33)]
    tables: dict[str, tuple[list[str], Iterable[Row]]] = {
        "roots": (["size", "root"], [(n, mth(d[:n])) for n in range(34)]),
        "inclusion": (["name", "index", "size", "leaf", "proof", "root", "good"], inclusion(d)),
        "consistency": (["name", "old", "new", "old_root", "new_root", "proof", "good"], consistency(d)),
    }
    for name, (columns, rows) in tables.items():
        lines = [json.dumps(dict(zip(columns, map(in_hex, row), strict=True))) for row in rows]
        (directory / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    (directory / "leaves.jsonl").write_text("".join(f'"{leaf.hex()}"\n' for leaf in d))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
