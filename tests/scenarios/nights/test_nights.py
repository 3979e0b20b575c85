"""Several nights over one archive, by the command line and with the bundled model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from batch.archive.local import LocalArchive
from batch.cli import main
from batch.core.errors import ExitCode
from batch.demo.archive import WRITTEN_AT
from batch.model.manifest import read_manifest, write_manifest
from tests.support.archives import REPOSITORY
from tests.support.small_model import SCORE

IGNORED = ["run_id", "scored_at"]


class Nights:
    """An archive that may be changed, and its reports."""

    def __init__(self, root: Path, source: Path) -> None:
        self.archive = Path(shutil.copytree(source, root / "archive"))
        self.reports = root / "reports"
        self.opened: list[str] = []

    def score(self, *words: str) -> dict:
        self.opened.clear()
        command = [*SCORE, str(self.archive), "--output", str(self.reports)]
        self.code = main([*command, "--max-unscored-rate", "1", *words])
        return self.run

    @property
    def run(self) -> dict:
        return json.loads((self.reports / "latest" / "run.json").read_text())

    def states(self) -> dict[str, int]:
        return {name: n for name, n in self.run["equation"].items() if n and name != "files_found"}

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.reports / "latest" / name)

    def current(self) -> pd.DataFrame:
        keys = ["path", "frame_number"]
        return self.table("current").sort_values(keys).set_index(keys).drop(columns=IGNORED)


@pytest.fixture
def nights(tmp_path, generated_archive, monkeypatch):
    nights = Nights(tmp_path, generated_archive)
    read = LocalArchive.read

    def noting(self, location, max_bytes):
        if self.root == nights.archive:  # and not the model's golden images
            nights.opened.append(location.path)
        return read(self, location, max_bytes)

    monkeypatch.setattr(LocalArchive, "read", noting)
    nights.score()
    return nights


FAILED = {"inbox/truncated.jpg", "inbox/text-named.jpg", "inbox/empty.jpg", "inbox/grey.png"}


def test_the_second_night_opens_only_what_failed_and_the_fourth_nothing(nights):
    before = nights.current()
    for opened in (FAILED, FAILED, set()):
        nights.score()
        assert set(nights.opened) == opened
        assert nights.states() == {"unchanged": 16, "unscored": 4, "non_image": 3}
    pd.testing.assert_frame_equal(nights.current(), before)
    assert len(nights.table("predictions")) == 0
    assert len(pd.read_parquet(nights.reports / "latest" / "alerts.parquet")) == 0
    assert len(nights.table("unscored")) == 4


def test_every_night_tells_how_it_compares_and_what_the_golden_images_gave(nights):
    first = nights.run["review"]
    assert first["canary"]["images"] == 4
    assert first["canary"]["largest_difference"] <= first["canary"]["tolerance"]
    scores = first["figures"]["melanoma_score"]
    assert sum(scores["images_from"].values()) == nights.run["frames"]["predictions"]
    assert scores["mean"] == pytest.approx(
        nights.table("predictions")["melanoma_score"].mean(), 1e-5
    )
    for _ in range(3):
        review = nights.score()["review"]
    assert review["canary"] is None  # the fourth night opens no model
    assert review["earlier_nights"] == 3 and not review["unusual"]
    named = {drift["name"]: drift for drift in review["drift"] if drift["against"] == "last nights"}
    assert named["brightness"]["level"] == "not judged"
    assert named["brightness"]["reference"] == sum(first["figures"]["device"].values())


def test_a_moved_a_copied_and_a_deleted_file(nights, monkeypatch):
    """Known content is not scored again: the model must not even be asked."""
    before = nights.current()
    photographs = nights.archive / "photographs"
    (photographs / "lesion-1.jpg").rename(nights.archive / "moved.jpg")
    shutil.copy(nights.archive / "dicom/patient-2/visit-1/sequence.dcm", photographs / "copy.dcm")
    (photographs / "lesion-2.jpg").unlink()
    run = nights.score()
    assert nights.states() == {"unchanged": 14, "reused": 2, "unscored": 4, "non_image": 3}
    assert run["left_archive"] == 2
    assert len(nights.table("predictions")) == 0
    now = nights.current()
    assert set(now.index.get_level_values(0)) - set(before.index.get_level_values(0)) == {
        "moved.jpg", "photographs/copy.dcm",
    }  # fmt: skip
    was = before.loc["photographs/lesion-1.jpg"]
    pd.testing.assert_frame_equal(now.loc["moved.jpg"], was)
    frames = before.loc["dicom/patient-2/visit-1/sequence.dcm"]
    pd.testing.assert_frame_equal(now.loc["photographs/copy.dcm"], frames)
    assert "photographs/lesion-2.jpg" not in now.index


def test_a_replaced_file_is_scored_and_a_repaired_one_too(nights):
    photographs, inbox = nights.archive / "photographs", nights.archive / "inbox"
    shutil.copy(photographs / "lesion-2.jpg", photographs / "lesion-1.jpg")  # known content
    Image.effect_noise((200, 200), 80).convert("RGB").save(photographs / "lesion-3.jpg")
    Image.effect_noise((200, 200), 50).convert("RGB").save(inbox / "truncated.jpg")
    run = nights.score()
    assert nights.states() == {
        "scored": 2, "unchanged": 14, "reused": 1, "unscored": 3, "non_image": 3,
    }  # fmt: skip
    assert run["read_because"] == {"changed": 3, "again": 3}
    scores = nights.current()["melanoma_score"]
    assert scores["photographs/lesion-1.jpg"].iloc[0] == scores["photographs/lesion-2.jpg"].iloc[0]


@pytest.mark.parametrize(
    ("words", "opened"),
    [
        (("--exclude", "modality=XC"), {"dicom"}),
        (("--identifiers", "none"), {"dicom"}),
        (("--limit", "frames=63"), set()),
        (("--order", "path", "--batch-size", "7", "--segment-size", "3"), set()),
    ],
)
def test_another_rule_reads_what_it_concerns_and_nothing_else(nights, words, opened):
    nights.score(*words)
    assert {path.split("/")[0] for path in nights.opened if path not in FAILED} == opened


def test_without_identifiers_the_remembered_ones_go_too(nights):
    assert nights.current()["study_instance_uid"].notna().any()
    nights.score("--identifiers", "none")
    assert nights.current()["study_instance_uid"].isna().all()
    uids = pd.concat([nights.table("current")["image_id"], nights.table("unscored")["image_id"]])
    assert uids.dropna().str.startswith("sha256:").all()


@pytest.fixture
def recalibrated(artifact_copy):
    """The bundled model with a threshold that nothing reaches."""
    from dataclasses import replace

    manifest = read_manifest(artifact_copy)
    point = replace(manifest.operating_points[0], name="strict", threshold=1.0)
    strict = replace(
        manifest, operating_points=(*manifest.operating_points, point), golden_tolerance=1e-3
    )
    write_manifest(strict, artifact_copy)
    return artifact_copy


def test_another_operating_point_scores_nothing_and_alerts_turn(nights, recalibrated):
    alerts = pd.read_parquet(nights.reports / "latest" / "alerts.parquet")
    words = ("--model", str(recalibrated), "--operating-point")
    nights.score(*words, "strict")
    assert set(nights.opened) <= FAILED
    assert not nights.table("current")["is_alert"].any()
    assert set(nights.table("current")["threshold"]) == {1.0}
    run = nights.score(*words, "sensitivity-0.95")
    assert set(nights.opened) <= FAILED
    turned = pd.read_parquet(nights.reports / "latest" / "alerts.parquet")
    assert run["alerts_by_operating_point"] == len(turned) == len(alerts) > 0
    assert set(turned["path"]) == set(alerts["path"])
    assert list(turned["melanoma_score"]) == sorted(turned["melanoma_score"], reverse=True)


def test_another_output_contract_scores_again_what_has_scores(nights, artifact_copy):
    from dataclasses import replace

    manifest = read_manifest(artifact_copy)
    calibrated = replace(manifest.output, calibrated=True)
    write_manifest(replace(manifest, output=calibrated), artifact_copy)
    run = nights.score("--model", str(artifact_copy))
    assert run["read_because"] == {"model": 16, "again": 4}
    assert nights.states() == {"scored": 16, "unscored": 4, "non_image": 3}


def test_what_does_not_fit_before_the_deadline_waits_and_keeps_its_old_score(nights):
    before = nights.current()
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 255, (60, 60, 3), np.uint8)
        Image.fromarray(noise).save(nights.archive / f"new-{number}.png")
    nights.score("--max-duration", "0s")
    assert nights.code == ExitCode.STOPPED_EARLY
    assert nights.run["stopped"] == "deadline"
    assert nights.run["pending_by_reason"] == {"out_of_time": 7}
    pd.testing.assert_frame_equal(nights.current(), before)
    assert len(nights.table("unscored")) == 4
    nights.score()
    assert nights.code == ExitCode.COMPLETE
    assert nights.states() == {"scored": 3, "unchanged": 16, "unscored": 4, "non_image": 3}


def test_a_young_unreadable_file_waits_and_a_young_good_one_does_not(nights):
    (nights.archive / "half.jpg").write_bytes(
        (nights.archive / "photographs" / "lesion-0.jpg").read_bytes()[:3000]
    )
    Image.effect_noise((90, 90), 50).convert("RGB").save(nights.archive / "whole.png")
    nights.score()
    assert nights.run["pending_by_reason"] == {"unreadable_and_young": 1}
    assert nights.states()["scored"] == 1
    os.utime(nights.archive / "half.jpg", (WRITTEN_AT, WRITTEN_AT))
    nights.score()
    assert nights.run["unscored_by_reason"]["decode_failed"] == 2


def test_files_that_have_not_settled_are_left_alone(nights):
    Image.effect_noise((90, 90), 50).convert("RGB").save(nights.archive / "whole.png")
    nights.score("--settle", "3600")
    assert nights.run["pending_by_reason"] == {"not_settled": 1}
    assert "whole.png" not in nights.opened
    nights.score("--settle", "0")
    assert nights.states()["scored"] == 1


def test_an_archive_that_lost_most_of_its_files_is_refused_unless_accepted(nights, capsys):
    shutil.rmtree(nights.archive / "photographs")
    shutil.rmtree(nights.archive / "dicom/patient-1")
    before = os.readlink(nights.reports / "latest")
    nights.score()
    assert nights.code == ExitCode.NO_IMAGES
    assert "of the 23 files that the last night found" in capsys.readouterr().err
    assert os.readlink(nights.reports / "latest") == before
    nights.score("--accept-shrunken-archive")
    assert nights.code == ExitCode.COMPLETE
    assert nights.run["left_archive"] == 14


def test_an_archive_that_is_suddenly_empty_is_refused(nights, capsys):
    shutil.rmtree(nights.archive)
    nights.archive.mkdir()
    nights.score()
    assert nights.code == ExitCode.NO_IMAGES
    assert "Is the archive mounted?" in capsys.readouterr().err


UNCHANGED = """
import sys
from batch.cli import main
code = main(sys.argv[1:])
loaded = [name for name in ("tensorflow", "keras", "apache_beam") if name in sys.modules]
print("loaded:", loaded)
sys.exit(code)
"""


def test_a_night_without_work_loads_neither_tensorflow_nor_beam(nights):
    nights.score()
    nights.score()
    command = [*SCORE, str(nights.archive), "--output", str(nights.reports)]
    night = subprocess.run(
        [sys.executable, "-c", UNCHANGED, *command], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert night.returncode == ExitCode.COMPLETE, night.stderr
    assert "loaded: []" in night.stdout


def test_inventory_tells_what_the_night_then_does_and_writes_nothing(nights, capsys):
    (nights.archive / "photographs" / "lesion-1.jpg").rename(nights.archive / "moved.jpg")
    Image.effect_noise((90, 90), 50).convert("RGB").save(nights.archive / "new.png")
    before = sorted(nights.reports.rglob("*"))
    capsys.readouterr()
    words = [str(nights.archive), "--output", str(nights.reports)]
    assert main(["inventory", *SCORE[1:], *words]) == ExitCode.COMPLETE
    said = capsys.readouterr().out
    assert sorted(nights.reports.rglob("*")) == before
    assert "To be read          6 (new 2, again 4)" in said
    assert "                    1 of these have the size of known content" in said
    assert "Unchanged          15" in said
    nights.score()
    assert nights.states() == {
        "scored": 1, "unchanged": 15, "reused": 1, "unscored": 4, "non_image": 3,
    }  # fmt: skip


def test_current_is_described_and_written_as_one_file(nights, tmp_path, capsys):
    file = tmp_path / "current.parquet"
    assert main(["current", str(nights.reports), "--output", str(file)]) == ExitCode.COMPLETE
    assert "18 images have a score" in capsys.readouterr().out
    pd.testing.assert_frame_equal(pd.read_parquet(file), nights.table("current"))
    for words, message in (
        ((str(nights.reports), "--output", f"{tmp_path}/x.csv"), "ends in .parquet"),
        ((str(nights.reports), "--output", f"{nights.reports}/x.parquet"), "is inside"),
        ((str(nights.reports), "--output", f"{tmp_path}/no/x.parquet"), "cannot write"),
        ((str(tmp_path / "nowhere"),), "no published night"),
    ):
        assert main(["current", *words]) == ExitCode.USAGE
        assert message in capsys.readouterr().err


def test_runs_prune_and_metrics_know_the_nights_that_score_wrote(nights, tmp_path, capsys):
    metrics, log = tmp_path / "night.prom", tmp_path / "night.log"
    for _ in range(2):
        nights.score("--metrics-file", str(metrics), "--log-file", str(log), "--log-format", "json")
    text = metrics.read_text()
    assert 'melanoma_batch_files{state="unchanged"} 16.0' in text
    assert "melanoma_batch_exit_code 0.0" in text
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line["run_id"] for line in lines} >= {nights.run["run_id"]}
    capsys.readouterr()
    assert main(["runs", str(nights.reports)]) == ExitCode.COMPLETE
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert main(["prune", str(nights.reports), "--keep", "1"]) == ExitCode.COMPLETE
    nights.score()
    assert nights.states() == {"unchanged": 16, "unscored": 4, "non_image": 3}


def test_metrics_are_written_after_a_failure_too(nights, tmp_path):
    metrics = tmp_path / "night.prom"
    shutil.rmtree(nights.archive)
    nights.archive.mkdir()
    nights.score("--metrics-file", str(metrics))
    assert "melanoma_batch_exit_code 3.0" in metrics.read_text()
    assert "melanoma_batch_last_success_timestamp_seconds" in metrics.read_text()
