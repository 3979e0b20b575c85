"""The ledger: what became of every file and frame, and whether the counts add up. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from batch.errors import FailureReason, LedgerImbalance
from batch.records import FileOutcome, FileReading, FileState, Unscored


def conclude_file(
    readings: Iterable[FileReading], scored: Iterable[int], unscored: Iterable[Unscored]
) -> FileOutcome:
    """One file's outcome from its reading and its frames' results.

    A file with at least one prediction is `scored`, even when other frames of it are not; these
    stand in `unscored` and are counted beside.

    Raises:
        LedgerImbalance: not exactly one reading, or frames without a result.
    """
    readings, frames_scored, failed = list(readings), sum(scored), list(unscored)
    if len(readings) != 1:
        raise LedgerImbalance(f"a file was read {len(readings)} times; allowed: once.")
    reading = readings[0]
    if frames_scored + len(failed) != reading.frames:
        raise LedgerImbalance(
            f"a file with {reading.frames} frames has {frames_scored} predictions and "
            f"{len(failed)} unscored frames."
        )
    first = min(failed, key=lambda item: item.frame_number or 0) if failed else None
    state = reading.state or (FileState.SCORED if frames_scored else FileState.UNSCORED)
    reason, detail = reading.reason, reading.detail
    if state == FileState.UNSCORED and first is not None:
        reason, detail = first.reason.value, first.detail
    return FileOutcome(
        location=reading.location,
        state=state,
        reason=reason,
        detail=detail,
        content_sha256=reading.content_sha256,
        file_format=reading.file_format,
        frames=reading.frames,
        frames_scored=frames_scored,
        frames_unscored=len(failed),
    )


@dataclass(frozen=True)
class Counts:
    """What the written tables hold, counted from the tables themselves.

    files_found: what the inventory listed. file_rows, distinct_paths: rows of `files`, and how
    many different files they name. states: rows of `files` by state. frames*: sums over `files`.
    predictions, unscored_rows, alerts: rows of these tables. *_reasons: rows by reason.
    """

    files_found: int
    file_rows: int
    distinct_paths: int
    states: Mapping[str, int]
    frames: int
    frames_scored: int
    frames_unscored: int
    predictions: int
    unscored_rows: int
    alerts: int
    predictions_with_alert: int
    unscored_reasons: Mapping[str, int]
    non_image_reasons: Mapping[str, int]
    pending_reasons: Mapping[str, int]

    @property
    def images(self) -> int:
        """Images that are settled: scored, or unscored with a reason that an image can have.

        A link or a pipe is accounted for as unscored, but is no sign that this is an archive.
        """
        irregular = self.unscored_reasons.get(FailureReason.NOT_A_REGULAR_FILE.value, 0)
        return self.predictions + self.unscored_rows - irregular

    @property
    def unscored_rate(self) -> float:
        """Share of the settled images and frames that have no score, 0..1."""
        settled = self.predictions + self.unscored_rows
        return self.unscored_rows / settled if settled else 0.0

    def state(self, state: FileState) -> int:
        """Files in this state."""
        return self.states.get(state.value, 0)


def check_balance(counts: Counts) -> None:
    """The equation: files found = sum of the states; frames = predictions + unscored.

    Raises:
        LedgerImbalance: names every equation that does not hold.
    """
    by_state = sum(counts.state(state) for state in FileState)
    equations = (
        ("files found = files by state", counts.files_found, by_state),
        ("files found = rows of files", counts.files_found, counts.file_rows),
        ("files found = different files", counts.files_found, counts.distinct_paths),
        (
            "frames = scored + unscored",
            counts.frames,
            counts.frames_scored + counts.frames_unscored,
        ),
        ("frames scored = predictions", counts.frames_scored, counts.predictions),
        ("frames unscored = unscored rows", counts.frames_unscored, counts.unscored_rows),
        ("predictions with alert = alerts", counts.predictions_with_alert, counts.alerts),
    )
    broken = [f"{name}: {left} against {right}" for name, left, right in equations if left != right]
    if broken:
        raise LedgerImbalance(
            "the counts do not add up, so nothing is published: " + "; ".join(broken) + "."
        )


def equation(counts: Counts) -> dict[str, int]:
    """The equation as it stands in run.json: every state, zero ones too."""
    return {"files_found": counts.files_found} | {
        state.value: counts.state(state) for state in FileState
    }
