"""Fixtures shared by all tests; images are generated, nobody's."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from batch.core.records import ImageLocation
from batch.demo.archive import write_archive
from tests.support.archives import REPOSITORY, locate

settings.register_profile("untimed", deadline=None)  # machines are noisy; no test is about time
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def generated_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demonstration's archive, written once; read only."""
    root = tmp_path_factory.mktemp("generated") / "archive"
    write_archive(root, seed=0)
    return root


@pytest.fixture
def locations(generated_archive: Path) -> list[ImageLocation]:
    return [
        locate(generated_archive, path)
        for path in sorted(generated_archive.rglob("*"))
        if path.is_file()
    ]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real ISIC data; only where the environment names it."""
    folder = os.environ.get("MELANOMA_BATCH_DATA")
    if not folder:
        pytest.skip("MELANOMA_BATCH_DATA is not set: no real images here")
    return Path(folder)


@pytest.fixture(scope="session")
def bundled_artifact() -> Path:
    return REPOSITORY / "model_artifacts" / "isic9-plain"


@pytest.fixture
def artifact_copy(bundled_artifact: Path, tmp_path: Path) -> Path:
    """A copy of the bundled artifact that a test may break."""
    import shutil

    return Path(shutil.copytree(bundled_artifact, tmp_path / "artifact"))


@contextmanager
def machine_in(zone: str):
    """The machine's time zone for a while."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        yield
    finally:
        del os.environ["TZ"]
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()


@pytest.fixture
def berlin():
    """The machine's time zone, for this test."""
    with machine_in("Europe/Berlin"):
        yield
