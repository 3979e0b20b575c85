"""The ledger: what became of every file and frame, and whether the counts add up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from batch.core.errors import FailureReason, LedgerImbalance, PendingReason
from batch.core.records import FileOutcome, FileReading, FileState, Prediction, Unscored


def conclude_file(
    readings: Iterable[FileReading], scored: Iterable[int], unscored: Iterable[Unscored]
) -> FileOutcome:
    """Make a file's outcome from its reading and the results of its frames.

    A file with at least one prediction is `scored`, even if other frames have no score; these have
    rows in `unscored` and are counted apart.

    Args:
        readings: of the file.
        scored: numbers of scored frames.
        unscored: its frames without a score.

    Raises:
        LedgerImbalance: the file does not have exactly one reading, or frames have no result.
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
        attempts=_attempts(reading, failed),
    )


def conclude_files(
    readings: Iterable[FileReading],
    predictions: Iterable[Prediction],
    unscored: Iterable[Unscored],
) -> list[FileOutcome]:
    """The outcome of every file, sorted by path.

    Raises:
        LedgerImbalance: as in `conclude_file`.
    """
    by_path: dict[str, tuple[list[FileReading], list[int], list[Unscored]]] = {}

    def results_of(path: str) -> tuple[list[FileReading], list[int], list[Unscored]]:
        return by_path.setdefault(path, ([], [], []))

    for reading in readings:
        results_of(reading.location.path)[0].append(reading)
    for prediction in predictions:
        results_of(prediction.record.path)[1].append(1)
    for item in unscored:
        results_of(item.path)[2].append(item)
    return [conclude_file(*by_path[path]) for path in sorted(by_path)]


def _attempts(reading: FileReading, failed: list[Unscored]) -> int:
    earlier = reading.location.attempts
    if reading.state == FileState.PENDING:
        return earlier
    return earlier + 1 if failed else 0


@dataclass(frozen=True)
class Counts:
    """Counts of a night's tables, read back from the disk.

    files_found: files that the inventory listed.
    file_rows: rows of `files`.
    distinct_paths: different files in `files`.
    states: rows of `files` by state.
    frames, frames_scored, frames_unscored: sums over `files`.
    frames_scored_tonight: of files in state `scored`.
    predictions, current: rows of these tables.
    distinct_current: different images in `current`.
    unscored_rows: rows of `unscored`.
    unscored_tonight: those of this run.
    unscored_again: those of this run in files that already failed before and are unchanged.
    alerts: rows of `alerts`.
    turned: predictions of earlier nights that became alerts tonight.
    predictions_with_alert: rows of `predictions` with an alert.
    unscored_reasons, non_image_reasons, pending_reasons: rows by reason.
    """

    files_found: int
    file_rows: int
    distinct_paths: int
    states: Mapping[str, int]
    frames: int
    frames_scored: int
    frames_unscored: int
    frames_scored_tonight: int
    predictions: int
    current: int
    distinct_current: int
    unscored_rows: int
    unscored_tonight: int
    unscored_again: int
    alerts: int
    turned: int
    predictions_with_alert: int
    unscored_reasons: Mapping[str, int]
    non_image_reasons: Mapping[str, int]
    pending_reasons: Mapping[str, int]

    @property
    def images(self) -> int:
        """Number of images, and of files that may be images; 0 is a sign of a wrong folder.

        Links and pipes, which are unscored, do not count, nor do files that changed while they were
        read.
        """
        irregular = self.unscored_reasons.get(FailureReason.NOT_A_REGULAR_FILE.value, 0)
        waiting = sum(self.pending_reasons.get(reason.value, 0) for reason in _PENDING_IMAGES)
        return self.current + self.unscored_rows - irregular + waiting

    @property
    def tried(self) -> int:
        """Images that this run read, with or without a score."""
        return self.predictions + self.unscored_tonight

    @property
    def new_unscored(self) -> int:
        """Images without a score tonight that did not fail in the same way before."""
        return self.unscored_tonight - self.unscored_again

    @property
    def unscored_rate(self) -> float:
        """Share without a score, 0..1, of the images that are new tonight."""
        new = self.predictions + self.new_unscored
        return self.new_unscored / new if new else 0.0

    @property
    def not_started(self) -> int:
        """Number of files that wait because no process could be started for their decoder."""
        return self.pending_reasons.get(PendingReason.DECODER_NOT_STARTED.value, 0)

    def state(self, state: FileState) -> int:
        """Number of files in this state."""
        return self.states.get(state.value, 0)


_PENDING_IMAGES = (
    PendingReason.OUT_OF_TIME,
    PendingReason.STOPPED,
    PendingReason.NOT_SETTLED,
    PendingReason.UNREADABLE_AND_YOUNG,
    PendingReason.DECODER_NOT_STARTED,
)


def check_balance(counts: Counts) -> None:
    """Check that every file has one state and every frame is scored or unscored.

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
        ("frames scored = rows of current", counts.frames_scored, counts.current),
        ("rows of current = different images", counts.current, counts.distinct_current),
        ("frames unscored = rows of unscored", counts.frames_unscored, counts.unscored_rows),
        (
            "frames scored tonight = predictions",
            counts.frames_scored_tonight,
            counts.predictions,
        ),
        (
            "predictions with alert + turned = alerts",
            counts.predictions_with_alert + counts.turned,
            counts.alerts,
        ),
    )
    broken = [f"{name}: {left} against {right}" for name, left, right in equations if left != right]
    if broken:
        raise LedgerImbalance(
            "the counts do not add up, so nothing is published: " + "; ".join(broken) + "."
        )


def equation(counts: Counts) -> dict[str, int]:
    """The equation for run.json: files found, and files by state, also those with none."""
    return {"files_found": counts.files_found} | {
        state.value: counts.state(state) for state in FileState
    }
