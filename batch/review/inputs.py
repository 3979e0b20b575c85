"""What the review needs of published tables: tonight's, and what earlier nights hand on."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from batch.core.errors import SchemaMismatch, UsageError
from batch.core.records import KEPT_ATTRIBUTES, FileState, OperatingPoint
from batch.reports import parquet
from batch.reports.local import RUN_FILE, LocalReports
from batch.reports.schema import TABLES
from batch.review.identity import told_changes
from batch.review.monitoring.history import NightRecord, night_record
from batch.review.monitoring.night_report import LAST_NIGHTS
from batch.review.worklist.build import DETAIL_COLUMNS, GROUPING_COLUMNS, Tonight
from batch.review.worklist.contract import ReviewFacts
from batch.review.worklist.frames import model_names
from batch.review.worklist.lesion_images import EarlierScore
from batch.review.worklist.mark_limits import remembered_until
from batch.review.worklist.previous_list import Remembered
from batch.review.worklist.tiers import near_from
from batch.storage.files import read_json

_SECOND = len("20260101T000000Z")


def is_earlier(night: str, run_id: str) -> bool:
    """Whether a published night came before a run; both are run ids.

    A run id begins with the second of its start. Of one second are only nights that were short and
    followed each other at once; they all came before the one that asks.
    """
    return night != run_id and night[:_SECOND] <= run_id[:_SECOND]


def earlier_nights(
    reports: LocalReports, run_id: str, last: int = LAST_NIGHTS
) -> list[NightRecord]:
    """The complete nights before one, newest first, at most `last`.

    A night whose run.json cannot be read is passed over, and the one before it takes its place.

    Args:
        run_id: of the night that is compared; run ids begin with the time of their start.
    """
    found: list[NightRecord] = []
    for earlier in reports.nights():
        if not is_earlier(earlier, run_id):
            continue
        run = read_json(reports.night(earlier) / RUN_FILE)
        record = night_record(run) if run is not None else None
        if record is not None:
            found.append(record)
        if len(found) == last:
            break
    return found


WORKLIST = "review_worklist"


MOST_NIGHTS = 1000
"""Earlier nights whose scores are looked up; of each only the listed images' are read."""


_UNSCORED = (
    "path", "path_bytes", "image_id", "frame_number", "content_sha256", "stage", "reason", "detail",
    *KEPT_ATTRIBUTES,
)  # fmt: skip


_FEW_WORDS = (
    "model_id", "model_version", "model_sha256", "run_id", "patient_pseudonym", "patient_id",
    "issuer_of_patient_id", "lesion_id", "study_instance_uid",
)  # fmt: skip
"""The same words in many rows: read as numbers that stand for them."""


_SCORES = (
    "image_id", "melanoma_score", "scored_at", "model_id", "model_version", "model_sha256", "path",
    "lesion_id",
)  # fmt: skip


_UNREADABLE = (OSError, pa.ArrowException, SchemaMismatch, KeyError, ValueError)
"""What a damaged file of an earlier night raises; the night is passed over."""


def read_tonight(folder: Path, run: Mapping[str, Any]) -> Tonight:
    """The tables of a night, being gathered or published.

    Args:
        folder: of the tables. run: run.json.

    Raises:
        UsageError: run.json lacks what must stand on every page.
    """
    unscored = parquet.read_columns("unscored", folder / "unscored", _UNSCORED)
    counted = parquet.count_by(folder / "files", ["state", "reason"])
    passed_over = (FileState.NON_IMAGE.value, FileState.PENDING.value)
    not_looked_at = {
        f"{row['state']}: {row['reason']}": row["rows"]
        for row in sorted(counted, key=lambda row: (row["state"], row["reason"] or ""))
        if row["state"] in passed_over
    }
    facts = facts_of(run)
    return Tonight(_images(folder / "current"), unscored.to_pandas(), not_looked_at, facts)


def _images(folder: Path) -> pd.DataFrame:
    """`GROUPING_COLUMNS` of every image; a million of them take a few hundred megabytes."""
    parts = [_with_numbers(part) for part in parquet.stream("current", folder, GROUPING_COLUMNS)]
    none = _with_numbers(parquet.schema("current").empty_table().select(list(GROUPING_COLUMNS)))
    rows = pa.concat_tables([none, *parts]).unify_dictionaries()
    parts.clear()
    images = rows.to_pandas(self_destruct=True, split_blocks=True)
    del rows
    pa.default_memory_pool().release_unused()
    return images


def _with_numbers(rows: pa.Table) -> pa.Table:
    """The rows with numbers that stand for words, in columns with few of them."""
    for name in _FEW_WORDS:
        index = rows.schema.get_field_index(name)
        rows = rows.set_column(index, name, rows[name].dictionary_encode())
    return rows


def facts_of(run: Mapping[str, Any]) -> ReviewFacts:
    """What run.json tells of night and model.

    Raises:
        UsageError: it lacks something.
    """
    try:
        model, equation = run["model"], run["equation"]
        told = dict(model["operating_point"])
        for name in ("sensitivity_interval", "specificity_interval"):
            told[name] = tuple(told[name])
        point = OperatingPoint(**told)
        return ReviewFacts(
            run_id=run["run_id"],
            night=run["started_at"],
            model_id=model["model_id"],
            model_version=model["model_version"],
            model_sha256=model["model_sha256"],
            caution=model["caution"] or None,
            operating_point=point,
            near_from=near_from(point.threshold),
            archive={"files": equation["files_found"]},
            changed=told_changes(run),
        )
    except (KeyError, TypeError) as error:
        raise UsageError(
            f"REPORTS: {RUN_FILE} of this night does not tell its model and operating point: "
            "damaged, or of an older version. Score once more, then rebuild."
        ) from error


@dataclass(frozen=True)
class NightSources:
    """`worklist.Sources` of a reports folder. folder: of the night. run_id: of the night."""

    reports: LocalReports
    folder: Path
    run_id: str

    def details(self, rows: pd.Index) -> pd.DataFrame:
        """`DETAIL_COLUMNS` of these rows of `current`."""
        wanted, start, found = rows.sort_values(), 0, []
        for part in parquet.stream("current", self.folder / "current", DETAIL_COLUMNS):
            here = wanted[(wanted >= start) & (wanted < start + len(part))]
            some = part.take(pa.array(here - start, pa.int64())).to_pylist()
            found += some
            start += len(part)
        return pd.DataFrame(found, columns=list(DETAIL_COLUMNS), index=wanted, dtype=object)

    def history(self, image_ids: Collection[str]) -> Iterator[tuple[str, EarlierScore]]:
        """Scores of earlier nights."""
        ids = pa.array(sorted(image_ids), pa.string())
        for run_id in _earlier(self.reports, self.run_id)[:MOST_NIGHTS] if len(ids) else ():
            folder = self.reports.night(run_id) / "predictions"
            with suppress(*_UNREADABLE):
                yield from _scores(folder, ids)


def read_remembered(reports: LocalReports, run_id: str) -> Remembered:
    """The newest list before a night, and the alerts of nights after it that have none."""
    alerted: dict[str, str] = {}
    for earlier in _earlier(reports, run_id)[:MOST_NIGHTS]:
        folder = reports.night(earlier)
        night = _start(folder)
        if night is None:
            continue
        with suppress(*_UNREADABLE):
            rows = _rows(folder / f"{WORKLIST}.parquet")
            return Remembered(night, remembered_until(rows, night), alerted)
        with suppress(*_UNREADABLE):
            ids = parquet.read_file_columns(folder / "alerts.parquet", ["image_id"])
            alerted |= dict.fromkeys(ids["image_id"].to_pylist(), night)  # the oldest night stays
    return Remembered(alerted=alerted)


def _start(folder: Path) -> str | None:
    """When a night began, ISO 8601; None when its run.json does not tell."""
    started = str((read_json(folder / RUN_FILE) or {}).get("started_at"))
    try:
        return datetime.fromisoformat(started).astimezone(UTC).isoformat()
    except (TypeError, ValueError):
        return None


def _earlier(reports: LocalReports, run_id: str) -> list[str]:
    """Nights before one, newest first; run ids begin with the time of their start."""
    return [night for night in reports.nights() if is_earlier(night, run_id)]


def _scores(folder: Path, ids: pa.Array) -> Iterator[tuple[str, EarlierScore]]:
    for part in parquet.stream("predictions", folder, _SCORES):
        found = part.filter(pc.is_in(part["image_id"], value_set=ids)).to_pandas()
        if len(found):
            names = "image_id", "scored_at", "melanoma_score", "path", "lesion_id"
            columns = [found[name] for name in names]
            for image_id, when, score, path, lesion, model in zip(
                *columns, model_names(found), strict=True
            ):
                place = path, lesion if isinstance(lesion, str) else None
                yield image_id, EarlierScore(when.to_pydatetime(), score, model, place)


def _rows(file: Path) -> tuple[dict[str, Any], ...]:
    rows = parquet.read_part(WORKLIST, file).to_pylist()
    return tuple({column.name: _plain(row[column.name], column.type) for column in TABLES[WORKLIST]}
                 for row in rows)  # fmt: skip


def _plain(value: Any, kind: str) -> Any:
    """A value as the review has it: dicts, ISO times, NaN for a missing number."""
    if kind == "double" and value is None:
        return math.nan
    if kind.startswith("map") and value is not None:
        return dict(value)
    if kind.startswith("timestamp") and value is not None:
        return value.isoformat()
    return value
