"""Base images made on this machine from Debian packages, without a registry: one to build in, one to run on.

Root on Debian or Ubuntu, with mmdebstrap. The one to run on is what people call distroless: Python, the C library, certificates
and their copyright files; no shell, no package manager, no tool. Both are kept as archives outside the tree, named after this
recipe, so that they are made once; remove the directory to get newer packages.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SUITE = "bookworm"
PYTHON = "3.11"
BUILDER = f"metaledger-builder:{PYTHON}"
RUNTIME = f"metaledger-python:{PYTHON}"
IMPORT_OPTIONS = ("--change=ENV PATH=/usr/local/bin:/usr/bin:/bin", "--change=ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt")

ARCHIVE = "http://deb.debian.org/debian"
SECURITY = "http://deb.debian.org/debian-security"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")  # this machine's, so that a build trusts what the machine trusts
BUILDER_PACKAGES = ("python3-pip", "binutils", "ca-certificates")
RUNTIME_PACKAGES = (f"python{PYTHON}-minimal", f"libpython{PYTHON}-stdlib", "ca-certificates", "base-files", "netbase", "libc-bin")
WITHOUT_DOCS = (
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/info/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
)
# What the interpreter, its modules and the wheels load: the C library, TLS, compression, parsers.
LIBRARIES = re.compile(
    r"(ld-linux-[a-z0-9_-]+|lib(c|m|dl|rt|pthread|util|resolv|nss_files|nss_dns|gcc_s|ssl|crypto|z|bz2|lzma|expat|ffi|uuid))\.so"
)
MODULES_LEFT_OUT = re.compile(r"_(crypt|ctypes_test|curses|dbm|sqlite3|test|xxtest)|nis\.|readline\.|ossaudiodev\.|xxlimited")
PACKAGES_LEFT_OUT = (
    "pydoc_data",
    "lib2to3",
    "ensurepip",
    "idlelib",
    "turtledemo",
    "test",
    "tkinter",
    "turtle.py",
    "sqlite3",
    "curses",
    "dbm",
)
LEFT_OUT = (
    "usr/share/perl5",
    "usr/share/debconf",
    "usr/share/bug",
    "usr/share/lintian",
    "usr/share/dpkg",
    "usr/share/polkit-1",
    "usr/share/pixmaps",
    "usr/share/bash-completion",
    "usr/share/binfmts",
    "usr/share/menu",
    "usr/share/applications",
    "usr/share/ca-certificates",
    "usr/lib/dpkg",
    "usr/lib/locale",
    "var/cache",
    "var/lib/apt",
    "var/lib/dpkg",
    "sbin",
    "usr/sbin",
)
ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"
    "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
    "etc/group": "root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


class BaseError(Exception):
    """A base image cannot be made here; the text says why."""


def cache_directory() -> Path:
    """Return where base images are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "metaledger" / "images"


@contextmanager
def exclusively(lock: Path) -> Iterator[None]:
    """Let one process at a time do something."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def base_archives() -> dict[str, Path]:
    """Return the archives to import, by image name; those that are not there yet are made. Raises BaseError."""
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    place = cache_directory()
    archives = {BUILDER: place / f"builder-{recipe}.tar", RUNTIME: place / f"runtime-{recipe}.tar"}
    with exclusively(place / "lock"):
        for archive, make in ((archives[BUILDER], make_builder), (archives[RUNTIME], make_runtime)):
            if not archive.exists():
                with tempfile.TemporaryDirectory(dir=place) as scratch:
                    make(Path(scratch) / "root", Path(scratch) / archive.name)
                    (Path(scratch) / archive.name).rename(archive)
    return archives


def make_builder(_root: Path, archive: Path) -> None:
    """Make an image with pip, strip and a shell."""
    trust = f"--customize-hook=upload {CERTIFICATES} {CERTIFICATES}"
    _bootstrap("apt", BUILDER_PACKAGES, archive, "--format=tar", trust)


def make_runtime(root: Path, archive: Path) -> None:
    """Make an image with Python and nothing to run but Python; its library is compiled, without source."""
    _bootstrap("extract", RUNTIME_PACKAGES, root, "--format=directory")
    library = root / "usr" / "lib" / f"python{PYTHON}"
    _remove(library / name for name in PACKAGES_LEFT_OUT)
    _remove(root / name for name in LEFT_OUT)
    _remove(file for file in (library / "lib-dynload").iterdir() if MODULES_LEFT_OUT.match(file.name))
    _compile(root, library)
    (root / "usr" / "bin" / "python3").symlink_to(f"python{PYTHON}")
    kept = {"python3", f"python{PYTHON}"}
    _remove(file for place in ("bin", "usr/bin") for file in (root / place).iterdir() if file.name not in kept)
    _remove(file for place in _library_places(root) for file in place.iterdir() if not LIBRARIES.match(file.name))
    for name, text in ACCOUNTS.items():
        (root / name).write_text(text)
    _lay_out(root)
    _call("tar", "--numeric-owner", "--sort=name", "-C", root, "-cf", archive, ".")


def _bootstrap(variant: str, packages: Sequence[str], target: Path, *options: str) -> None:
    include = f"--include={','.join(packages)}"
    sources = [f"deb {uri} {suite} main" for uri, suite in _archives()]
    _call("mmdebstrap", "--quiet", "--mode=root", f"--variant={variant}", include, *WITHOUT_DOCS, *options, SUITE, target, *sources)


def _archives() -> list[tuple[str, str]]:
    """Return addresses and suites to install from: this machine's mirror of Debian, if it has one."""
    texts = [path.read_text() for pattern in ("sources.list", "sources.list.d/*") for path in sorted(Path("/etc/apt").glob(pattern))]
    found = re.findall(r"^(?:URIs:|deb(?:\s+\[[^\]]*\])?)\s+(\S+/debian(?:-security)?)/?(?=\s)", "\n".join(texts), re.MULTILINE)
    main = next((uri for uri in found if uri.endswith("/debian")), ARCHIVE)
    security = next((uri for uri in found if uri.endswith("/debian-security")), SECURITY)
    return [(main, SUITE), (security, f"{SUITE}-security")]


def _compile(root: Path, library: Path) -> None:
    """Put compiled modules in the place of the source; the interpreter of the image does it, so that the two agree."""
    inside = f"/{library.relative_to(root)}"
    command = (f"/usr/bin/python{PYTHON}", "-m", "compileall", "-q", "-b", "--invalidation-mode", "unchecked-hash", inside)
    _call("chroot", root, *command)
    _remove([*library.rglob("*.py"), *library.rglob("__pycache__")])


def _library_places(root: Path) -> list[Path]:
    """Return the directories of shared libraries; the loader's own is left alone, it is a link into one of them."""
    return [place for pattern in ("lib/*-linux-*", "usr/lib/*-linux-*") for place in sorted(root.glob(pattern))]


def _lay_out(root: Path) -> None:
    """Give the image its certificates, a home for the account it runs as, and a /tmp for everyone."""
    certificates = root / CERTIFICATES.relative_to("/")
    certificates.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(CERTIFICATES, certificates)
    home = root / "home" / "nonroot"
    home.mkdir(mode=0o700)
    os.chown(home, 65532, 65532)
    (root / "tmp").chmod(0o1777)


def _remove(paths: Iterable[Path]) -> None:
    for path in list(paths):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _call(*command: str | Path) -> None:
    """Run a command behind everything else on this machine. Raises BaseError with what it said."""
    words = ["nice", "-n", "10", *map(str, command)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"})
    if done.returncode != 0:
        raise BaseError(f"{command[0]} failed ({done.returncode}): {done.stderr.strip()[-2000:]}")
