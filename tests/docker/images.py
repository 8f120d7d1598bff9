"""`make images`, `make image-sizes`: build the images on bases made here, say what they weigh, keep them as archives.

The archives, `dist/metaledger-VERSION-image.tar` and the one with the Ethereum extra, are for `docker load`. Nothing is put into a daemon
that runs here already.
"""

from __future__ import annotations

import subprocess
import sys
import time
import tomllib
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from tests.docker.bases import BUILDER, IMPORT_OPTIONS, RUNTIME, BaseError, base_archives
from tests.docker.engine import EngineError, missing, running_engine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.docker.engine import Engine

ROOT = Path(__file__).resolve().parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
IMAGE = f"metaledger:{VERSION}"
ETHEREUM = f"{IMAGE}-ethereum"
LARGEST = {IMAGE: 65_000_000, ETHEREUM: 96_000_000}  # bytes, unpacked, on the base made here
CHUNK = 1 << 20


def build(engine: Engine, image: str = IMAGE) -> None:
    """Make the bases known to the daemon and build one of the images. Raises BaseError, EngineError."""
    for name, archive in base_archives().items():
        engine.docker("import", *IMPORT_OPTIONS, archive, name)
    arguments = {"BUILD_BASE": BUILDER, "RUN_BASE": RUNTIME, "EXTRAS": "ethereum" if image == ETHEREUM else "core"}
    given = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    engine.docker("build", "--quiet", "--network", "host", *given, "--file", ROOT / "docker" / "Dockerfile", "--tag", image, ROOT)


def weight(engine: Engine, image: str) -> int:
    """Return how many bytes an image has, unpacked."""
    return int(engine.docker("image", "inspect", "--format", "{{.Size}}", image))


def packed_weight(archive: Path) -> int:
    """Return how many bytes an archive has when it is compressed as a registry would."""
    packer, size = zlib.compressobj(6), 0
    with archive.open("rb") as file:
        while chunk := file.read(CHUNK):
            size += len(packer.compress(chunk))
    return size + len(packer.flush())


def table(engine: Engine, image: str, archive: Path) -> str:
    """Return what an image weighs, as lines of text."""
    base, whole = weight(engine, RUNTIME), weight(engine, image)
    rows = (
        (f"base ({RUNTIME})", base),
        ("libraries and metaledger", whole - base),
        (f"image ({image}), at most {LARGEST[image] / 1e6:.0f} MB", whole),
        ("image, compressed", packed_weight(archive)),
    )
    return "\n".join(f"{name:<52}{size / 1e6:>8.1f} MB" for name, size in rows)


def _made(engine: Engine, image: str, *, keep: bool) -> int:
    """Build one image, say what it weighs, and keep its archive if asked to; 1 when it is too large."""
    started = time.monotonic()
    build(engine, image)
    archive = engine.place / "image.tar"
    engine.docker("save", "--output", archive, image)
    sys.stdout.write(f"{table(engine, image, archive)}\nbuilt in {time.monotonic() - started:.0f} s\n")
    if keep:
        kept = ROOT / "dist" / f"{image.replace(':', '-')}-image.tar"
        kept.parent.mkdir(exist_ok=True)
        subprocess.run(["cp", "--", archive, kept], check=True)
        sys.stdout.write(f"docker load --input {kept.relative_to(ROOT)}\n")
    return int(weight(engine, image) > LARGEST[image])


def main(words: Sequence[str]) -> int:
    """Build each image, print what it weighs and, unless `--sizes` is all that was asked for, keep it; 1 when one is too large."""
    reason = missing()
    if reason is not None:
        sys.stderr.write(f"no image can be built here: {reason}\n")
        return 1
    try:
        with running_engine() as engine:
            return max(_made(engine, image, keep="--sizes" not in words) for image in LARGEST)
    except (BaseError, EngineError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
