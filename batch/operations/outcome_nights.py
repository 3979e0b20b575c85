"""Reads what every night published, as far as outcomes need it: one pass over the nights.

`prune` removes the snapshots `files` and `current`. Predictions, alerts, worklist and run.json stay
for ever, and from them follows what each night showed; so nothing is lost to outcomes by pruning.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batch.core.errors import UsageError
from batch.core.rules import lesion_pattern
from batch.core.text import one_line
from batch.evaluation.coverage import OF_PREDICTIONS
from batch.evaluation.shown import Nights, ends_of
from batch.reports import parquet
from batch.reports.local import LocalReports
from batch.reports.run_reader import StoredRun, age_rank, stored_runs
from batch.review.worklist.grouping import group_images

IDENTITY = (
    "path", "image_id", "content_sha256", "sop_instance_uid", "lesion_id", "study_instance_uid",
    "accession_number", "patient_pseudonym", "patient_id", "issuer_of_patient_id",
)  # fmt: skip
_SHOWN = (
    *OF_PREDICTIONS, "model_id",
    "model_version", "model_sha256", "melanoma_score", "threshold", "is_alert",
)  # fmt: skip
_NO_ROWS = parquet.schema("predictions").empty_table().select([*IDENTITY, *_SHOWN])
WORKLIST_COLUMNS = ("lesion_key", "score_tier", "max_score", "threshold")
_UNSCORED = ("path", "image_id", "content_sha256")
_NO_DATE = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class NightRecords:
    """What the nights published.

    run_ids: (N,) of the complete nights that can be read, oldest first.
    folders: of these nights.
    nights: the same nights for `evaluation.shown`.
    images: `IDENTITY`, what was shown, night, end, score, scoring, lesion and patient (a number,
        -1 if unknown); a row for each image and the night that scored it.
    names: `IDENTITY` and lesion of images that the newest night knows at another path.
    lesion_keys: key of each lesion number. patient_keys: of each patient number.
    first_alert: lesion number to the first night with an alert of it.
    unscored: path, image_id and content_sha256 of what had no score in the newest night.
    left_out: run ids that could not be used, by reason.
    scoring_names: scoring fingerprint of each number in `nights.scoring` and `images.scoring`.
    """

    run_ids: list[str]
    folders: list[Path]
    nights: Nights
    images: pd.DataFrame
    names: pd.DataFrame
    lesion_keys: pd.Series
    patient_keys: pd.Series
    first_alert: pd.Series
    unscored: pd.DataFrame
    left_out: dict[str, list[str]]
    scoring_names: tuple[str, ...] = ()


def read_nights(reports: LocalReports) -> NightRecords:
    """Read predictions and alerts of all nights, and names from the newest one.

    Raises:
        UsageError: there is no night, or REPORTS cannot be read.
    """
    left_out: dict[str, list[str]] = {"incomplete": [], "without_date": [], "damaged": []}
    used: list[StoredRun] = []
    tables, alerts = [], []
    for run in sorted(stored_runs(reports.root), key=age_rank):
        name = one_line(run.folder.name, 100)
        if not run.complete:
            left_out["incomplete"].append(name)
            continue
        if age_rank(run)[0] == _NO_DATE:
            left_out["without_date"].append(name)
            continue
        try:
            folder = _there(run.folder / "predictions")
            rows = pa.concat_tables(
                [_NO_ROWS, *parquet.stream("predictions", folder, (*IDENTITY, *_SHOWN))]
            )
            raised = pq.ParquetFile(run.folder / "alerts.parquet").read(["image_id", "path"])
        except (OSError, ValueError, KeyError):  # errors of Arrow are subclasses of these
            left_out["damaged"].append(name)
            continue
        night = pa.array(np.full(len(rows), len(used)))
        tables.append(rows.append_column("night", night))
        alerts.append(raised.append_column("night", pa.array(np.full(len(raised), len(used)))))
        used.append(run)
    if not used:
        raise UsageError(
            f"REPORTS: no complete night that can be read in {reports.place}; found "
            f"{ {why: len(names) for why, names in left_out.items()} }. Let a run of `score` end "
            "first."
        )
    return _records(reports, used, pa.concat_tables(tables), pa.concat_tables(alerts), left_out)


def worklist_rows(folder: Path, lesion_keys: Collection[str]) -> pa.Table:
    """What the worklist of a night said of some lesions: WORKLIST_COLUMNS; none without a list.

    A row of a lesion that had left the archive has no tier and is left out.
    """
    try:
        rows = pq.ParquetFile(folder / "review_worklist.parquet").read(list(WORKLIST_COLUMNS))
    except (OSError, ValueError, KeyError):
        return _NO_LIST
    wanted = pc.is_in(rows["lesion_key"], value_set=pa.array(list(lesion_keys), pa.string()))
    return rows.filter(pc.and_(wanted, rows["score_tier"].is_valid()))


_NO_LIST = parquet.schema("review_worklist").empty_table().select(list(WORKLIST_COLUMNS))


def _records(
    reports: LocalReports,
    used: list[StoredRun],
    predictions: pa.Table,
    alerts: pa.Table,
    left_out: dict[str, list[str]],
) -> NightRecords:
    newest = used[-1].folder.name
    known = _newest(reports, newest)
    images = predictions.to_pandas()
    names = known.to_pandas()
    both = pd.concat([images[list(IDENTITY)], names], ignore_index=True)
    options = used[-1].record.options if used[-1].record else None
    written = options.lesion_pattern if options else None
    groups = group_images(both, lesion_pattern(written) if written else None)
    both["lesion"], both["patient"] = groups.lesion.codes, groups.patient.codes
    images["lesion"] = groups.lesion.codes[: len(images)]
    images["patient"] = groups.patient.codes[: len(images)]
    nights, scoring, scoring_names = _nights(used)
    images["scoring"] = scoring[images["night"].to_numpy(np.int64)] if len(images) else 0
    paths = pd.factorize(images["path"])[0]
    images["end"] = ends_of(paths, images["night"].to_numpy(np.int64), len(used))
    images = images.rename(columns={"melanoma_score": "score"})
    return NightRecords(
        run_ids=[run.folder.name for run in used],
        folders=[run.folder for run in used],
        nights=nights,
        images=images,
        names=both.iloc[len(images) :].reset_index(drop=True),
        lesion_keys=groups.lesion.words,
        patient_keys=groups.patient.words,
        first_alert=_first_alert(alerts.to_pandas(), both),
        unscored=_table(
            "unscored", reports.whole_night(newest) / "unscored", _UNSCORED
        ).to_pandas(),
        left_out={why: found for why, found in left_out.items() if found},
        scoring_names=scoring_names,
    )


def _newest(reports: LocalReports, run_id: str) -> pa.Table:
    """Names of the newest night's images: content that moved has its new path only there."""
    return _table("current", reports.whole_night(run_id) / "current", IDENTITY)


def _table(table: str, folder: Path, columns: Iterable[str]) -> pa.Table:
    """Columns of a snapshot; no rows where it was pruned or is damaged."""
    try:
        return parquet.read_columns(table, folder if folder.is_dir() else None, list(columns))
    except (OSError, ValueError, KeyError):
        return parquet.read_columns(table, None, list(columns))


def _first_alert(alerts: pd.DataFrame, both: pd.DataFrame) -> pd.Series:
    """Lesion to its first night with an alert, also of one that a new operating point raised."""
    lesions = both.drop_duplicates(["image_id", "path"])[["image_id", "path", "lesion"]]
    found = alerts.merge(lesions, on=["image_id", "path"], how="left")
    missing = found["lesion"].isna()  # an alert at a path that no kept table has any more
    if missing.any():
        by_id = lesions.drop_duplicates("image_id").set_index("image_id")["lesion"]
        found.loc[missing, "lesion"] = found.loc[missing, "image_id"].map(by_id)
    found = found[found["lesion"].notna()].astype({"lesion": "int64"})
    return found.groupby("lesion")["night"].min()


def _nights(used: list[StoredRun]) -> tuple[Nights, np.ndarray, tuple[str, ...]]:
    models: list[Any] = [run.record.model if run.record else None for run in used]
    prints = [model.fingerprints.scoring if model else None for model in models]
    numbers_of, names = pd.factorize(pd.Series(prints, dtype=object))
    codes = numbers_of.astype(np.int64)
    thresholds = [model.operating_point.threshold if model else None for model in models]
    starts = [round(age_rank(run)[0].timestamp() * 1_000_000) for run in used]
    numbers = np.array([np.nan if t is None else t for t in thresholds], float)
    return Nights(np.array(starts, np.int64), codes, numbers), codes, tuple(map(str, names))


def _there(folder: Path) -> Path:
    if not folder.is_dir():
        raise FileNotFoundError(folder)
    return folder
