"""The equation: what was found is what became of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.core.errors import FailureReason, LedgerImbalance, Stage
from batch.core.records import FileReading, FileState, ImageLocation, Unscored
from batch.reports.ledger import Counts, check_balance, conclude_file, equation

LOCATION = ImageLocation("a.dcm", 10, 20)
GOOD = Counts(
    files_found=10,
    file_rows=10,
    distinct_paths=10,
    states={"scored": 3, "unchanged": 2, "unscored": 2, "non_image": 2, "pending": 1},
    frames=9,
    frames_scored=6,
    frames_unscored=3,
    frames_scored_tonight=4,
    predictions=4,
    current=6,
    distinct_current=6,
    unscored_rows=3,
    unscored_tonight=2,
    unscored_again=1,
    alerts=2,
    turned=1,
    predictions_with_alert=1,
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
        ({"states": {"scored": 3}}, "files by state: 10 against 3"),
        ({"states": {**GOOD.states, "invented": 0, "pending": 0}}, "files by state: 10 against 9"),
        ({"frames": 8}, "frames = scored"),
        ({"predictions": 3}, "frames scored tonight = predictions: 4 against 3"),
        ({"predictions": 5}, "frames scored tonight = predictions: 4 against 5"),
        ({"current": 5}, "frames scored = rows of current: 6 against 5"),
        ({"distinct_current": 5}, "rows of current = different images: 6 against 5"),
        ({"unscored_rows": 2}, "rows of unscored: 3 against 2"),
        ({"alerts": 1}, "alerts: 2 against 1"),
        ({"turned": 0}, "alerts: 1 against 2"),
    ],
)
def test_whatever_does_not_add_up_is_named(change, names):
    with pytest.raises(LedgerImbalance, match=names):
        check_balance(replace(GOOD, **change))


def test_the_unscored_rate_is_of_what_is_new_tonight():
    """Two images were tried without success, one of them not for the first time."""
    assert GOOD.unscored_rate == pytest.approx(1 / 5)
    assert GOOD.tried == 6
    assert replace(GOOD, predictions=0, unscored_again=2).unscored_rate == 0


@pytest.mark.parametrize(
    ("changes", "images"),
    [
        ({}, 9),
        ({"current": 0, "unscored_reasons": {"not_a_regular_file": 3}}, 0),
        ({"current": 0, "unscored_rows": 0, "unscored_reasons": {}}, 0),
        ({"current": 0, "unscored_rows": 0, "pending_reasons": {"changed_while_read": 4}}, 0),
        ({"current": 0, "unscored_rows": 0, "pending_reasons": {"out_of_time": 4}}, 4),
    ],
)
def test_links_pipes_and_files_in_flux_are_no_sign_of_an_archive(changes, images):
    assert replace(GOOD, **changes).images == images


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


@pytest.mark.parametrize(
    ("state", "failed", "before", "after"),
    [
        (None, [unscored()], 0, 1),
        (None, [unscored()], 2, 3),
        (None, [], 2, 0),
        (FileState.PENDING, [], 2, 2),
        (FileState.REUSED, [], 2, 0),
    ],
)
def test_attempts_count_runs_in_a_row_without_success(state, failed, before, after):
    frames = 0 if state else 1
    reading = FileReading(ImageLocation("a.dcm", 10, 20, before), frames, state=state)
    outcome = conclude_file([reading], [1] * (frames - len(failed)), failed)
    assert outcome.attempts == after


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
