"""An archive, written once, and a night over it that each test may change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.export.nights import publish, write_archive


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only."""
    return write_archive(tmp_path_factory.mktemp("export") / "archive")


@pytest.fixture(scope="session")
def _published(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    reports = tmp_path_factory.mktemp("published") / "reports"
    publish(reports, archive)
    return reports


@pytest.fixture
def reports(_published: Path, tmp_path: Path) -> Path:
    """A copy of reports with one night."""
    return Path(shutil.copytree(_published, tmp_path / "reports", symlinks=True))
