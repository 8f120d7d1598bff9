"""`make images`, `make image-sizes`: build the image on bases made here, say what it weighs, keep it as an archive.

The archive, `dist/metaledger-VERSION-image.tar`, is for `docker load`. Nothing is put into a daemon that runs here already.
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
LARGEST = 65_000_000  # bytes, unpacked, on the base made here
CHUNK = 1 << 20


def build(engine: Engine) -> None:
    """Make the bases known to the daemon and build the image. Raises BaseError, EngineError."""
    for name, archive in base_archives().items():
        engine.docker("import", *IMPORT_OPTIONS, archive, name)
    bases = ("--build-arg", f"BUILD_BASE={BUILDER}", "--build-arg", f"RUN_BASE={RUNTIME}")
    engine.docker("build", "--quiet", "--network", "host", *bases, "--file", ROOT / "docker" / "Dockerfile", "--tag", IMAGE, ROOT)


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


def table(engine: Engine, archive: Path) -> str:
    """Return what the image weighs, as lines of text."""
    base, whole = weight(engine, RUNTIME), weight(engine, IMAGE)
    rows = (
        (f"base ({RUNTIME})", base),
        ("libraries and metaledger", whole - base),
        (f"image ({IMAGE}), at most {LARGEST / 1e6:.0f} MB", whole),
        ("image, compressed", packed_weight(archive)),
    )
    return "\n".join(f"{name:<44}{size / 1e6:>8.1f} MB" for name, size in rows)


def main(words: Sequence[str]) -> int:
    """Build, print the table and, unless `--sizes` is all that was asked for, keep the archive; 1 when the image is too large."""
    reason = missing()
    if reason is not None:
        sys.stderr.write(f"no image can be built here: {reason}\n")
        return 1
    try:
        with running_engine() as engine:
            started = time.monotonic()
            build(engine)
            archive = engine.place / "image.tar"
            engine.docker("save", "--output", archive, IMAGE)
            sys.stdout.write(f"{table(engine, archive)}\nbuilt in {time.monotonic() - started:.0f} s\n")
            if "--sizes" not in words:
                kept = ROOT / "dist" / f"metaledger-{VERSION}-image.tar"
                kept.parent.mkdir(exist_ok=True)
                subprocess.run(["cp", "--", archive, kept], check=True)
                sys.stdout.write(f"docker load --input {kept.relative_to(ROOT)}\n")
            return int(weight(engine, IMAGE) > LARGEST)
    except (BaseError, EngineError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
