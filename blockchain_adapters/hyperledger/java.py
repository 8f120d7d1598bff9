"""Where the parts of the bridge are on this machine: a Java, and the jar that the distribution `metaledger-fabric` brings."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from ledger.core.errors import MissingExtraError

JAR: Final = "fabric-bridge.jar"
DISTRIBUTION: Final = "metaledger_fabric"
OLDEST: Final = 17


class MissingJavaError(MissingExtraError):
    """There is no Java to run the bridge with."""

    code = "missing-java"
    advice = f"Install a Java runtime, version {OLDEST} or later (Debian: openjdk-{OLDEST}-jre-headless), or name one in JAVA_HOME."


def find_java(home: str | None) -> Path:
    """Return the `java` command below `home`, or the first on the PATH without one. MissingJavaError when it is not there."""
    if home:
        found = Path(home) / "bin" / "java"
        if not found.is_file():
            raise MissingJavaError(f"JAVA_HOME is {home}, and there is no bin/java in it")
        return found
    named = shutil.which("java")
    if named is None:
        raise MissingJavaError("Hyperledger Fabric's client needs Java, and there is no command java on the PATH")
    return Path(named)


def find_jar() -> Path:
    """Return the bridge's jar. MissingExtraError when its distribution is not installed."""
    try:
        with as_file(files(DISTRIBUTION) / JAR) as found:
            if found.is_file():
                return found
    except ModuleNotFoundError:
        pass
    raise MissingExtraError(
        "the bridge to Hyperledger Fabric is not installed",
        advice='Install it: pip install "metaledger[hyperledger]". In a checkout: make fabric-bridge.',
    )


__all__ = ["JAR", "MissingJavaError", "find_jar", "find_java"]
