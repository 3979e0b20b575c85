"""Small files that ask for a machine end with their reason, within memory and time."""

from __future__ import annotations

import pytest

from batch.core.errors import FailureReason
from tests.tools.bombs import BOMBS, Bomb, Measured, measure_all, violations


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> dict[str, Measured]:
    return {found.name: found for found in measure_all(tmp_path_factory.mktemp("bombs"))}


@pytest.mark.parametrize("bomb", BOMBS, ids=[bomb.name for bomb in BOMBS])
def test_a_bomb_ends_as_expected_within_its_memory(measured, bomb):
    assert not violations(bomb, measured[bomb.name])


def test_a_bomb_is_small(measured):
    assert max(found.size for found in measured.values()) < 2_000_000


@pytest.mark.parametrize(
    ("reason", "peak_mb", "count"),
    [
        ("too_many_pixels", 700, 0),
        ("too_many_pixels", 700.1, 1),
        ("scored", 700, 1),
        ("scored", 701, 2),
    ],
)
def test_a_violation_is_noticed(reason, peak_mb, count):
    bomb = Bomb("a.png", bytes, FailureReason.TOO_MANY_PIXELS.value, allowed_mb=700)
    assert len(violations(bomb, Measured("a.png", 1, reason, peak_mb, 0.1))) == count
