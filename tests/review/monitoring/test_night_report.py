"""Three mornings: two alike, one with another camera; and what is said when little is known."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from batch.core.records import Canary
from batch.reports.run_record import record_of
from batch.review.monitoring.charts import checked_svg
from batch.review.monitoring.comparisons import LAST_NIGHTS, MODEL_REFERENCE
from batch.review.monitoring.drift import Level
from batch.review.monitoring.figures import NightFigures, figures_of
from batch.review.monitoring.history import night_record
from batch.review.monitoring.night_report import build_report, canary_of
from batch.review.monitoring.reference import (
    Reference,
    provenance_entry,
    reference_from_json,
    stored_reference,
)

CANARY = Canary(4, 3e-7, 1e-4)
NONE = stored_reference({}, "s")


def figures(seed: int, count: int = 200, **changes: object) -> NightFigures:
    """A night's images: drawn from one population unless changed."""
    rng = np.random.default_rng(seed)
    green = rng.normal(140, 12, count)
    found = {
        "melanoma_score": rng.beta(1, 4, count),
        "rows": np.full(count, 1000),
        "columns": np.full(count, 1500),
        "mean_red": green * 1.3,
        "mean_green": green,
        "mean_blue": green * 0.9,
        "file_format": np.array(["dicom"] * count, object),
        "manufacturer": np.array(["Maker A"] * count, object),
        "manufacturer_model_name": np.array([None] * count, object),
    }
    return figures_of(found | {name: np.asarray(value) for name, value in changes.items()})


def run(number: int, scored: int = 200, alerts: int = 40, failed: int = 2, **model: object) -> dict:
    """The parts of run.json that are told of."""
    return {
        "run_id": f"2026110{number}T020000Z-0000",
        "started_at": f"2026-11-0{number}T02:00:00+00:00",
        "seconds": {"plan": 0.5, "segments": 20.0},
        "images_per_second": 10.0,
        "equation": {"files_found": scored + failed, "unchanged": 0, "pending": 0},
        "frames": {"predictions": scored, "unscored": failed, "new_unscored": failed},
        "current": {"images": scored},
        "alerts": alerts,
        "alerts_by_operating_point": 0,
        "unscored_rate": 0.01,
        "unscored_by_reason": {"decode_failed": failed} if failed else {},
        "model": {
            "fingerprints": {"scoring": model.get("scoring", "s")},
            "operating_point": {"threshold": model.get("threshold", 0.4)},
        },
    }


def record(number: int, found: NightFigures | None, **changes: object):
    return replace(night_record(run(number, **changes)), figures=found)


def report(found, earlier, reference: Reference = NONE, number: int = 3, **changes: object):
    ledger = run(number, **changes)
    tonight = replace(night_record(ledger), figures=found)
    return build_report(ledger, tonight, earlier, reference, CANARY)


def drift_of(found, name: str, against: str = LAST_NIGHTS):
    (drift,) = [d for d in found.drift if (d.name, d.against) == (name, against)]
    return drift


EARLIER = [record(2, figures(2)), record(1, figures(1))]


def test_a_night_like_those_before_is_not_unusual():
    found = report(figures(3), EARLIER)
    assert not found.unusual
    assert {d.level for d in found.drift} == {Level.STABLE}
    assert {d.name for d in found.drift} == {
        "melanoma_score", "brightness", "red_share", "blue_share", "megapixels", "aspect_ratio",
        "device", "alerts", "without a score",
    }  # fmt: skip
    assert drift_of(found, "brightness").reference == 400
    assert found.sentences[0] == (
        "In what was compared, not unusual beside the last 2 nights; this says nothing about any "
        "lesion."
    )


ANOTHER_CAMERA = {
    "mean_red": np.full(200, 230.0),
    "manufacturer": np.array(["Maker B"] * 100 + ["Maker A"] * 100, object),
    "columns": np.full(200, 1000),
}


def test_another_camera_makes_the_night_unusual_and_names_what_changed():
    found = report(figures(3, **ANOTHER_CAMERA), EARLIER)
    assert found.unusual
    unusual = {d.name for d in found.drift if d.unusual}
    assert unusual == {"brightness", "red_share", "blue_share", "megapixels", "aspect_ratio",
                       "device"}  # fmt: skip
    assert found.sentences[0].startswith("Unusual night: brightness (0 to 255), share of red, ")
    assert drift_of(found, "melanoma_score").level == Level.STABLE
    assert (
        "Device: very different from the last nights (PSI 2.98; Maker B: 50.0% of the images, "
        "there 0.0%)." in found.sentences
    )
    assert "mean 1.00, there 1.50" in drift_of(found, "megapixels").sentence


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"alerts": 120}, "alerts"), ({"failed": 60}, "without a score")],
)
def test_more_alerts_or_failures_than_before_are_unusual(changes, name):
    found = report(figures(3), EARLIER, **changes)
    assert [d.name for d in found.drift if d.unusual] == [name]


@pytest.mark.parametrize(
    ("change", "name"),
    [({"scoring": "other"}, "melanoma_score"), ({"scoring": "other"}, "alerts"),
     ({"threshold": 0.1}, "alerts")],
)  # fmt: skip
def test_scores_of_another_model_and_alerts_of_another_threshold_are_not_compared(change, name):
    found = report(figures(3), EARLIER, alerts=180, **change)
    assert not [d for d in found.drift if d.name == name and d.value is not None]
    assert drift_of(found, "brightness").value is not None


def test_few_images_claim_nothing():
    few = {name: np.full(49, 1000) for name in ("rows", "columns")}
    found = report(figures(3, 49, **few), EARLIER, scored=49, alerts=49, failed=0)
    assert {d.level for d in found.drift} == {Level.NOT_JUDGED} and not found.unusual
    assert found.sentences[0].startswith("Nothing is claimed about how usual this night was")
    assert (
        "49 images tonight and 400 there; 50 on each side" in drift_of(found, "brightness").sentence
    )


def test_a_night_without_images_has_a_report():
    found = report(NightFigures(), EARLIER, scored=0, alerts=0, failed=0)
    assert not found.unusual
    assert found.rates["alerts_of_scored"] is None
    assert all(d.value is None for d in found.drift)
    assert json.loads(json.dumps(found.to_json()))["figures"] == {"grid_version": 1, "device": {}}


REFERENCE = stored_reference(
    {"reference": provenance_entry(figures(9), "the 200 test images", "s")}, "s"
)


def test_without_a_stored_reference_that_is_said():
    found = report(figures(3), EARLIER)
    assert not [d for d in found.drift if d.against == MODEL_REFERENCE]
    assert any("stores no reference" in sentence for sentence in found.sentences)


def test_the_first_night_is_judged_by_the_reference_alone():
    found = report(figures(3, **ANOTHER_CAMERA), [], REFERENCE)
    assert found.unusual and drift_of(found, "brightness", MODEL_REFERENCE).unusual
    assert not report(figures(3), [], REFERENCE).unusual


def test_later_a_lasting_difference_to_the_reference_is_told_and_not_unusual():
    earlier = [record(n, figures(n, **ANOTHER_CAMERA)) for n in (2, 1)]
    found = report(figures(3, **ANOTHER_CAMERA), earlier, REFERENCE)
    drift = drift_of(found, "brightness", MODEL_REFERENCE)
    assert drift.level == Level.UNUSUAL and not drift.unusual and not found.unusual


def test_after_a_calibration_stored_scores_are_not_compared():
    entry = provenance_entry(figures(9), "the 200 test images", "before")
    reference = stored_reference({"reference": entry}, "after")
    assert "melanoma_score" not in reference.figures.histograms
    assert "brightness" in reference.figures.histograms and "not compared" in reference.said


@pytest.mark.parametrize("stored", [3, {}, {"figures": 1, "images": "x"}, {"figures": None}])
def test_a_reference_that_cannot_be_read_is_none(stored):
    reference = stored_reference({"reference": stored}, "s")
    assert reference.figures is None and "cannot be read" in reference.said


def test_a_report_can_be_made_again_from_what_run_json_keeps():
    ledger = run(3)
    first = build_report(
        ledger, replace(night_record(ledger), figures=figures(3)), EARLIER, REFERENCE, CANARY
    )
    kept = json.loads(json.dumps({**ledger, "review": first.to_json()}))
    again = build_report(
        kept,
        night_record(kept),
        EARLIER,
        reference_from_json(kept["review"]["reference"]),
        canary_of(record_of(kept).review.canary),
    )
    assert again.to_json() == first.to_json()
    assert again.charts == first.charts


def test_charts_are_in_order_and_well_formed():
    found = report(figures(3), EARLIER, REFERENCE)
    assert list(found.charts) == [
        "melanoma_score", "brightness", "red_share", "blue_share", "megapixels", "aspect_ratio",
        "devices", "unscored", "nights_scored", "nights_alerts", "nights_without_score",
        "nights_score", "nights_brightness",
    ]  # fmt: skip
    assert all(checked_svg(svg) == svg for svg in found.charts.values())
    roots = [ET.fromstring(svg) for svg in found.charts.values()]
    ids = [each.get("id") for root in roots for each in root.iter() if each.get("id")]
    assert len(ids) == len(set(ids)) == 2 * len(roots)
    score = found.charts["melanoma_score"]
    assert "tonight (200)" in score and "last nights (400)" in score and "alerts from 0.4" in score


def test_a_hostile_device_stays_text():
    name = "<script>alert(1)</script>"
    found = report(figures(3, manufacturer=np.array([name] * 200, object)), EARLIER)
    assert name in drift_of(found, "device").sentence  # the page escapes sentences
    assert not [svg for svg in found.charts.values() if "<script" in svg]


def test_counts_and_rates_are_those_of_the_ledger():
    found = report(figures(3), EARLIER)
    assert found.counts["images scored tonight"] == 200
    assert found.counts["images newly without a score"] == 2
    assert found.rates == {
        "alerts_of_scored": 0.2, "unscored_of_new": 0.01, "images_per_second": 10.0
    }  # fmt: skip
    assert found.durations == {"plan": 0.5, "segments": 20.0}
    assert found.unscored_by_reason == {"decode_failed": 2}


def test_the_golden_images_are_told():
    assert "4 rescored at the start; the largest difference to the scores measured in training is "
    found = report(figures(3), [])
    assert "is 0.0000003 (allowed: 0.0001)" in found.canary_sentence
    silent = build_report(run(3), record(3, figures(3)), [], NONE, None)
    assert "not rescored tonight" in silent.canary_sentence


def test_no_sentence_calls_anything_clear_or_a_diagnosis():
    for found in (report(figures(3), EARLIER), report(figures(3, **ANOTHER_CAMERA), EARLIER)):
        words = " ".join([*found.sentences, *(d.sentence for d in found.drift)]).lower()
        assert "diagnos" not in words and " clear" not in words and "normal" not in words


@pytest.mark.parametrize(
    "ledger",
    [{}, {"run_id": 1, "started_at": "x"}, {"run_id": "x"}, {"run_id": "x", "started_at": None}],
)
def test_a_ledger_that_does_not_tell_its_night_is_passed_over(ledger):
    assert night_record(ledger) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"frames": 3}, {"frames": {"predictions": "x"}}, {"alerts": -1}, {"alerts": 10**6},
        {"model": []}, {"model": {"operating_point": {"threshold": "x"}}}, {"review": []},
        {"review": {"figures": []}}, {"seconds": [1]}, {"seconds": {"a": "b"}},
        {"unscored_by_reason": {"a": None}}, {"equation": None}, {"unscored_rate": float("nan")},
    ],
)  # fmt: skip
def test_a_damaged_ledger_costs_its_own_figures_only(changes):
    ledger = run(2) | changes
    tonight = replace(night_record(ledger), figures=figures(2))
    found = build_report(ledger, tonight, [night_record(ledger)], NONE, None)
    assert json.dumps(found.to_json(), allow_nan=False)
    assert all(ET.fromstring(svg) is not None for svg in found.charts.values())
