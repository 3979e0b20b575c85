"""Writes a text file for node_exporter's textfile collector.

The file is replaced in one step. After a run that published nothing it has no metrics of a night.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from batch.core.errors import FailureReason, PendingReason, UsageError
from batch.core.records import FileState
from batch.reports.run_reader import RUNS, latest_run, read_record
from batch.reports.run_record import RunRecord, record_of
from batch.review.monitoring.flag_counts import FLAGS, flag_counts_from_json, shown_groups

PREFIX = "melanoma_batch_"
_MARKS = ("taken", "without_effect", "not_understood")
_STOPPED_BY = ("deadline", "signal")
_VALUES = {
    "images_scored": ("frames.predictions", "images scored by the run"),
    "images_current": ("current.images", "images in the archive that have a prediction"),
    "alerts": ("alerts", "alerts of the run"),
    "left_archive": ("left_archive", "files known last night and gone now"),
    "images_per_second": ("images_per_second", "images read a second, where some were scored"),
    "unscored_rate": ("unscored_rate", "share of the images that have no score, 0 to 1"),
}
_REASONS: tuple[tuple[str, Iterable[str]], ...] = (
    ("unscored", FailureReason),
    ("pending", PendingReason),
)


def write_metrics(
    path: Path, reports: Path, exit_code: int, finished_at: float, run: Mapping[str, Any] | None
) -> None:
    """Write the metrics of a run that has ended.

    Args:
        path: the file.
        reports: their folder.
        exit_code: of the run.
        finished_at: seconds since 1970.
        run: content of run.json; None if the run published nothing.


    Raises:
        UsageError: the file cannot be written.
    """
    registry = CollectorRegistry()
    set_one(registry, "exit_code", "exit code of the last run", exit_code)
    set_one(registry, "last_run_timestamp_seconds", "end of the last run", finished_at)
    success = _last_success(reports)
    if success is not None:
        set_one(
            registry, "last_success_timestamp_seconds", "end of the last published run", success
        )
    if run is not None:
        _night(registry, record_of(run))
    write_registry(path, registry)


def _night(registry: CollectorRegistry, run: RunRecord) -> None:
    """Set the metrics of a published night."""
    states = {state.value: getattr(run.equation, state.value) for state in FileState}
    set_each(registry, "files", "files by what became of them", "state", states)
    for name, members in _REASONS:
        zeros = dict.fromkeys((str(member) for member in members), 0)
        counted: dict[str, int] = getattr(run, f"{name}_by_reason")
        set_each(registry, name, f"{name} by reason", "reason", zeros | counted)
    for name, (attribute, text) in _VALUES.items():
        value = attrgetter(attribute)(run)
        if value is not None:
            set_one(registry, name, text, value)
    started, finished = run.start, run.finish
    if started and finished:
        seconds = (finished - started).total_seconds()
        set_one(registry, "duration_seconds", "wall time of the run", seconds)
    if run.review and run.review.unusual is not None:
        text = "1 when the night is unlike the nights before it"
        set_one(registry, "unusual", text, float(run.review.unusual))
    stopped = {by: float(run.stopped == by) for by in _STOPPED_BY}
    set_each(registry, "stopped", "1 when the run was stopped early", "by", stopped)
    _review(registry, run)
    _flags(registry, run)
    labels = {
        name: getattr(run.model, name) or ""
        for name in ("model_id", "model_version", "model_sha256")
    }
    info = Gauge(PREFIX + "model_info", "model of the run", labels, registry=registry)
    info.labels(**labels).set(1)


def _review(registry: CollectorRegistry, run: RunRecord) -> None:
    """Set the metrics of marks, and of options that group images."""
    worklist = run.review.worklist if run.review else None
    marks = {state: worklist.marks.get(state) for state in _MARKS} if worklist else {}
    set_each(registry, "marks", "marks of people by what became of them", "state", marks)
    text = "options that group images, and are others than in the night before"
    if run.identity is not None:
        set_one(registry, "identity_changes", text, len(run.identity.changed))


def _flags(registry: CollectorRegistry, run: RunRecord) -> None:
    """Set the shares of flagged images of tonight: of all, by device and by site."""
    counts = flag_counts_from_json(run.review.flags if run.review else None)
    if counts is None:
        return
    everything = counts.archive
    shares = {flag: everything.share(flag) for flag in FLAGS}
    set_each(registry, "flag_rate", "share of tonight's images with a flag", "flag", shares)
    for label, groups in (("device", counts.devices), ("site", counts.sites)):
        text = f"share of tonight's images with a flag, by {label}"
        gauge = Gauge(PREFIX + f"flag_rate_by_{label}", text, ["flag", label], registry=registry)
        for name, group in shown_groups(groups):
            for flag in FLAGS:
                gauge.labels(flag, name).set(group.share(flag) or 0.0)


def set_one(registry: CollectorRegistry, name: str, text: str, value: float) -> None:
    """Add a metric with one value. name: without `PREFIX`."""
    Gauge(PREFIX + name, text, registry=registry).set(value)


def set_each(
    registry: CollectorRegistry,
    name: str,
    text: str,
    label: str,
    values: Mapping[str, float | None],
) -> None:
    """Add a metric with a value for each member of a label; None gives no sample."""
    gauge = Gauge(PREFIX + name, text, [label], registry=registry)
    for member, value in values.items():
        if value is not None:
            gauge.labels(member).set(value)


def _last_success(reports: Path) -> float | None:
    """When the night of `latest` ended, in seconds since 1970; None if unknown."""
    latest = latest_run(reports)
    record = read_record(reports / RUNS / latest) if latest else None
    finished = record.finish if record else None
    return finished.timestamp() if finished else None


def write_registry(path: Path, registry: CollectorRegistry) -> None:
    """Replace a file by these metrics, in one step.

    Raises:
        UsageError: it cannot be written.
    """
    if os.path.lexists(path) and not os.path.isfile(path):  # the rename would replace /dev/null
        raise UsageError(f"--metrics-file: {path} is no regular file; give the name of a file.")
    try:
        write_to_textfile(str(path), registry)
    except OSError as error:
        raise UsageError(
            f"--metrics-file: cannot write {path} ({error.strerror}). Check its folder and the "
            "permissions there."
        ) from error
