"""The memory of a run: the newest readable night, and the segments of runs that died.

There is no database; the published snapshots are the memory. A damaged night is skipped, and the
summary names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.core.errors import FailureReason, NonImageReason
from batch.core.records import FileState, Fingerprints
from batch.reports import parquet
from batch.reports.local import (
    RUN_FILE,
    SEGMENT_FILE,
    SNAPSHOTS,
    LocalReports,
    committed_segments,
    is_intact,
)
from batch.reports.schema import READABLE_VERSIONS
from batch.storage.files import read_json

MAX_ATTEMPTS = 3
"""After so many runs, a file that cannot be scored is tried again only after a change."""

_PLANNING = (
    "path", "path_bytes", "size", "mtime_ns", "content_sha256", "file_format", "state", "reason",
    "frames", "frames_scored", "frames_unscored", "attempts", "program_version",
    "failure_fingerprint", "identity_fingerprint", "scoring_fingerprint",
)  # fmt: skip
_DICOM_REASONS = (
    NonImageReason.DICOM_WITHOUT_PIXELS,
    NonImageReason.DICOM_OTHER_KIND,
    NonImageReason.EXCLUDED_BY_RULE,
)
_IN_SEGMENTS = ("predictions", "alerts", "unscored", "files")
ALWAYS_AGAIN = (
    FailureReason.NOT_READABLE,
    FailureReason.VANISHED,
    FailureReason.NOT_A_REGULAR_FILE,
)
"""Files with these reasons are tried in every run. Trying is cheap, and the remedy (a permission, a
mount) does not change the file's size or time."""

_BY_MODEL = (
    FailureReason.MODEL_FAILED,
    FailureReason.MODEL_INPUT_INVALID,
    FailureReason.SCORE_NOT_FINITE,
)


@dataclass(frozen=True)
class Segment:
    """A committed segment of a run that did not publish."""

    folder: Path
    run_id: str


@dataclass(frozen=True)
class Memory:
    """What earlier runs left for this one.

    run_id: of the night that is remembered; None if there is none.
    folder: of that night.
    files: its snapshot `files`, a row a file in the order on disk, with `key`, the bytes of the
        name.
    damaged: run ids of nights that were skipped because they could not be read.
    segments: committed segments of runs that died.
    segment_files: rows of `files` in these segments, with the number of the segment.
    """

    run_id: str | None
    folder: Path | None
    files: pa.Table
    damaged: tuple[str, ...]
    segments: tuple[Segment, ...]
    segment_files: pa.Table


def remember(reports: LocalReports, segment_facts: dict[str, Any]) -> Memory:
    """Read the memory of a reports folder.

    Args:
        segment_facts: `rows.segment_facts` of this run; segments with other facts are not used.
    """
    run_id, damaged = _newest_readable(reports)
    folder = reports.night(run_id) if run_id else None
    files = parquet.read_columns("files", folder / "files" if folder else None, _PLANNING)
    segments = _usable_segments(reports, segment_facts)
    return Memory(run_id, folder, _with_key(files), damaged, segments, _segment_files(segments))


def staying_rows(files: pa.Table, now: Fingerprints) -> np.ndarray:
    """Which rows of `files` would be the same tonight if the file has not changed.

    Args:
        files: with the columns of `Memory.files`.
        now: fingerprints of this run.

    Returns:
        (rows,) bool. A pending file stays only if it has scores, e.g. because its folder could not
        be listed in the last night.
    """

    def equal(column: str, value: str) -> np.ndarray:
        return _mask(pc.equal(files[column], value))

    def among(column: str, values: Sequence[str]) -> np.ndarray:
        return _mask(pc.is_in(files[column], value_set=pa.array([str(v) for v in values])))

    state_is_non_image = equal("state", FileState.NON_IMAGE)
    has_scores = files["frames_scored"].to_numpy() > 0
    has_failures = files["frames_unscored"].to_numpy() > 0
    is_dicom = equal("file_format", "dicom") | among("reason", _DICOM_REASONS)
    same_program = equal("program_version", now.program_version)
    same_scoring = equal("scoring_fingerprint", now.scoring)
    tried_enough = files["attempts"].to_numpy() >= MAX_ATTEMPTS
    failures_stay = (
        same_program
        & equal("failure_fingerprint", now.failure)
        & tried_enough
        & ~among("reason", ALWAYS_AGAIN)
        & (same_scoring | ~among("reason", _BY_MODEL))
    )
    return (
        (has_scores | ~equal("state", FileState.PENDING))
        & (same_scoring | ~has_scores)
        & (equal("identity_fingerprint", now.identity) | ~is_dicom)
        & (same_program | ~state_is_non_image)
        & (failures_stay | ~has_failures)
    )


def earlier_attempts(files: pa.Table, now: Fingerprints) -> np.ndarray:
    """(rows,) int64, earlier attempts; 0 after a change of the program, of decoders or limits."""
    comparable = _mask(pc.equal(files["program_version"], now.program_version)) & _mask(
        pc.equal(files["failure_fingerprint"], now.failure)
    )
    return np.where(comparable, files["attempts"].to_numpy().astype(np.int64), 0)


def reusable(files: pa.Table, staying: np.ndarray) -> np.ndarray:
    """(rows,) bool, files of which every frame has a score that is valid tonight."""
    scored = files["frames_scored"].to_numpy() > 0
    return staying & scored & (files["frames_unscored"].to_numpy() == 0)


def _newest_readable(reports: LocalReports) -> tuple[str | None, tuple[str, ...]]:
    latest = reports.latest()
    older = [night for night in reports.nights() if night != latest]
    damaged: list[str] = []
    for run_id in [*([latest] if latest else []), *older]:
        folder = reports.whole_night(run_id)
        run = read_json(folder / RUN_FILE)
        version = run.get("schema_version") if run is not None else None
        if isinstance(version, int) and version not in READABLE_VERSIONS:
            continue  # another schema version, with other columns
        if run is not None and not all((folder / name).is_dir() for name in SNAPSHOTS):
            continue  # pruned
        if run is not None and is_intact(folder, run.get("parts"), SNAPSHOTS):
            return run_id, tuple(damaged)
        damaged.append(run_id)
    return None, tuple(damaged)


def _usable_segments(reports: LocalReports, expected: dict[str, Any]) -> tuple[Segment, ...]:
    """Segments of the newest run first, so that the latest reading of a file counts."""
    segments = []
    for work in reports.unpublished():
        for folder in committed_segments(work):
            facts = read_json(folder / SEGMENT_FILE) or {}
            parts = facts.pop("parts", None)
            if facts == expected and is_intact(folder, parts, _IN_SEGMENTS):
                segments.append(Segment(folder, work.name))
    return tuple(segments)


def _segment_files(segments: Sequence[Segment]) -> pa.Table:
    """Rows of all segments, one a file; the first segment with the file counts."""
    tables, seen = [], pa.array([], pa.binary())
    for number, segment in enumerate(segments):
        rows = _with_key(parquet.read_columns("files", segment.folder / "files", _PLANNING))
        rows = rows.filter(pc.invert(pc.is_in(rows["key"], value_set=seen)))
        seen = pa.concat_arrays([seen, *rows["key"].chunks])
        tables.append(rows.append_column("segment", pa.array(np.full(len(rows), number))))
    if not tables:
        no_rows = _with_key(parquet.read_columns("files", None, _PLANNING))
        return no_rows.append_column("segment", pa.array([], pa.int64()))
    return pa.concat_tables(tables)


def _with_key(files: pa.Table) -> pa.Table:
    key = keys_of(files)
    return files.drop_columns(["path", "path_bytes"]).append_column("key", key)


def keys_of(rows: pa.Table) -> pa.ChunkedArray:
    """The bytes of the file names in a table with `path` and `path_bytes`."""
    return pc.coalesce(rows["path_bytes"], pc.cast(rows["path"], pa.binary()))


def _mask(values: Any) -> np.ndarray:
    """An Arrow boolean array as (n,) bool; null is False."""
    return pc.fill_null(values, False).to_numpy(zero_copy_only=False).astype(bool)
