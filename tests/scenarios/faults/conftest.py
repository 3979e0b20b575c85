"""Fixtures of the fault tests: one world for all, made once and copied to be broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scenarios.faults.nights import World, make_world
from tests.support import archives


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world after its first night; never written to."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def undisturbed(untouched: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The second night as it is when nothing happens."""
    world = untouched.copy(tmp_path_factory.mktemp("undisturbed"))
    assert world.score() == 0
    return world.latest


@pytest.fixture
def world(untouched: World, tmp_path: Path) -> World:
    """A world of one's own."""
    return untouched.copy(tmp_path)


@pytest.fixture
def open_to_all() -> Callable[..., None]:
    """Lets others enter and read: pytest's own folders are closed."""
    return archives.open_to_all
