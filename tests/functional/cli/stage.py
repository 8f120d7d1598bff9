"""Where commands are interrupted: what their cases share."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.command import Cli
from tests.support.live import configure

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.live import LiveNetwork


@dataclass(frozen=True)
class Stage:
    """Where the commands play: a folder for this one, an embedded home in it, and a served network with a member who is behind."""

    folder: Path
    embedded: Cli
    network: LiveNetwork
    behind: Path

    @property
    def admin(self) -> Cli:
        return Cli(self.network.home)

    def member(self, **settings: object) -> Cli:
        """Return the commands of a copy of the member's home."""
        home = self.folder / "member"
        shutil.copytree(self.behind, home)
        configure(home, **settings)
        return Cli(home)

    def file(self, name: str, content: object) -> str:
        path = self.folder / name
        path.write_text(json.dumps(content))
        return str(path)

    def unique(self, name: str) -> str:
        """Return a name that no other command of the shared network takes."""
        return f"{name}-{os.getpid()}-{time.monotonic_ns()}"
