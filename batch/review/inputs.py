"""Reads the tables that the review needs, of tonight and of earlier nights."""

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
from batch.review.identity import recorded_changes
from batch.review.manifest_account import manifest_sentences
from batch.review.monitoring.history import NightRecord, night_record
from batch.review.monitoring.night_report import LAST_NIGHTS
from batch.review.worklist.build import DETAIL_COLUMNS, GROUPING_COLUMNS, NightTables
from batch.review.worklist.contract import ReviewFacts
from batch.review.worklist.frames import model_names
from batch.review.worklist.lesion_images import EarlierScore
from batch.review.worklist.mark_limits import with_marks_before
from batch.review.worklist.previous_list import PreviousList
from batch.review.worklist.tiers import near_from
from batch.storage.files import read_json

_SECOND = len("20260101T000000Z")


def is_earlier(night: str, run_id: str) -> bool:
    """Whether a published night came before a run; both are run ids.

    A run id begins with the second of its start. A published night with the same second was short,
    and came before the run that asks.
    """
    return night != run_id and night[:_SECOND] <= run_id[:_SECOND]


def earlier_nights(
    reports: LocalReports, run_id: str, last: int = LAST_NIGHTS
) -> list[NightRecord]:
    """The complete nights before a night, newest first.

    A night whose run.json cannot be read does not count.

    Args:
        reports: where they are.
        run_id: of the night.
        last: most nights.
    """
    records: list[NightRecord] = []
    for earlier in reports.nights():
        if not is_earlier(earlier, run_id):
            continue
        run = read_json(reports.night(earlier) / RUN_FILE)
        record = night_record(run) if run is not None else None
        if record is not None:
            records.append(record)
        if len(records) == last:
            break
    return records


WORKLIST = "review_worklist"


MOST_NIGHTS = 1000
"""Most earlier nights whose scores are read, and only those of images that may be listed."""


_UNSCORED = (
    "path", "path_bytes", "image_id", "frame_number", "content_sha256", "stage", "reason", "detail",
    *KEPT_ATTRIBUTES,
)  # fmt: skip


_FEW_WORDS = (
    "model_id", "model_version", "model_sha256", "run_id", "patient_pseudonym", "patient_id",
    "issuer_of_patient_id", "lesion_id", "study_instance_uid",
)  # fmt: skip
"""Columns in which few words repeat in many rows; they are read as numbers that stand for words."""


_SCORES = (
    "image_id", "melanoma_score", "scored_at", "model_id", "model_version", "model_sha256", "path",
    "lesion_id",
)  # fmt: skip


_UNREADABLE = (OSError, pa.ArrowException, SchemaMismatch, KeyError, ValueError)
"""Errors of a damaged file of an earlier night; the night is then left out."""


def read_tonight(folder: Path, run: Mapping[str, Any]) -> NightTables:
    """Read the tables of a night that is being gathered, or is published.

    Args:
        folder: of the tables.
        run: content of run.json.

    Raises:
        UsageError: run.json lacks what every page must say.
    """
    unscored = parquet.read_columns("unscored", folder / "unscored", _UNSCORED)
    counted = parquet.count_by(folder / "files", ["state", "reason"])
    unread_states = (FileState.NON_IMAGE.value, FileState.PENDING.value)
    not_looked_at = {
        f"{row['state']}: {row['reason']}": row["rows"]
        for row in sorted(counted, key=lambda row: (row["state"], row["reason"] or ""))
        if row["state"] in unread_states
    }
    facts = facts_of(run)
    return NightTables(_images(folder / "current"), unscored.to_pandas(), not_looked_at, facts)


def _images(folder: Path) -> pd.DataFrame:
    """`GROUPING_COLUMNS` of every image; a million images take a few hundred megabytes."""
    parts = [_with_numbers(part) for part in parquet.stream("current", folder, GROUPING_COLUMNS)]
    none = _with_numbers(parquet.schema("current").empty_table().select(list(GROUPING_COLUMNS)))
    rows = pa.concat_tables([none, *parts]).unify_dictionaries()
    parts.clear()
    images = rows.to_pandas(self_destruct=True, split_blocks=True)
    del rows
    pa.default_memory_pool().release_unused()
    return images


def _with_numbers(rows: pa.Table) -> pa.Table:
    """The rows, with numbers instead of words in `_FEW_WORDS`."""
    for name in _FEW_WORDS:
        index = rows.schema.get_field_index(name)
        rows = rows.set_column(index, name, rows[name].dictionary_encode())
    return rows


def facts_of(run: Mapping[str, Any]) -> ReviewFacts:
    """Night and model, as run.json describes them.

    Raises:
        UsageError: run.json lacks something.
    """
    try:
        model, equation = run["model"], run["equation"]
        point_values = dict(model["operating_point"])
        for name in ("sensitivity_interval", "specificity_interval"):
            point_values[name] = tuple(point_values[name])
        point = OperatingPoint(**point_values)
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
            changed=recorded_changes(run),
            manifest=manifest_sentences(run),
        )
    except (KeyError, TypeError) as error:
        raise UsageError(
            f"REPORTS: {RUN_FILE} of this night lacks its model or operating point; it is damaged, "
            "or of an older version. Run `score` once more, then `worklist`."
        ) from error


@dataclass(frozen=True)
class NightSources:
    """`ListSources` of a reports folder. folder, run_id: of the night."""

    reports: LocalReports
    folder: Path
    run_id: str

    def details(self, rows: pd.Index) -> pd.DataFrame:
        """See `ListSources`."""
        numbers, first, details = rows.sort_values(), 0, []
        for part in parquet.stream("current", self.folder / "current", DETAIL_COLUMNS):
            in_part = numbers[(numbers >= first) & (numbers < first + len(part))]
            details += part.take(pa.array(in_part - first, pa.int64())).to_pylist()
            first += len(part)
        return pd.DataFrame(details, columns=list(DETAIL_COLUMNS), index=numbers, dtype=object)

    def history(self, image_ids: Collection[str]) -> Iterator[tuple[str, EarlierScore]]:
        """See `ListSources`."""
        ids = pa.array(sorted(image_ids), pa.string())
        for run_id in _earlier(self.reports, self.run_id)[:MOST_NIGHTS] if len(ids) else ():
            folder = self.reports.night(run_id) / "predictions"
            with suppress(*_UNREADABLE):
                yield from _scores(folder, ids)


def read_remembered(reports: LocalReports, run_id: str) -> PreviousList:
    """Read the newest list before a night, and the alerts of the nights after that list."""
    alerted: dict[str, str] = {}
    for earlier in _earlier(reports, run_id)[:MOST_NIGHTS]:
        folder = reports.night(earlier)
        night = _start(folder)
        if night is None:
            continue
        with suppress(*_UNREADABLE):
            rows = _rows(folder / f"{WORKLIST}.parquet")
            return PreviousList(night, with_marks_before(rows, night), alerted)
        with suppress(*_UNREADABLE):
            ids = parquet.read_file_columns(folder / "alerts.parquet", ["image_id"])
            alerted |= dict.fromkeys(ids["image_id"].to_pylist(), night)  # the oldest night stays
    return PreviousList(alerted=alerted)


def _start(folder: Path) -> str | None:
    """When a night began, ISO 8601; None if its run.json does not say."""
    started = str((read_json(folder / RUN_FILE) or {}).get("started_at"))
    try:
        return datetime.fromisoformat(started).astimezone(UTC).isoformat()
    except (TypeError, ValueError):
        return None


def _earlier(reports: LocalReports, run_id: str) -> list[str]:
    """Run ids of the nights before a night, newest first."""
    return [night for night in reports.nights() if is_earlier(night, run_id)]


def _scores(folder: Path, ids: pa.Array) -> Iterator[tuple[str, EarlierScore]]:
    for part in parquet.stream("predictions", folder, _SCORES):
        earlier = part.filter(pc.is_in(part["image_id"], value_set=ids)).to_pandas()
        if len(earlier):
            names = "image_id", "scored_at", "melanoma_score", "path", "lesion_id"
            columns = [earlier[name] for name in names]
            for image_id, when, score, path, lesion, model in zip(
                *columns, model_names(earlier), strict=True
            ):
                place = path, lesion if isinstance(lesion, str) else None
                yield image_id, EarlierScore(when.to_pydatetime(), score, model, place)


def list_of_night(folder: Path) -> tuple[dict[str, Any], ...]:
    """The rows of a night's published list; none where it has none that can be read."""
    with suppress(*_UNREADABLE):
        return _rows(folder / f"{WORKLIST}.parquet")
    return ()


def _rows(file: Path) -> tuple[dict[str, Any], ...]:
    rows = parquet.read_part_of_any_version(WORKLIST, file).to_pylist()
    return tuple({column.name: _plain(row[column.name], column.type) for column in TABLES[WORKLIST]}
                 for row in rows)  # fmt: skip


def _plain(value: Any, kind: str) -> Any:
    """A value of a table as the review uses it: dicts, ISO times, NaN for a missing number."""
    if kind == "double" and value is None:
        return math.nan
    if kind.startswith("map") and value is not None:
        return dict(value)
    if kind.startswith("timestamp") and value is not None:
        return value.isoformat()
    return value
