"""`melanoma-batch outcomes`: histology of years against the scores as they were shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from batch.core.errors import LedgerImbalance, UsageError
from batch.evaluation.coverage import COLUMNS, count_subgroups, coverage
from batch.evaluation.label_words import Vocabulary, read_labels_as
from batch.evaluation.local_point import cross_fitted
from batch.evaluation.outcome_figures import by_column, counted, small_cell, verification
from batch.evaluation.subgroups import MIN_CELL, NOT_STATED
from batch.operations.local_cases import LocalCases, local_cases, newest_model
from batch.operations.outcome_files import OUTCOMES, OutcomeRows, read_outcomes
from batch.operations.outcome_join import STATES, join
from batch.operations.outcome_nights import NightRecords, read_nights
from batch.reports.local import LocalReports

SUBGROUPS = ("model", *COLUMNS)
MELANOMA = "melanoma"
PAGE = "review_worklist.html"


@dataclass(frozen=True)
class Outcomes:
    """The answer of `melanoma-batch outcomes`.

    figures: content of `--json`; holds no name of a file or lesion.
    missed: melanomas without an alert, a dict each, oldest night first.
    problems: sentences about rows that were not understood.
    is_damaged: whether a night could not be read.
    local: the lesions that chose the local operating point; None where none was asked for.
    """

    figures: dict[str, Any]
    missed: list[dict[str, Any]]
    problems: tuple[str, ...]
    is_damaged: bool = field(default=False)
    local: LocalCases | None = field(default=None)


def judge_outcomes(
    reports: LocalReports,
    map_labels: Sequence[str] = (),
    maps: Sequence[str] = (),
    positive: Sequence[str] = (),
    min_cell: int = MIN_CELL,
    target: float | None = None,
    bound: float | None = None,
    model: str | None = None,
) -> Outcomes:
    """Join all outcomes to the nights, and measure.

    Args:
        reports: with object storage, the copy brought up to date.
        map_labels, positive: `LABEL=CLASS` and words for melanoma, as in `Vocabulary.of`.
        maps: `THEIRS=OURS`, names of columns, as in `read_outcomes`.
        min_cell: months and subgroups give no rate of fewer cases.
        target: sensitivity of a local operating point; None for no such point.
        bound: lower bound of that sensitivity that is wanted; None for the target itself.
        model: artifact of the newest night's model, which tells on what it was trained; None for
            the bundled one with the same weights.

    Raises:
        UsageError: there is no outcome or no night, or a diagnosis is not clear. LedgerImbalance:
            a row has not exactly one state.
    """
    given = read_outcomes(reports.root, maps)
    if not given.files and not given.lost:
        raise UsageError(
            f"REPORTS: no outcome in {reports.place}/{OUTCOMES} and no diagnosis in reviewed*.csv; "
            "needed: a CSV, Excel or Parquet file with the columns image (or another key) and "
            "diagnosis. Put one there."
        )
    rows, dropped = with_verdicts(given.rows, map_labels, positive)
    records = read_nights(reports)
    lesions, states = join(rows, records)
    counts = _row_counts(given, states, dropped)
    lesions = lesions.assign(month=[_month(records, night) for night in lesions["night"]])
    figures = counted(lesions["is_melanoma"], lesions["is_alert"])
    seen = set(lesions["lesion"])
    alerted = set(records.first_alert.index)
    known = set(records.images["lesion"])
    local = None
    if target is not None:
        from batch.evaluation.trained_on import own_images_at_hand  # slow to import

        own = own_images_at_hand(model, str(newest_model(records)["model_sha256"]))
        local = local_cases(lesions, records, own)
    answer = {
        "rows": counts,
        "files": len(given.files),
        "nights": {
            "read": len(records.run_ids),
            "first": _month(records, 0),
            "last": _month(records, len(records.run_ids) - 1),
            "left_out": {why: len(names) for why, names in records.left_out.items()},
        },
        "figures": figures,
        "lesions_by_mark": int(lesions["is_mark"].sum()),
        "verification": verification(
            figures, len(alerted), len(alerted & seen), len(known - alerted - seen)
        ),
        "coverage": _coverage(records, seen, min_cell),
        "by_month": _by_month(lesions, records, seen, min_cell),
        "by_subgroup": {
            column: found
            for column in SUBGROUPS
            for found in [by_column(lesions, column, min_cell)]
            if set(found) - {NOT_STATED}
        },
        "min_cell": min_cell,
        "local_point": None if local is None else _local_point(local, target or 0.0, bound),
    }
    return Outcomes(
        answer, _missed(lesions, records), given.problems, "damaged" in records.left_out, local
    )


def _coverage(records: NightRecords, seen: set[int], min_cell: int) -> dict[str, Any]:
    """How many of all lesions and patients that ever had a score have an outcome."""
    images = records.images.drop_duplicates("lesion", keep="last")
    with_outcome = images[images["lesion"].isin(seen)]
    patients = [rows["patient"][rows["patient"] >= 0].nunique() for rows in (with_outcome, images)]
    return coverage(
        {"lesions": len(with_outcome), "patients": patients[0]},
        {"lesions": len(images), "patients": patients[1]},
        count_subgroups(with_outcome),
        count_subgroups(images),
        min_cell,
    )


def _local_point(cases: LocalCases, target: float, bound: float | None) -> dict[str, Any]:
    """A threshold for the model of the newest night, and what it is worth on other lesions."""
    point = cross_fitted(cases.is_melanoma, cases.scores, cases.groups, target, bound)
    return {"model": cases.name, "trained_left_out": cases.trained, **point}


def with_verdicts(
    rows: pd.DataFrame, mappings: Sequence[str], positive: Sequence[str]
) -> tuple[pd.DataFrame, Counter[str]]:
    """Rows whose diagnosis counts, with is_melanoma; and the others by state.

    A file's diagnosis that is not clear is refused. A mark's is free text that nobody wrote for
    this, so what is not clear there is `unclear_mark`.

    Raises:
        UsageError: names the diagnoses that are not clear.
    """
    vocabulary = Vocabulary.of((MELANOMA,), MELANOMA, mappings, positive)
    is_mark = rows["is_mark"].astype(bool)
    try:
        meanings: dict[str, str | None] = dict(
            read_labels_as(rows.loc[~is_mark, "label"], vocabulary)
        )
    except UsageError as error:
        raise UsageError(str(error).replace("--labels:", f"REPORTS: {OUTCOMES}:", 1)) from error
    for word in set(rows.loc[is_mark, "label"]):
        meanings[word] = vocabulary.meaning(word)[0]
    words = [meanings[word] for word in rows["label"]]
    dropped = Counter("unclear_mark" for word in words if word is None)
    dropped["left_out"] = words.count("")
    counting = np.array([bool(word) for word in words], bool)
    verdicts = np.array([word == MELANOMA for word in words], bool)
    return rows[counting].assign(is_melanoma=verdicts[counting]), dropped


def _row_counts(given: OutcomeRows, states: pd.Series, dropped: Counter[str]) -> dict[str, int]:
    """Rows by what became of them; they add up to `rows`."""
    found = Counter(states) + dropped
    counts = {
        "without_label": given.without_label,
        "not_understood": given.lost,
        **{state: found[state] for state in STATES},
    }
    total = given.without_label + given.lost + len(given.rows)
    if sum(counts.values()) != total:
        raise LedgerImbalance(
            f"outcomes: {total} rows, and {sum(counts.values())} of them with a state: {counts}."
        )
    return {"rows": total, **counts}


def _month(records: NightRecords, night: int) -> str:
    """Month in which a night began, in this machine's zone: `2026-11`."""
    start = records.nights.starts[int(night)] / 1_000_000
    return f"{datetime.fromtimestamp(start, UTC).astimezone():%Y-%m}"


def _by_month(
    lesions: pd.DataFrame, records: NightRecords, seen: set[int], min_cell: int
) -> dict[str, dict[str, Any]]:
    """Figures by month of the night that counts, and alerts raised first in that month."""
    cells = by_column(lesions, "month", min_cell)
    months = {night: _month(records, night) for night in set(records.first_alert)}
    raised = Counter(months[night] for night in records.first_alert)
    settled = Counter(
        months[night] for lesion, night in records.first_alert.items() if lesion in seen
    )
    empty = small_cell(lesions.iloc[:0], min_cell)
    return {
        month: {
            **cells.get(month, empty),
            "first_alerts": raised[month],
            "first_alerts_with_outcome": settled[month],
        }
        for month in sorted({*cells, *raised})
    }


def _missed(lesions: pd.DataFrame, records: NightRecords) -> list[dict[str, Any]]:
    rows = lesions[lesions["is_melanoma"] & ~lesions["is_alert"]].sort_values(
        ["night", "lesion_key"]
    )
    return [
        {
            "lesion_key": str(row["lesion_key"]),
            "run_id": records.run_ids[row["night"]],
            "page": f"runs/{records.run_ids[row['night']]}/{PAGE}"
            if (records.folders[row["night"]] / PAGE).is_file()
            else None,
            "month": row["month"],
            "score": float(row["score"]),
            "threshold": float(row["threshold"]),
            "model": row["model"],
            "outcome": row["place"],
        }
        for row in rows.to_dict("records")
    ]
