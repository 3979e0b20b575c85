"""Real nights by the command line, with histology that comes late and is revised."""

from __future__ import annotations

import json
import stat
from datetime import timedelta

import pandas as pd
import pytest

from batch.cli import main
from batch.core.errors import ExitCode
from batch.reports.run_reader import stored_runs
from tests.scenarios.faults.nights import write_image
from tests.support.outcome_nights import write_outcomes
from tests.support.small_model import SCORE

IMAGES = 6


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """Two nights: in the second, one image is new."""
    place = tmp_path_factory.mktemp("outcomes")
    archive, reports = place / "archive", place / "reports"
    for number in range(IMAGES - 1):
        write_image(archive / f"{number}.png", number)
    words = [*SCORE, str(archive), "--output", str(reports), "--no-pictures"]
    assert main([*words, "--lesion-pattern", r"^(?P<lesion>\d)\."]) == ExitCode.COMPLETE
    write_image(archive / f"{IMAGES - 1}.png", IMAGES - 1)
    assert main(words) == ExitCode.COMPLETE
    return reports


def told(capsys, reports, *words):
    capsys.readouterr()
    assert main(["outcomes", str(reports), "--json", *words]) == ExitCode.COMPLETE
    return json.loads(capsys.readouterr().out)


def test_late_and_revised_histology_meets_the_score_that_was_shown(nights, capsys):
    newest, first = stored_runs(nights)
    shown = pd.read_parquet(newest.folder / "current").set_index("path")
    tomorrow = newest.started_at + timedelta(days=1)
    last = f"{IMAGES - 1}.png"
    lines = [f"{n}.png,melanoma," for n in range(IMAGES)]
    write_outcomes(nights, "path,diagnosis,date\n" + "\n".join(lines), "2026.csv")
    found = told(capsys, nights)
    alerts = int(shown["is_alert"].sum())
    assert found["figures"]["true_positive"] == alerts
    assert found["figures"]["false_negative"] == IMAGES - alerts == len(found["missed"])
    by_path = {f"{row['lesion_key'].rpartition(':')[2]}.png": row for row in found["missed"]}
    for path, row in by_path.items():
        assert row["score"] == shown.loc[path, "melanoma_score"]
        assert row["threshold"] == shown.loc[path, "threshold"]
        assert row["run_id"] == (newest if path == last else first).folder.name
        assert (nights / row["page"]).is_file()
    # dated before the second night began, histology of its new image saw no score
    between = first.started_at + (newest.started_at - first.started_at) / 2
    write_outcomes(nights, f"path,diagnosis,date\n{last},melanoma,{between.isoformat()}", "x.csv")
    (nights / "outcomes" / "2026.csv").unlink()
    assert told(capsys, nights)["rows"]["scored_later"] == 1
    revised = f"path,diagnosis,date\n0.png,melanoma,{tomorrow:%Y-%m-%d}\n"
    later = f"0.png,nevus,{tomorrow + timedelta(days=30):%Y-%m-%d}\n"
    write_outcomes(nights, revised + later, "x.csv")
    found = told(capsys, nights)
    assert (found["rows"]["judged"], found["rows"]["revised"]) == (1, 1)
    assert found["figures"]["melanomas"] == 0
    page = nights / "outcomes.html"
    assert page.is_file() and stat.S_ISREG(page.stat().st_mode)
