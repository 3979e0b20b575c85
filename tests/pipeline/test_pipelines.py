"""The Beam pipeline with known classifiers: every file found becomes exactly one row of `files`."""

from __future__ import annotations

import collections
import os
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from batch.archive.local import LocalArchive, list_archive
from batch.core.config import Order
from batch.core.errors import UsageError
from batch.core.rules import ReadingRules
from batch.demo.archive import EXPECTED_STATES
from batch.demo.dicom_writer import jpeg_bytes
from batch.demo.lesions import lesion_image
from batch.pipeline import results as written_parts
from batch.pipeline.pipelines import SegmentJob, queue_segment, run_segment
from batch.pipeline.runner import pipeline_options
from batch.reports import parquet
from batch.reports.ledger import check_balance
from batch.reports.local import LocalReports
from batch.reports.rows import segment_facts
from batch.run.memory import remember
from batch.run.merge import GatheringCounts, QueueProgress, count_night, gather_night
from batch.run.plan import make_plan
from batch.runtime.terminal import FILES_READ, Counter
from tests.support.archives import FACTS, OUTPUT, BrightnessClassifier, FailingClassifier


def job(archive: Path, load=BrightnessClassifier, **changes: object) -> SegmentJob:
    values = {
        "archive": LocalArchive(archive),
        "load": load,
        "output": OUTPUT,
        "facts": FACTS,
        "batch_size": 4,
        "decode_threads": 2,
        "rules": ReadingRules(),
        "beam_options": (),
    }
    return SegmentJob(**(values | changes))


def run(archive: Path, root: Path, segment_size: int = 100, **changes: object):
    """A first night without the command line: its counts, and the folder of its tables."""
    reports = LocalReports(root)
    memory = remember(reports, segment_facts(FACTS))
    plan = make_plan(list_archive(archive), memory, FACTS.fingerprints, Order.PATH)
    staging = reports.start(FACTS.run_id)
    for number, start in enumerate(range(0, len(plan.queue), segment_size)):
        folder = staging.segment_at_work(number)
        files = plan.queued(start, start + segment_size)
        segment = queue_segment(files, staging.shared(number), folder)
        run_segment(job(archive, **changes), segment)
        staging.commit(number, segment_facts(FACTS))
    gathered = gather_night(staging, plan, QueueProgress(len(plan.queue)), FACTS)
    counts = count_night(staging.night, len(plan), FACTS.run_id, gathered)
    check_balance(counts)
    return counts, staging.night


def frames(staging: Path) -> dict[str, pd.DataFrame]:
    return {name: pd.read_parquet(staging / name) for name in ("predictions", "unscored", "files")}


@pytest.fixture(scope="module")
def scored(generated_archive, tmp_path_factory):
    return run(generated_archive, tmp_path_factory.mktemp("reports"))


def test_the_counts_of_the_generated_archive(scored):
    counts, _ = scored
    assert counts.states == EXPECTED_STATES
    assert (counts.predictions, counts.unscored_rows) == (18, 4)


def test_every_file_found_has_one_row(scored, generated_archive):
    _, staging = scored
    found = sorted(location.path for location in list_archive(generated_archive))
    assert sorted(frames(staging)["files"]["path"]) == found


def test_scores_belong_to_their_images(scored, generated_archive):
    """The fake scores brightness: recomputed from each file, it is the row's score."""
    from batch.archive.reader import read_image

    _, staging = scored
    predictions = frames(staging)["predictions"]
    single = predictions[predictions["frame_number"].isna()]
    assert len(single) == 15
    for row in single.itertuples():
        expected = read_image(generated_archive / row.path).pixels.mean() / 255
        assert row.melanoma_score == pytest.approx(expected, abs=1e-6)


def test_the_rows_do_not_depend_on_segments_batches_or_threads(scored, generated_archive, tmp_path):
    _, staging = scored
    _, other = run(generated_archive, tmp_path, segment_size=5, batch_size=3, decode_threads=1)
    for name, frame in frames(staging).items():
        pd.testing.assert_frame_equal(frame, frames(other)[name])


def small_archive(root: Path, brightnesses: list[int]) -> Path:
    import numpy as np
    from PIL import Image

    root.mkdir()
    for number, brightness in enumerate(brightnesses):
        pixels = np.full((20, 20, 3), brightness, np.uint8)
        pixels[-1, -1] ^= 1  # exactly one colour would not be scored
        Image.fromarray(pixels).save(root / f"{number:03d}.png")
    return root


def test_a_model_that_fails_on_one_image_costs_one_row(tmp_path):
    archive = small_archive(tmp_path / "archive", [10, 11, 12, 13, 14, 15])
    counts, night = run(archive, tmp_path / "out", load=partial(FailingClassifier, brightness=13))
    assert (counts.predictions, counts.unscored_rows) == (5, 1)
    tables_ = frames(night)
    assert tables_["unscored"][["path", "stage", "reason"]].to_numpy().tolist() == [
        ["003.png", "score", "model_failed"]
    ]
    states = dict(zip(tables_["files"]["path"], tables_["files"]["state"], strict=True))
    assert collections.Counter(states.values()) == {"scored": 5, "unscored": 1}
    assert states["003.png"] == "unscored"


def test_nobodys_words_reach_the_tables(tmp_path):
    """The failing classifier's message quotes a name."""
    archive = small_archive(tmp_path / "archive", [13])
    run(archive, tmp_path / "out", load=partial(FailingClassifier, brightness=13))
    for part in (tmp_path / "out").rglob("*.parquet"):
        assert b"Jane" not in part.read_bytes()


def test_alerts_are_the_predictions_at_or_above_the_threshold(tmp_path):
    archive = small_archive(tmp_path / "archive", [0, 127, 128, 255])
    counts, night = run(archive, tmp_path / "out")
    alerts = pd.read_parquet(night / "alerts.parquet")
    assert list(alerts["path"]) == ["003.png", "002.png"]
    assert counts.alerts == 2


def test_a_name_that_is_not_utf8_goes_all_the_way(tmp_path):
    name = os.fsdecode(b"l\xe4sion.jpg")
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / name).write_bytes(jpeg_bytes(lesion_image(1, 40, 40)))
    _, night = run(tmp_path / "archive", tmp_path / "out")
    for frame in ("predictions", "files"):
        (row,) = frames(night)[frame].itertuples()
        assert os.fsdecode(row.path_bytes) == name


def test_an_archive_without_any_score_has_every_table(tmp_path):
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "a.txt").write_text("hello")
    counts, night = run(tmp_path / "archive", tmp_path / "out")
    assert counts.states == {"non_image": 1}
    assert parquet.count_rows(night / "predictions") == 0


def test_a_lost_part_is_noticed(scored, tmp_path, generated_archive):
    """A table whose rows go missing between pipeline and ledger: the counts differ."""
    from batch.core.errors import LedgerImbalance

    _, night = run(generated_archive, tmp_path / "out")
    part = next((night / "predictions").iterdir())
    parquet.pq.write_table(parquet.pq.read_table(part).slice(1), part)
    counts = count_night(night, 23, FACTS.run_id, GatheringCounts(scored[0].alerts, 0, 0))
    with pytest.raises(LedgerImbalance, match="frames scored tonight = predictions: 18 against 17"):
        check_balance(counts)


def test_work_that_an_engine_does_twice_leaves_one_result(
    scored, generated_archive, tmp_path, monkeypatch
):
    """Beam's runner repeats every bundle: workers write more parts than there are in the end."""
    wrote, write = [], written_parts.write_parts

    def write_parts(*arguments):
        wrote.append(write(*arguments))
        return wrote[-1]

    monkeypatch.setattr("batch.pipeline.pipelines.parts.write_parts", write_parts)
    _, night = run(generated_archive, tmp_path, beam_options=("--direct_runner_bundle_repeat", "2"))
    assert len(wrote) == 3
    assert len({part.name for written in wrote for part in written}) == 3 * len(wrote[0])
    for name, frame in frames(scored[1]).items():
        pd.testing.assert_frame_equal(frame, frames(night)[name])


def test_progress_comes_from_beams_counters_where_workers_are_elsewhere(
    generated_archive, tmp_path, monkeypatch
):
    """Without what the workers count in this process, the console sees what the runner tells."""
    monkeypatch.setattr("batch.pipeline.dofns.FILES_READ", Counter())
    before = FILES_READ.value
    run(generated_archive, tmp_path)
    assert FILES_READ.value - before == 23


def test_progress_counts_a_file_once(generated_archive, tmp_path):
    before = FILES_READ.value
    run(generated_archive, tmp_path, segment_size=10)
    assert FILES_READ.value - before == 23


def test_the_local_runner_is_named_in_full():
    runner = pipeline_options([]).get_all_options()["runner"]
    assert runner == "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


@pytest.mark.parametrize("words", [["--runer", "FlinkRunner"], ["stray"]])
def test_a_misspelt_beam_option_is_an_error(words):
    with pytest.raises(UsageError, match="Beam options after `--`: unknown"):
        pipeline_options(words)


def test_a_beam_option_reaches_beam():
    words = ["--runner", "FlinkRunner", "--job_endpoint", "localhost:8099", "--parallelism", "3"]
    options = pipeline_options(words)
    assert options.get_all_options()["runner"] == "FlinkRunner"
    assert options.get_all_options()["parallelism"] == 3


def test_an_engine_that_would_be_fetched_from_the_network_is_refused():
    with pytest.raises(UsageError, match="--flink_job_server_jar or --job_endpoint"):
        pipeline_options(["--runner", "FlinkRunner"])
