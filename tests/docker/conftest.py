"""One daemon a test process; the image is built once a test run and handed to the others as an archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docker.bases import exclusively
from tests.docker.engine import running_engine
from tests.docker.images import IMAGE, build

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.docker.engine import Engine


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """A daemon that has the image."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if hasattr(request.config, "workerinput") else own
    archive = shared / "metaledger-image.tar"
    with running_engine() as engine:
        with exclusively(shared / "metaledger-image.lock"):
            if archive.exists():
                engine.docker("load", "--input", archive)
            else:
                build(engine)
                engine.docker("save", "--output", archive, IMAGE)
        yield engine
