"""The archive's own nights tighten the least sharpness and never loosen it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.core.rules import QualityBounds
from batch.review.monitoring.flag_counts import SHARPNESS_EDGES, FlagCounts, GroupCounts
from batch.review.monitoring.history import night_record
from batch.review.monitoring.own_bounds import (
    ENOUGH_IMAGES,
    MOST_TIGHTER,
    OwnBounds,
    bounds_from_json,
    own_bounds,
    safe_quantile,
    tightened,
)

REFERENCE = QualityBounds()
FLOOR = REFERENCE.sharpness


def sharp(values: np.ndarray | list[float]) -> GroupCounts:
    """Pictures with these sharpnesses."""
    at = np.clip(np.searchsorted(SHARPNESS_EDGES, values, side="right") - 1, 0, None)
    bins, counts = np.unique(at, return_counts=True)
    return GroupCounts(len(values), {}, dict(zip(bins.tolist(), counts.tolist(), strict=True)))


def normal(centre: float, images: int, seed: int = 0) -> GroupCounts:
    return sharp(np.random.default_rng(seed).normal(centre, 0.6, images))


def night(number: int, devices: dict[str, GroupCounts], bounds: OwnBounds | None):
    run = {"run_id": f"n{number}", "started_at": f"2026-01-01T00:00:{number % 60:02}+00:00"}
    return replace(night_record(run), flags=FlagCounts(devices), bounds=bounds)


def test_without_nights_the_reference_holds():
    found = own_bounds(REFERENCE, [])
    assert found.rules == REFERENCE and found.images == 0


@pytest.mark.parametrize(("images", "has_own"), [(ENOUGH_IMAGES - 1, False), (ENOUGH_IMAGES, True)])
def test_enough_pictures_give_a_bound_of_their_own(images, has_own):
    found = tightened(REFERENCE, FlagCounts({"A": normal(1.2, images)}), None)
    assert ("A" in found.devices) == has_own == (found.sharpness > FLOOR)
    assert found.rules.of_device("A").sharpness == found.of_device("A")
    assert found.rules.of_device("unknown").sharpness == found.sharpness


def test_the_quantile_is_as_low_as_chance_could_put_it():
    group = sharp(np.repeat(np.arange(0, 5, 0.05) + 0.01, 100))  # 10,000: 100 in each bin
    assert safe_quantile(group) == 0.0  # rank 80 of 10,000
    assert safe_quantile(sharp([0.01] * 50 + [1.01] * 9950)) == 1.0
    assert safe_quantile(sharp([0.01] * 999)) is None


def test_who_has_no_own_bound_has_the_archives():
    devices = {"A": normal(1.2, 2000), "B": normal(1.2, 10), "jpeg file": normal(1, 5000)}
    counts = FlagCounts(devices)
    found = tightened(REFERENCE, counts, None)
    assert set(found.devices) == {"A"}
    assert found.of_device("B") == found.of_device("jpeg file") == found.sharpness


def test_a_very_sharp_archive_does_not_condemn_the_next_camera():
    found = tightened(REFERENCE, FlagCounts({"A": normal(6, 5000)}), None)
    assert found.sharpness == found.devices["A"] == FLOOR + MOST_TIGHTER


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 3000)), min_size=1, max_size=8),
    st.integers(0, 3),
)
def test_own_nights_only_tighten(nights, seed):
    held = None
    for number, (centre, images) in enumerate(nights):
        counts = FlagCounts({"A": normal(centre, images, seed + number)})
        found = tightened(REFERENCE, counts, held)
        for device in ("A", "another"):
            before = FLOOR if held is None else held.of_device(device)
            if held is None or device in held.devices or device not in found.devices:
                assert found.of_device(device) >= before
            assert FLOOR <= found.of_device(device) <= FLOOR + MOST_TIGHTER
        held = found


@settings(max_examples=15)
@given(st.floats(0.4, 1.5), st.integers(40, 300), st.integers(60, 200), st.integers(0, 99))
def test_a_camera_that_fails_slowly_does_not_become_normal(start, nights, images, seed):
    """Its sharpness falls by 3 over so many nights, each compared with its own last 30."""
    earlier, flagged = [], 0.0
    for number in range(nights + 30):
        centre = start - 3 * max(0, number - 30) / nights
        bounds = own_bounds(REFERENCE, earlier[:30])
        values = np.random.default_rng(seed + number).normal(centre, 0.4, images)
        flagged = float(np.mean(values < bounds.of_device("A")))
        if number < 30:
            assert flagged <= 0.12  # a sound camera: about one in a hundred
        earlier.insert(0, night(number, {"A": sharp(values)}, bounds))
    assert flagged > 0.8
    best = max(n.bounds.of_device("A") for n in earlier)
    assert own_bounds(REFERENCE, earlier[:30]).of_device("A") == best


def test_run_json_keeps_what_held_and_damage_counts_as_none():
    found = tightened(REFERENCE, FlagCounts({"A": normal(1.2, 2000)}), None)
    content = json.loads(json.dumps(found.to_json()))
    assert bounds_from_json(content) == found
    for damaged in (None, {}, content | {"sharpness": "x"}, content | {"sharpness": float("nan")},
                    content | {"sharpness_of_devices": 3}):  # fmt: skip
        assert bounds_from_json(damaged) is None
