"""The equation: what was found is what became of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.errors import FailureReason, LedgerImbalance, Stage
from batch.records import FileReading, FileState, ImageLocation, Unscored
from batch.reports.ledger import Counts, check_balance, conclude_file, equation

LOCATION = ImageLocation("a.dcm", 10, 20)
GOOD = Counts(
    files_found=10,
    file_rows=10,
    distinct_paths=10,
    states={"scored": 5, "unscored": 2, "non_image": 2, "pending": 1},
    frames=9,
    frames_scored=6,
    frames_unscored=3,
    predictions=6,
    unscored_rows=3,
    alerts=2,
    predictions_with_alert=2,
    unscored_reasons={"decode_failed": 3},
    non_image_reasons={"other_file_type": 2},
    pending_reasons={"changed_while_read": 1},
)


def unscored(frame_number=None, reason=FailureReason.DECODE_FAILED):
    return Unscored("a.dcm", Stage.DECODE, reason, "why", frame_number=frame_number)


def test_a_balanced_ledger_passes():
    check_balance(GOOD)
    assert sum(v for k, v in equation(GOOD).items() if k != "files_found") == 10


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"files_found": 11}, "files by state: 11 against 10"),
        ({"file_rows": 9}, "rows of files: 10 against 9"),
        ({"distinct_paths": 9}, "different files: 10 against 9"),
        ({"states": {"scored": 5}}, "files by state: 10 against 5"),
        ({"states": {**GOOD.states, "invented": 0, "pending": 0}}, "files by state: 10 against 9"),
        ({"frames": 8}, "frames = scored"),
        ({"predictions": 5}, "frames scored = predictions: 6 against 5"),
        ({"predictions": 7}, "frames scored = predictions: 6 against 7"),
        ({"unscored_rows": 2}, "unscored rows: 3 against 2"),
        ({"alerts": 1}, "alerts: 2 against 1"),
    ],
)
def test_whatever_does_not_add_up_is_named(change, names):
    with pytest.raises(LedgerImbalance, match=names):
        check_balance(replace(GOOD, **change))


def test_the_unscored_rate_is_of_images_that_were_settled():
    assert GOOD.unscored_rate == pytest.approx(3 / 9)
    assert replace(GOOD, predictions=0, unscored_rows=0).unscored_rate == 0


def test_links_and_pipes_are_no_sign_of_an_archive():
    assert GOOD.images == 9
    alone = replace(GOOD, predictions=0, unscored_reasons={"not_a_regular_file": 3})
    assert alone.images == 0


@pytest.mark.parametrize(
    ("scored", "failed", "state", "reason"),
    [
        ([1], [], FileState.SCORED, None),
        ([1, 1], [unscored(3)], FileState.SCORED, None),
        ([], [unscored()], FileState.UNSCORED, "decode_failed"),
        (
            [],
            [unscored(2, FailureReason.NOT_COLOUR), unscored(1)],
            FileState.UNSCORED,
            "decode_failed",
        ),
    ],
)
def test_a_file_becomes_what_its_frames_became(scored, failed, state, reason):
    reading = FileReading(LOCATION, len(scored) + len(failed), "sha", "dicom")
    outcome = conclude_file([reading], scored, failed)
    assert (outcome.state, outcome.reason) == (state, reason)
    assert (outcome.frames_scored, outcome.frames_unscored) == (len(scored), len(failed))


@pytest.mark.parametrize("state", [FileState.NON_IMAGE, FileState.PENDING])
def test_what_reading_decided_stands(state):
    reading = FileReading(LOCATION, 0, state=state, reason="because")
    outcome = conclude_file([reading], [], [])
    assert (outcome.state, outcome.reason, outcome.frames) == (state, "because", 0)


@pytest.mark.parametrize("count", [0, 2])
def test_a_file_that_was_not_read_once_is_an_imbalance(count):
    with pytest.raises(LedgerImbalance, match=f"read {count} times"):
        conclude_file([FileReading(LOCATION, 1)] * count, [1], [])


@given(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
def test_frames_and_results_must_agree(frames, scored, failed):
    arguments = [FileReading(LOCATION, frames)], [1] * scored, [unscored()] * failed
    if frames == scored + failed:
        assert conclude_file(*arguments).frames == frames
    else:
        with pytest.raises(LedgerImbalance, match=f"a file with {frames} frames"):
            conclude_file(*arguments)
