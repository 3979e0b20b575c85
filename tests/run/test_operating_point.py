"""Another operating point: remembered predictions are judged again, and none is scored again."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.core.records import is_alert
from batch.reports import parquet, rows
from batch.run.memory import keys_of
from batch.run.merge import alert_rows, apply_operating_point
from tests.support.stored_nights import (
    at,
    by_path,
    facts,
    image,
    plan_of,
    published,
    run_night,
    unexpected,
)


def predictions(made_with, *scores):
    made = [
        rows.prediction_row(image(at(f"{n}"), score).predictions[0], made_with)
        for n, score in enumerate(scores)
    ]
    return parquet.to_arrow("predictions", made)


NOBODY = pa.chunked_array([pa.array([], pa.binary())])
BELOW_HALF = 0.49999999999999994


@pytest.mark.parametrize(
    ("score", "before", "now", "alert", "turned"),
    [
        (0.5, 0.6, 0.5, True, True),
        (BELOW_HALF, 0.6, 0.5, False, False),
        (0.5, 0.5, 0.5, True, False),
        (0.5, 0.5, 0.6, False, False),
        (0.5, 0.6, 0.7, False, False),
        (0.0, 0.1, 0.0, True, True),
        (1.0, 1.0, 1.0, True, False),
    ],
)
def test_a_prediction_is_judged_by_tonights_point(score, before, now, alert, turned):
    tonight = facts(2, threshold=now)
    remembered = predictions(facts(1, threshold=before), score)
    judged, became = apply_operating_point(remembered, tonight, NOBODY)
    (row,) = judged.to_pylist()
    assert (row["is_alert"], row["threshold"]) == (alert, now)
    assert row["operating_point"] == tonight.operating_point.name
    assert became.tolist() == [turned]


@pytest.mark.parametrize("threshold", [0.1, 0.9])
def test_of_a_prediction_nothing_else_changes(threshold):
    before = predictions(facts(1), 0.7, 0.3)
    judged, _ = apply_operating_point(before, facts(2, threshold=threshold), NOBODY)
    assert judged.schema == before.schema
    ours = ["is_alert", "threshold", "operating_point"]
    assert judged.drop_columns(ours).equals(before.drop_columns(ours))


def test_predictions_under_another_contract_keep_the_point_that_belongs_to_them():
    before = predictions(facts(1), 0.7, 0.3)
    judged, turned = apply_operating_point(before, facts(2, threshold=0.1), keys_of(before))
    assert judged.equals(before)
    assert turned.tolist() == [False, False]


def test_another_version_of_the_same_contract_is_judged():
    tonight = replace(facts(2, threshold=0.1), model_version="2")
    judged, turned = apply_operating_point(predictions(facts(1), 0.7, 0.3), tonight, NOBODY)
    assert turned.tolist() == [False, True]


# The same weights with another output contract (temperature) give other scores; such a prediction
# can only stand here while its file is pending.
def test_scores_of_another_output_contract_keep_their_point(tmp_path):
    published(tmp_path, [image(at("a"), 0.4)], facts(1))
    recalibrated = facts(2, threshold=0.25, scoring="scoring-m1-other-temperature")
    night = run_night(tmp_path, [at("a")], recalibrated, unexpected, stop=0)
    assert by_path(night.rows("current"), "threshold", "is_alert") == {"a": (0.5, False)}


def test_no_rows_are_no_rows():
    judged, turned = apply_operating_point(predictions(facts(1)), facts(2), NOBODY)
    assert (len(judged), turned.tolist()) == (0, [])


_SCORES = st.lists(st.floats(0, 1), max_size=8)
_POINTS = st.sampled_from([0.0, 0.1, 0.5, BELOW_HALF, 0.9, 1.0])


@settings(deadline=None)
@given(_SCORES, _POINTS, _POINTS)
def test_judging_again_is_as_judging_at_first(scores, before, now):
    """Row by row it is what a night with this point would have said."""
    tonight = facts(2, threshold=now)
    judged, turned = apply_operating_point(
        predictions(facts(1, threshold=before), *scores), tonight, NOBODY
    )
    points = facts(1, threshold=before).operating_point, tonight.operating_point
    expected = [is_alert(score, points[1]) for score in scores]
    assert judged["is_alert"].to_pylist() == expected
    assert turned.tolist() == [
        alert and not is_alert(score, points[0])
        for score, alert in zip(scores, expected, strict=True)
    ]


def test_an_alert_names_the_evidence_of_its_point():
    tonight = facts(2)
    alerts = alert_rows(predictions(facts(1), 0.9), tonight)
    assert alerts.schema.equals(parquet.schema("alerts"))
    (row,) = alerts.to_pylist()
    point = tonight.operating_point
    assert (row["sensitivity"], row["specificity"]) == (point.sensitivity, point.specificity)
    assert (row["validation_set"], row["review_status"]) == (point.validation_set, "UNVERIFIED")


def test_no_alerts_have_the_columns_of_alerts():
    assert alert_rows(predictions(facts(1)), facts(2)).schema.equals(parquet.schema("alerts"))


# --- in a night ----

ARCHIVE = [at("high"), at("low"), at("middle")]


def first_night(tmp_path):
    results = [image(at("high"), 0.9), image(at("low"), 0.1), image(at("middle"), 0.4)]
    published(tmp_path, results, facts(1))


def test_a_lower_point_adds_the_alerts_that_turned_and_reads_nothing(tmp_path):
    first_night(tmp_path)
    night = run_night(tmp_path, ARCHIVE, facts(2, threshold=0.25), unexpected)
    assert by_path(night.rows("alerts"), "melanoma_score", "threshold", "run_id") == {
        "middle": (0.4, 0.25, facts(1).run_id)
    }
    assert (night.counts.turned, night.counts.predictions_with_alert) == (1, 0)
    assert by_path(night.rows("current"), "is_alert", "threshold") == {
        "high": (True, 0.25),
        "low": (False, 0.25),
        "middle": (True, 0.25),
    }


def test_a_higher_point_takes_alerts_back_in_the_current_view(tmp_path):
    first_night(tmp_path)
    night = run_night(tmp_path, ARCHIVE, facts(2, threshold=0.95), unexpected)
    assert night.rows("alerts") == []
    assert {row["is_alert"] for row in night.rows("current")} == {False}


def test_what_turned_once_does_not_turn_again(tmp_path):
    first_night(tmp_path)
    run_night(tmp_path, ARCHIVE, facts(2, threshold=0.25), unexpected)
    night = run_night(tmp_path, ARCHIVE, facts(3, threshold=0.25), unexpected)
    assert night.rows("alerts") == []


def test_turned_and_new_alerts_stand_in_one_order(tmp_path):
    first_night(tmp_path)
    found = [*ARCHIVE, at("new", size=11), at("newer", size=11)]
    scores = {"new": 0.3, "newer": 0.8}
    night = run_night(
        tmp_path, found, facts(2, threshold=0.25), lambda w, _: image(w, scores[w.path])
    )
    assert [row["path"] for row in night.rows("alerts")] == ["newer", "middle", "new"]
    assert (night.counts.turned, night.counts.predictions_with_alert) == (1, 2)


def test_a_waiting_prediction_of_tonights_model_is_judged_too(tmp_path):
    """It waits for another reason than the model: other rules, and no time left."""
    published(tmp_path, [image(at("a"), 0.4, 0.1, file_format="dicom")], facts(1))
    tonight = facts(2, threshold=0.25, identity="few")
    assert plan_of(tmp_path, [at("a")], tonight).causes() == {"rules": 1}
    night = run_night(tmp_path, [at("a")], tonight, unexpected, stop=0)
    assert [row["melanoma_score"] for row in night.rows("alerts")] == [0.4]
