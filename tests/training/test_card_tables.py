"""The tables of a card, from figures that are written down here."""

from __future__ import annotations

import dataclasses

import pytest

from batch.evaluation.thresholds import point_at
from batch.training.card_tables import (
    alerts_section,
    left_out_section,
    operating_points_section,
    own_tests_section,
)
from batch.training.expected_alerts import alerts_of_sets
from batch.training.source_points import TOGETHER, choose_points
from tests.training.test_source_points import EASY, HARD, SMALL, table

RATES = {"sensitivity": 0.9, "sensitivity_interval": (0.8, 0.95), "specificity": 0.4,
         "specificity_interval": (0.35, 0.45)}  # fmt: skip


def measures(auc, images=400, melanomas=100, **changes):
    return {
        "images": images, "melanomas": melanomas, "melanoma_auc": auc,
        "melanoma_auc_interval": (auc - 0.02, auc + 0.02), "expected_calibration_error": 0.1,
        "sensitivity_at_specificity": {"sensitivity": 0.7, "interval": (0.6, 0.8)},
        "at_operating_point": RATES, "at_points": {"p": RATES}, **changes,
    }  # fmt: skip


def run(name="ham10000, held out", **changes):
    return {"command": "train …", "model_sha256": "ab" * 32, "preprocessing_version": "4",
            "metrics": {name: measures(0.81)}, **changes}  # fmt: skip


def test_every_source_that_was_left_out_has_a_row():
    own = {"test": {"melanoma": measures(0.9)}, "b without isic9": {"melanoma": measures(0.6)}}
    facts = {"metrics": own, "held_out_runs": [run(), run("acral, held out")]}
    rows = [line for line in left_out_section(facts, "4").splitlines() if line.startswith("| ")]
    assert rows[0].startswith(
        "| source | images | melanomas | AUC | sensitivity at specificity 0.8"
    )
    assert [row.split(" | ")[0] for row in rows[1:]] == [
        "| b without isic9", "| ham10000, held out", "| acral, held out"
    ]  # fmt: skip
    assert rows[2] == (
        "| ham10000, held out | 400 | 100 | 0.810 (0.790–0.830) | 0.700 (0.600–0.800) "
        "| 0.900 (0.800–0.950) | 0.400 (0.350–0.450) | 0.100 |"
    )


def test_a_run_without_rates_says_so_and_a_draw_its_size():
    found = measures(0.81, drawn_of=9953, at_operating_point={})
    text = left_out_section({"held_out_runs": [run(metrics={"a, held out": found})]}, "4")
    assert "| a, held out | 400 (drawn of 9953) | 100 |" in text
    assert "| n/a | n/a | 0.100 |" in text


@pytest.mark.parametrize(
    ("changes", "course", "words"),
    [
        ({}, None, "(model.keras abababababab)"),
        ({"preprocessing_version": "2"}, None,
         "(model.keras abababababab, measured under preprocessing version 2)"),
        ({"model_sha256": None, "images_drawn": 5000}, {"images_drawn": 9000},
         "(a trial without an artifact, 5,000 images drawn, the shipped model 9,000)"),
        ({"images_drawn": 5000}, {"images_drawn": 5000}, "(model.keras abababababab)"),
        ({"images_drawn": 5000}, None, "(model.keras abababababab, 5,000 images drawn)"),
        ({"jobs": [{"batch": 64}]}, {"jobs": [{"batch": 64}]}, "(model.keras abababababab)"),
        ({"jobs": [{"batch": 64, "seed": 1}] * 2}, {"jobs": [{"batch": 128, "seed": 2}] * 3},
         "(model.keras abababababab, with other batch, of 2 courses, the shipped model of 3)"),
        ({"jobs": [{"batch": 64}], "is_start": True}, {"jobs": [{"batch": 64}, {"batch": 32}]},
         "(model.keras abababababab, the shipped model went on from its weights, with every "
         "source)"),
    ],
)  # fmt: skip
def test_in_what_a_run_differs_from_the_shipped_model_is_said(changes, course, words):
    facts = {"held_out_runs": [run(**changes)], **({"course": course} if course else {})}
    assert f"- `train …` {words}" in left_out_section(facts, "4").splitlines()


def test_without_any_source_left_out_the_first_section_says_that_nothing_is_known():
    text = left_out_section({"metrics": {"test": {"melanoma": measures(0.95)}}}, "4")
    assert "No source was left out" in text
    assert "0.95" not in text.replace("95 %", "")


def test_own_tests_stand_by_source_and_together():
    names = ("train", "test", "test, b", "test, a", "b, held out")
    text = own_tests_section({name: {"melanoma": measures(0.9)} for name in names})
    rows = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")]
    assert rows == ["| set", "| test, b", "| test, a", "| test"]


def test_each_point_says_who_decided():
    cases = table(EASY, HARD, SMALL)
    points, evidence = choose_points(cases, "ab" * 32, "validation split, seed 1", (0.5, 0.95))
    text = operating_points_section(points, evidence)
    assert "every source with 30 melanomas or more, and on all together (validation split" in text
    assert "; hard decided; 169 melanomas, 111 others): sensitivity" in text
    assert "| hard (decided) | 40 | 10 | 0.4100 |" in text
    assert f"| {TOGETHER} (decided) | 169 | 111 |" in text
    assert text.count("| small | 29 | 1 | not asked |") == 2


def test_a_point_of_all_images_together_has_no_table():
    cases = table(EASY)
    point = point_at(0.5, cases.is_melanoma, cases.scores, "ab" * 32, "here", 0.9)
    text = operating_points_section([dataclasses.replace(point, provisional=True)], {})
    assert "of at least 0.9 on here (100 melanomas, 100 others): sensitivity 1.000" in text
    assert "**Provisional**: 100 melanomas" in text
    assert "|" not in text


def rates(sensitivity, specificity):
    return {"p": {"sensitivity": sensitivity, "specificity": specificity}}


def test_alerts_are_told_of_all_and_of_the_worst():
    sets = {
        "test, a": measures(0.9, at_points=rates(0.95, 0.6)),
        "b, held out": measures(0.7, at_points=rates(0.8, 0.3)),
        "few, held out": measures(0.5, melanomas=29, at_points=rates(0.1, 0.1)),
        "few others, held out": measures(0.5, images=129, at_points=rates(0.1, 0.1)),
        "no point, held out": measures(0.5, at_points={}),
    }
    pooled = measures(0.9, at_points=rates(0.95, 0.6))
    (section,) = alerts_section(alerts_of_sets(pooled, sets))
    rows = [line for line in section.splitlines() if line.startswith("| p")]
    # 10 of 1,000: 9.5 found, 396 alarmed. 200 of 1,000 at the worst: 160 found, 560 alarmed
    assert rows[0] == "| p | test (all sources) | 1 % | 406 | 2.3 |"
    assert rows[-1] == "| p | b, held out (worst) | 20 % | 720 | 22.2 |"
    assert len(rows) == 6
    assert "none is called the worst" not in section


def test_where_no_alert_is_to_be_expected_there_is_no_share():
    (section,) = alerts_section(alerts_of_sets(measures(0.9, at_points=rates(0.0, 1.0)), {}))
    assert "| p | test (all sources) | 5 % | 0 | n/a |" in section
    assert "none is called the worst" in section


def test_a_test_split_without_melanomas_promises_nothing():
    assert alerts_section(alerts_of_sets(measures(0.9, at_points=rates(None, 0.5)), {})) == []
