"""A night in counts: nothing is lost in adding, writing and reading them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.core.records import MAX_DEVICE_NAME, device_name
from batch.review.monitoring.figures import (
    DEVICE,
    MAX_DEVICES,
    OTHER_DEVICES,
    QUANTITIES,
    NightFigures,
    combine,
    figures_from_json,
    figures_of,
    histogram_of,
    quantities_of,
)

BY_NAME = {quantity.name: quantity for quantity in QUANTITIES}


def columns(count: int = 3, **changes: object) -> dict[str, np.ndarray]:
    """Predictions' columns; every image alike unless changed."""
    found = {
        "melanoma_score": 0.25, "rows": 1000, "columns": 1500, "mean_red": 200.0,
        "mean_green": 150.0, "mean_blue": 100.0, "file_format": "jpeg", "manufacturer": None,
        "manufacturer_model_name": None,
    } | changes  # fmt: skip
    return {
        name: value if isinstance(value, np.ndarray) else np.array([value] * count)
        for name, value in found.items()
    }


def test_the_quantities_of_one_image():
    found = {name: value[0] for name, value in quantities_of(columns(1)).items()}
    assert found == pytest.approx(
        {
            "melanoma_score": 0.25,
            "brightness": 0.299 * 200 + 0.587 * 150 + 0.114 * 100,
            "red_share": 200 / 450,
            "blue_share": 100 / 450,
            "megapixels": 1.5,
            "aspect_ratio": 1.5,
        }
    )


def test_a_black_image_has_no_colour_and_an_unknown_one_no_brightness():
    black = quantities_of(columns(1, mean_red=0.0, mean_green=0.0, mean_blue=0.0))
    assert black["brightness"] == [0] and np.isnan(black["red_share"]).all()
    unknown = figures_of(columns(2, mean_red=np.nan, mean_green=np.nan, mean_blue=np.nan))
    assert unknown.histograms["brightness"].images == 0
    assert unknown.histograms["brightness"].mean is None
    assert unknown.histograms["melanoma_score"].images == 2


@pytest.mark.parametrize("quantity", QUANTITIES, ids=lambda quantity: quantity.name)
def test_grids_begin_at_nothing_rise_and_hold_what_is_shown(quantity):
    assert quantity.edges[0] == 0 and (np.diff(quantity.edges) > 0).all()
    assert set(quantity.shown) <= set(quantity.edges) and quantity.shown[0] == 0
    assert len({f"{edge:g}" for edge in quantity.edges}) == len(quantity.edges)


@pytest.mark.parametrize(
    ("value", "edge"),
    [
        (0.0, 0),
        (0.000999, 0),
        (0.001, 0.001),
        (0.1, 0.1),
        (0.0999999, 0.07),
        (0.99, 0.99),
        (1, 0.99),
    ],
)
def test_a_bin_reaches_from_its_edge_to_below_the_next(value, edge):
    quantity = BY_NAME["melanoma_score"]
    found = histogram_of(np.array([float(value)]), quantity)
    assert found.counts[quantity.edges.index(edge)] == 1 == found.images


def test_usual_shapes_stand_inside_a_bin():
    edges = np.array(BY_NAME["aspect_ratio"].edges)
    for ratio in (2 / 3, 3 / 4, 1, 4 / 3, 3 / 2, 16 / 9):
        assert np.abs(edges - ratio).min() > 0.02


@given(st.lists(st.floats(-1e9, 1e9) | st.sampled_from([np.nan, np.inf, -np.inf]), max_size=50))
def test_every_finite_value_is_counted_once(found):
    for quantity in QUANTITIES:
        counted = histogram_of(np.array(found, float), quantity)
        assert counted.images == sum(np.isfinite(found))


def test_figures_of_parts_are_the_figures_of_the_whole():
    rng = np.random.default_rng(3)
    whole = columns(
        90,
        melanoma_score=rng.random(90),
        mean_red=rng.uniform(0, 255, 90),
        manufacturer=np.array(["A", "B", None] * 30, object),
    )
    parts = [
        figures_of({name: value[start : start + 30] for name, value in whole.items()})
        for start in (0, 30, 60)
    ]
    one, added = figures_of(whole), combine(parts)
    assert one.devices == added.devices == {"A": 30, "B": 30, "jpeg file": 30}
    for name, histogram in one.histograms.items():
        assert histogram.counts.tolist() == added.histograms[name].counts.tolist()
        assert histogram.total == pytest.approx(added.histograms[name].total)


def test_what_run_json_keeps_comes_back():
    figures = figures_of(columns(7, melanoma_score=np.linspace(0, 1, 7)))
    told = json.loads(json.dumps(figures.to_json()))
    back = figures_from_json(told)
    assert back.to_json() == figures.to_json()
    assert told["megapixels"] == {"mean": 1.5, "images_from": {"1.5": 7}}
    assert back.histograms["melanoma_score"].mean == pytest.approx(0.5)
    empty = figures_from_json(NightFigures().to_json())
    assert not empty.histograms and not empty.devices


def _with(told: dict, name: str, value: object) -> dict:
    return told | {name: value}


@pytest.mark.parametrize(
    "damaged",
    [
        None,
        [],
        "x",
        {},
        {"grid_version": 2},
        {"grid_version": 1},
        {"grid_version": 1, DEVICE: []},
        {"grid_version": 1, DEVICE: {"a": -1}},
        {"grid_version": 1, DEVICE: {"a": 1.5}},
        {"grid_version": 1, DEVICE: {"a": True}},
        {"grid_version": 1, DEVICE: {"a": 1 << 60}},
        {"grid_version": 1, DEVICE: {}, "brightness": 3},
        {"grid_version": 1, DEVICE: {}, "brightness": {"mean": 1}},
        {"grid_version": 1, DEVICE: {}, "brightness": {"mean": "x", "images_from": {}}},
        {"grid_version": 1, DEVICE: {}, "brightness": {"mean": float("nan"), "images_from": {}}},
        {"grid_version": 1, DEVICE: {}, "brightness": {"mean": 1, "images_from": {"7": 1}}},
        {"grid_version": 1, DEVICE: {}, "brightness": {"mean": 1, "images_from": {"10": None}}},
    ],
)
def test_damaged_figures_are_none(damaged):
    assert figures_from_json(damaged) is None


@pytest.mark.parametrize(
    ("manufacturer", "model", "file_format", "name"),
    [
        ("Maker", "Scope 2", "dicom", "Maker Scope 2"),
        (None, "Scope 2", "dicom", "Scope 2"),
        ("Maker", " ", "dicom", "Maker"),
        (None, None, "dicom", "DICOM without a device"),
        ("", None, "jpeg", "jpeg file"),
        ("a\x1b[31m\nb", None, "dicom", "a?[31m?b"),
        ("m" * 99, None, "dicom", "m" * MAX_DEVICE_NAME),
    ],
)
def test_devices_have_one_printable_name(manufacturer, model, file_format, name):
    assert device_name(manufacturer, model, file_format) == name


def test_rare_devices_are_added_up():
    figures = NightFigures({}, {f"d{number:03d}": 2 for number in range(100)} | {OTHER_DEVICES: 3})
    told = figures.to_json()[DEVICE]
    assert len(told) == MAX_DEVICES
    assert sum(told.values()) == 203
