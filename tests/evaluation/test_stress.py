"""The stress report: figures by hand, which pictures count, and the section of the model card."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from batch.cli import main
from batch.core.errors import UsageError
from batch.evaluation import stress as room
from batch.evaluation.stress import UNCHANGED, StressOptions, figures, scores_under_stress, stress
from batch.evaluation.stress_changes import CHANGES
from batch.evaluation.stress_report import HEADING, card_section, stress_text, with_section
from batch.model.artifact import find_artifact
from tests.support.archives import POINT, BrightnessClassifier

AT_HALF = dataclasses.replace(POINT, threshold=0.5)


def test_figures_by_hand():
    is_melanoma = np.array([True, True, True, True, False, False, False, False])
    before = np.array([0.9, 0.8, 0.6, 0.2, 0.7, 0.3, 0.2, 0.1])
    after = np.array([0.9, 0.4, 0.6, 0.6, 0.2, 0.3, 0.2, 0.1])
    groups = np.arange(8).astype(str)
    found = figures(is_melanoma, before, after, groups, AT_HALF)
    assert found["auc"] == 1.0
    assert (found["sensitivity"], found["specificity"]) == (0.75, 1.0)
    assert found["flip_rate"] == 3 / 8  # one alert lost, one won, one false alert gone
    assert found["lost_alerts"] == 1 / 3  # of the three melanomas with an alert
    assert found["mean_change"] == pytest.approx((0.4 + 0.4 + 0.5) / 8)
    low, high = found["flip_rate_interval"]
    assert low < 3 / 8 < high


def test_lesions_are_drawn_whole():
    """Many pictures of one lesion give no narrower interval than one picture of it."""
    rng = np.random.default_rng(0)
    is_melanoma, scores = np.arange(40) % 2 == 0, rng.random(40)
    groups = np.arange(40).astype(str)
    after = np.clip(scores + rng.normal(0, 0.2, 40), 0, 1)
    one = figures(is_melanoma, scores, after, groups, AT_HALF)
    ten = figures(*(np.repeat(v, 10) for v in (is_melanoma, scores, after, groups)), AT_HALF)
    assert ten["auc_interval"] == pytest.approx(one["auc_interval"], abs=1e-9)


@pytest.fixture
def photographs(tmp_path):
    """Twelve photographs, of which the bright ones are melanomas, and their labels."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for number in range(12):
        level = 60 + 12 * number
        pixels = np.clip(rng.normal(level, 20, (200, 260, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"p{number:02}.jpg")
        rows.append((f"p{number:02}", "melanoma" if number >= 6 else "nevus", number // 2))
    pd.DataFrame(rows, columns=["image", "diagnosis", "lesion_id"]).to_csv(
        tmp_path / "labels.csv", index=False
    )
    return folder


@pytest.fixture
def brightness(monkeypatch):
    monkeypatch.setattr(room, "verify_artifact", lambda _: Classes())


class Classes(BrightnessClassifier):
    """Brightness as the score of every class."""

    def scores(self, pixels):
        return np.repeat(super().scores(pixels)[:, :1], 9, axis=1)


def test_every_change_is_measured_on_every_picture(photographs, brightness):
    (photographs / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    found = stress(find_artifact("isic9-plain"), StressOptions(photographs, photographs.parent / "labels.csv"))  # fmt: skip  # noqa: E501
    assert [change["change"] for change in found["changes"]] == [UNCHANGED, *CHANGES]
    assert (found["images"], found["melanomas"], found["lesions"]) == (12, 6, 6)
    unchanged = found["changes"][0]
    assert (unchanged["auc"], unchanged["flip_rate"], unchanged["mean_change"]) == (1.0, 0, 0)
    by_name = {change["change"]: change for change in found["changes"]}
    assert by_name["2 stops lighter"]["mean_change"] > by_name["1 stop lighter"]["mean_change"]
    assert by_name["turned 90°"]["mean_change"] < 0.01 < by_name["1 stop darker"]["mean_change"]
    assert json.loads(json.dumps(found, allow_nan=False)) is not None
    assert all(name in stress_text(found) for name in CHANGES)


def test_what_cannot_be_read_is_counted_and_leaves_the_others(photographs):
    (photographs / "p03.jpg").write_bytes((photographs / "p03.jpg").read_bytes()[:300])
    files = sorted(photographs.iterdir())
    scores, read = scores_under_stress(Classes(), files, 0)
    assert read.tolist() == [at != 3 for at in range(12)]
    assert scores.shape == (11, 1 + len(CHANGES))
    alone, _ = scores_under_stress(Classes(), files[5:6], 0)
    assert alone[0] == pytest.approx(scores[4])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("image,diagnosis\nother,melanoma\n", "none of the 1 labelled pictures lies below"),
        ("image,diagnosis\np01,melanoma\np02,melanoma\n", "2 of them melanomas; needed: melanomas"),
        ("lesion_id,diagnosis\n1,melanoma\n", "its pictures are named by lesion_id"),
    ],
)
def test_labels_that_do_not_suffice_say_what_is_needed(photographs, brightness, labels, message):
    table = photographs.parent / "few.csv"
    table.write_text(labels)
    with pytest.raises(UsageError, match=message):
        stress(find_artifact("isic9-plain"), StressOptions(photographs, table))


def test_pictures_that_trained_the_model_do_not_count(photographs, brightness, tmp_path):
    artifact = find_artifact("isic9-plain")
    own = tmp_path / "artifact"
    own.mkdir()
    (own / "split.csv").write_text("image,content_sha256,split\np07,x,train\np02,x,test\n")
    found = stress(
        dataclasses.replace(artifact, folder=own),
        StressOptions(photographs, photographs.parent / "labels.csv"),
    )
    assert found["counts"]["trained_on"] == 1 and found["images"] == 11


@pytest.mark.parametrize("name", ["image_id", "path"])
def test_pictures_are_named_as_tables_name_them(photographs, brightness, name):
    table = pd.read_csv(photographs.parent / "labels.csv").rename(columns={"image": name})
    table[name] += ".jpg" if name == "path" else ""
    table.to_csv(photographs.parent / "named.csv", index=False)
    found = stress(
        find_artifact("isic9-plain"), StressOptions(photographs, photographs.parent / "named.csv")
    )
    assert (found["images"], found["lesions"]) == (12, 6)


def test_half_of_a_small_draw_are_melanomas_and_it_is_the_same_always():
    rows = pd.DataFrame(
        {"path": [f"{n}" for n in range(100)], "is_melanoma": [n < 30 for n in range(100)]}
    )
    drawn = room._drawn(rows, 20)
    assert drawn["is_melanoma"].sum() == 10 and len(drawn) == 20
    assert drawn.equals(room._drawn(rows, 20))
    assert room._drawn(rows, 80)["is_melanoma"].sum() == 30
    assert room._drawn(rows.head(35), 20)["is_melanoma"].sum() == 15


MEASURES = {
    "model": {"model_id": "m", "model_version": "1"}, "operating_point": {"name": "p",
    "threshold": 0.5}, "data": "d/images", "images": 2, "melanomas": 1, "lesions": 2,
    "counts": {"without_picture": 0, "trained_on": 0, "unreadable": 0},
    "changes": [{"change": "ink", **{key: value for name in ("auc", "sensitivity", "specificity",
                 "flip_rate", "lost_alerts") for key, value in ((name, 0.5),
                 (f"{name}_interval", (0.25, 0.75)))}, "mean_change": 0.1}],
}  # fmt: skip


def test_the_section_stands_before_the_licence_and_is_replaced():
    section = card_section(MEASURES, "melanoma-batch stress m")
    assert "| ink | 0.500 (0.250–0.750) |" in section
    card = "# Card\n\nText.\n\n## Licence\n\nNone.\n"
    once = with_section(card, section)
    assert once.index("Text.") < once.index(HEADING) < once.index("## Licence")
    again = with_section(once, card_section(MEASURES, "melanoma-batch stress m --most 9"))
    assert again.count(HEADING) == 1 and "--most 9" in again and again.endswith("None.\n")
    assert with_section(again, section) == once
    assert with_section("# Card\n", section).startswith("# Card\n\n## Under stress\n")


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    labels = tmp_path / "labels.csv"
    labels.write_text("image,diagnosis\na,melanoma\n")
    code = main(["stress", "isic9-plain", "--data", str(tmp_path / "no"), "--labels", str(labels)])
    assert code == 2 and "--data: no folder" in capsys.readouterr().err
