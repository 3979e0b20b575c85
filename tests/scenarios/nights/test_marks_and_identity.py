"""Marks that nobody can read, and words that somebody forgot: what the morning learns of them."""

from __future__ import annotations

import json
import os
import shutil
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from batch.cli import main
from batch.core.errors import ExitCode
from batch.review.inputs import WORKLIST
from tests.support.small_model import SCORE

PATTERN = r"^(?P<patient>[^/]+)/(?P<lesion>[^/]+)/"
OLD = 1_735_689_600


class Place:
    """An archive of two patients with two lesions of two images, and its reports."""

    def __init__(self, root: Path) -> None:
        self.archive, self.reports = root / "archive", root / "reports"
        self.metrics = root / "m.prom"
        random = np.random.default_rng(5)
        for number in range(8):
            name = f"p{number // 4}/l{number // 2}/{number % 2}.png"
            self.picture(name, random.integers(0, 255, (64, 64, 3), np.uint8))

    def picture(self, name: str, pixels: np.ndarray) -> None:
        path = self.archive / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        os.utime(path, (OLD, OLD))

    def score(self, *words: str) -> int:
        command = [*SCORE, str(self.archive), "--output", str(self.reports)]
        return main([*command, "--metrics-file", str(self.metrics), *words])

    @property
    def run(self) -> dict:
        return json.loads((self.reports / "latest" / "run.json").read_text())

    @property
    def lesions(self) -> int:
        return self.run["review"]["worklist"]["archive"]["lesions"]

    def metric(self, name: str) -> float:
        lines = self.metrics.read_text().splitlines()
        (line,) = [line for line in lines if line.startswith(f"melanoma_batch_{name} ")]
        return float(line.rpartition(" ")[2])


@pytest.fixture(scope="module")
def grouped(tmp_path_factory):
    """One night with a pattern."""
    place = Place(tmp_path_factory.mktemp("grouped"))
    assert place.score("--lesion-pattern", PATTERN) == ExitCode.COMPLETE
    return place


@pytest.fixture
def place(grouped, tmp_path):
    """The same, to be changed."""
    mine = object.__new__(Place)
    mine.archive, mine.metrics = tmp_path / "archive", tmp_path / "m.prom"
    mine.reports = Path(shutil.copytree(grouped.reports, tmp_path / "reports", symlinks=True))
    shutil.copytree(grouped.archive, mine.archive)
    return mine


def test_a_forgotten_pattern_is_the_last_night_s_and_that_is_said(place, capsys):
    assert place.lesions == 4
    assert place.score() == ExitCode.COMPLETE
    assert place.lesions == 4
    assert place.run["options"]["lesion_pattern"] == PATTERN
    assert place.run["identity"]["lesion_pattern_taken_over"] is True
    assert place.run["identity"]["changed"] == {}
    assert f"since none was given: {PATTERN}" in capsys.readouterr().out
    assert place.score() == ExitCode.COMPLETE  # and the night after
    assert place.lesions == 4


@pytest.mark.parametrize("word", ["none", "", "None"])
def test_a_pattern_is_dropped_by_a_word_and_that_is_loud(place, capsys, word):
    assert place.score("--lesion-pattern", word) == ExitCode.COMPLETE
    assert place.lesions == 8
    said = f"--lesion-pattern: {PATTERN} last night, none now"
    assert said in capsys.readouterr().out.partition("CHANGED")[2]
    assert said in place.run["identity"]["changed"]["--lesion-pattern"]
    assert place.metric("identity_changes") == 1
    page = (place.reports / "latest" / f"{WORKLIST}.html").read_text()
    assert "Changed.</b> --lesion-pattern" in page
    log = max((place.reports / "logs").iterdir()).read_text()
    assert "--lesion-pattern is another than in night" in log
    assert place.score() == ExitCode.COMPLETE
    assert (place.lesions, place.run["identity"]["changed"]) == (8, {})
    assert place.metric("identity_changes") == 0


def test_other_levels_keys_and_rules_are_said_too(place, tmp_path, capsys):
    key = tmp_path / "key"
    key.write_bytes(bytes(32))
    key.chmod(0o600)
    words = ["--identifiers", "full", "--patient-key-file", str(key), "--exclude", "modality=ot"]
    assert place.score(*words) == ExitCode.COMPLETE
    changed = ["--identifiers", "--patient-key-file", "--exclude"]
    assert list(place.run["identity"]["changed"]) == changed
    assert capsys.readouterr().out.count("CHANGED ") == 3


def test_inventory_says_what_a_night_would_group_by(place, capsys):
    words = [str(place.archive), "--output", str(place.reports), "--model", "isic9-plain"]
    assert main(["inventory", *words, "--identifiers", "none"]) == ExitCode.COMPLETE
    said = capsys.readouterr().out
    assert f"since none was given: {PATTERN}" in said
    assert "CHANGED    --identifiers: uids last night, none now" in said


def test_a_list_made_anew_takes_the_pattern_of_its_night_and_says_another(place, capsys):
    def rebuilt(*words: str) -> int:
        assert main(["worklist", str(place.reports), *words]) == ExitCode.COMPLETE
        return len(pd.read_parquet(place.reports / "worklist" / f"{WORKLIST}.parquet"))

    listed = rebuilt()
    assert "since none was given" in capsys.readouterr().out
    assert rebuilt("--lesion-pattern", "none") >= listed
    assert "CHANGED    --lesion-pattern" in capsys.readouterr().out
    page = (place.reports / "worklist" / f"{WORKLIST}.html").read_text()
    assert "Changed.</b> --lesion-pattern" in page
    assert place.run["options"]["lesion_pattern"] == PATTERN  # the night stays as it is


def marks(place: Place, *rows: str) -> None:
    """A second download that a spreadsheet saved, a moment ago where a row says NOW."""
    rows = tuple(row.replace("NOW", f"{datetime.now():%d.%m.%Y %H:%M:%S}") for row in rows)
    text = "\r\n".join(["sep=;", "lesion_key;decision;reviewer;reviewed_at;score", *rows, ""])
    (place.reports / "reviewed (1).csv").write_bytes(text.encode("cp1252"))


def test_marks_that_are_understood_are_told_and_the_night_is_complete(place, capsys):
    marks(place, "PATTERN:p0/l0;Kürettage;Dr. Ü;NOW;0,75", "x;y;z;NOW;")
    assert place.score() == ExitCode.COMPLETE
    assert "Marks             1 taken, 1 without effect, all understood" in capsys.readouterr().out
    assert place.metric('marks{state="taken"}') == 1
    assert place.metric('marks{state="without_effect"}') == 1
    assert place.metric('marks{state="not_understood"}') == 0


def test_a_mark_of_the_future_exits_with_8(place, capsys):
    marks(place, "PATTERN:p0/l0;ok;R;25.11.2999 08:30;")
    assert place.score() == ExitCode.MARKS_NOT_UNDERSTOOD
    assert "row 3 does not count: reviewed_at is in the future" in capsys.readouterr().out
    assert main(["worklist", str(place.reports)]) == ExitCode.MARKS_NOT_UNDERSTOOD


def test_marks_that_are_not_understood_exit_with_8_and_the_night_is_published(place, capsys):
    before = place.run["run_id"]
    marks(place, "PATTERN:p0/l0;ok;Dr. Ü;NOW;0,75", "PATTERN:p0/l1;ok;R;03/04/2026;")
    assert place.score() == ExitCode.MARKS_NOT_UNDERSTOOD == 8
    assert place.run["run_id"] != before
    said = capsys.readouterr()
    assert "1 taken, 0 without effect, 1 NOT UNDERSTOOD" in said.out
    assert "reviewed (1).csv: row 4 does not count: reviewed_at is a date that can be" in said.out
    assert "1 row of the files with marks cannot be understood" in said.err
    assert place.metric("exit_code") == 8
    assert place.metric('marks{state="not_understood"}') == 1
    assert main(["worklist", str(place.reports)]) == ExitCode.MARKS_NOT_UNDERSTOOD
    assert (place.reports / "worklist" / f"{WORKLIST}.html").exists()
    marks(place, "PATTERN:p0/l1;ok;R;NOW;")
    assert main(["worklist", str(place.reports)]) == ExitCode.COMPLETE


def test_too_many_without_a_score_is_graver_than_a_mark(place):
    marks(place, "PATTERN:p0/l1;ok;R;03/04/2026;")
    broken = place.archive / "p9" / "broken.png"
    broken.parent.mkdir()
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    os.utime(broken, (OLD, OLD))
    assert place.score("--max-unscored-rate", "0") == ExitCode.UNSCORED_RATE
    assert place.metric('marks{state="not_understood"}') == 1


def test_a_mark_is_graver_than_a_stop_in_order(place):
    marks(place, "PATTERN:p0/l1;ok;R;03/04/2026;")
    pixels = np.random.default_rng(9).integers(0, 255, (64, 64, 3), np.uint8)
    place.picture("p9/l9/0.png", pixels)
    assert place.score("--max-duration", "0s") == ExitCode.MARKS_NOT_UNDERSTOOD
    assert place.run["stopped"] == "deadline"
