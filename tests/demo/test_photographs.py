"""The demonstration's photographs: three invented patients, two nights, a page with pictures."""

from __future__ import annotations

import csv
import hashlib
import re

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from batch.cli import main
from batch.core.errors import ExitCode
from batch.demo.photographs import FOLDER, middle, write_visits


def table():
    with (FOLDER / "photographs.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_photograph_is_small_and_attributed():
    attribution = (FOLDER / "ATTRIBUTION.md").read_text()
    names = {row["photograph"] for row in table()}
    assert names == {path.name for path in FOLDER.glob("*.jpg")}
    assert len(names) == 12
    assert sum(path.stat().st_size for path in FOLDER.glob("*.jpg")) < 1_000_000
    for row in table():
        assert max(Image.open(FOLDER / row["photograph"]).size) <= 800
        name = row["photograph"].removesuffix(".jpg")
        assert f"| {name} | {row['diagnosis']} |" in attribution
    assert "CC-0" in attribution and "invented" in attribution


@pytest.mark.parametrize(
    ("shape", "share", "expected"),
    [((10, 20), 1.0, (10, 20)), ((10, 20), 0.5, (5, 10)), ((1, 1), 0.1, (1, 1)),
     ((7, 9), 0.7, (5, 6))],
)  # fmt: skip
def test_the_middle_has_a_share_of_each_side(shape, share, expected):
    pixels = np.arange(shape[0] * shape[1] * 3, dtype=np.uint32).reshape(*shape, 3)
    found = middle(pixels, share)
    assert found.shape[:2] == expected
    np.testing.assert_array_equal(
        found[0, 0], pixels[(shape[0] - expected[0]) // 2, (shape[1] - expected[1]) // 2]
    )


def test_a_second_visit_shows_the_same_lesion_of_the_same_patient(tmp_path):
    assert (write_visits(tmp_path, 1), write_visits(tmp_path, 2)) == (12, 2)
    first, second = (
        pydicom.dcmread(tmp_path / f"patient-5/visit-{visit}/lesion-1.dcm") for visit in (1, 2)
    )
    assert first.TrackingUID == second.TrackingUID
    assert first.StudyDate < second.StudyDate
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.rglob("*.dcm")}
    assert len(digests) == 14


def test_the_demonstration_ends_with_a_page_that_has_alerts_pictures_and_a_change(tmp_path, capsys):
    assert main(["demo", str(tmp_path / "demo")]) == ExitCode.COMPLETE
    said = capsys.readouterr().out
    latest = tmp_path / "demo" / "reports" / "latest"
    assert "patients and visits are invented" in said
    assert "may have been trained on these" in said
    assert str(latest / "review_worklist.html") in said
    lesions = pd.read_parquet(latest / "review_worklist.parquet")
    assert (lesions["tier"] == "alert").sum() >= 5
    assert lesions["flags"].map(lambda flags: "image_added" in list(flags)).sum() >= 1
    page = (latest / "review_worklist.html").read_text()
    shown = set(re.findall(r"pictures/[0-9a-f]{32}[.]jpg", page))
    assert len(shown) >= 10
    assert all((latest / link).is_file() for link in shown)
    assert len(list((tmp_path / "demo" / "reports" / "runs").iterdir())) == 2
