"""`melanoma-batch compare`: the silent model beside the night's own, on the latest night."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from batch.core.errors import UsageError
from batch.core.rules import lesion_pattern
from batch.evaluation.outcome_rules import settle
from batch.evaluation.two_models import (
    MOVES,
    by_lesion,
    disagreement,
    moves,
    on_outcomes,
    rank_correlation,
)
from batch.operations.outcome_files import read_outcomes
from batch.operations.outcome_join import lesions_named
from batch.operations.outcome_nights import read_nights
from batch.operations.outcomes import with_verdicts
from batch.reports import parquet
from batch.reports.local import LocalReports
from batch.reports.picture_folder import PICTURES
from batch.reports.run_reader import read_record
from batch.reports.schema import SILENT
from batch.review.page.pictures import BURNED_IN, requests, there_already
from batch.review.worklist.build import GROUPING_COLUMNS
from batch.review.worklist.grouping import group_images

GALLERY = 24
_OURS = (
    *GROUPING_COLUMNS, "path_bytes", "frame_number", "content_sha256", "is_alert", "flags",
)  # fmt: skip
_SILENT = ("path", "frame_number", "melanoma_score", "would_alert", "threshold", "model_id",
           "model_version", "reason")  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """figures: content of `--json`; holds no name of a lesion. gallery: a dict for each lesion on
    which the models differ most: lesion, score, silent_score, move, distance, picture (path from
    REPORTS, or None), page.
    """

    figures: dict[str, Any]
    gallery: list[dict[str, Any]]


def compare(reports: LocalReports) -> Comparison:
    """Compare the two models of the latest night.

    Raises:
        UsageError: there is no night, or the latest has no silent model.
    """
    run_id = reports.latest()
    if run_id is None:
        raise UsageError(
            f"REPORTS: no published night in {reports.place}; run `melanoma-batch score` first."
        )
    folder = reports.whole_night(run_id)
    if not (folder / SILENT).is_dir():
        raise UsageError(
            f"REPORTS: the latest night, {run_id}, has no table {SILENT}; needed: a night of "
            "`melanoma-batch score … --silent-model ID_OR_FOLDER`. Where one was asked for, "
            "`silent` in its run.json says why there is none."
        )
    if not (folder / "current").is_dir():
        raise UsageError(f"REPORTS: `current` of the latest night, {run_id}, was removed.")
    images, silent = _images(folder)
    groups = _grouped(images, folder)
    images["lesion"] = groups.lesion.codes
    images["row"] = np.arange(len(images))
    lesions = by_lesion(images)
    lesions["move"], lesions["distance"] = moves(lesions), disagreement(lesions)
    both = images[images["silent_score"].notna()]
    figures = {
        "run_id": run_id,
        "model": _named(images),
        "silent_model": _named(silent),
        "images": len(images),
        "images_with_both": len(both),
        "lesions": int(images["lesion"].nunique()),
        "lesions_with_both": len(lesions),
        "rank_correlation_images": rank_correlation(
            both["score"].to_numpy(float), both["silent_score"].to_numpy(float)
        ),
        "rank_correlation_lesions": rank_correlation(
            lesions["score"].to_numpy(float), lesions["silent_score"].to_numpy(float)
        ),
        "moves": {move: int((lesions["move"] == move).sum()) for move in MOVES},
        "outcomes": _on_outcomes(reports, lesions, groups.lesion.words, images, silent),
    }
    return Comparison(figures, _gallery(reports, folder, lesions, images, groups.lesion.words))


def _images(folder: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every image of `current` with both scores, and the rows of the silent model."""
    ours = parquet.read_columns("current", folder / "current", _OURS).to_pandas()
    silent = parquet.read_columns(SILENT, folder / SILENT, _SILENT).to_pandas()
    named = silent.rename(
        columns={"melanoma_score": "silent_score", "threshold": "silent_threshold"}
    )
    named["frame_number"] = named["frame_number"].fillna(0)
    joined = ours.assign(frame=ours["frame_number"].fillna(0)).merge(
        named[["path", "frame_number", "silent_score", "would_alert"]],
        left_on=["path", "frame"], right_on=["path", "frame_number"],
        how="left", validate="one_to_one", suffixes=("", "_silent"),
    )  # fmt: skip
    joined["would_alert"] = joined["would_alert"].eq(True)
    return joined.rename(columns={"melanoma_score": "score"}), silent


def _grouped(images: pd.DataFrame, folder: Any) -> Any:
    record = read_record(folder)
    options = record.options if record else None
    pattern = options.lesion_pattern if options else None
    return group_images(images, lesion_pattern(pattern) if pattern else None)


def _named(rows: pd.DataFrame) -> dict[str, Any]:
    """Model and threshold of most rows; several models may have scored an archive."""
    if rows.empty:
        return {"model_id": None, "model_version": None, "threshold": None}
    columns = ["model_id", "model_version", "threshold"]
    most = rows.groupby(columns, as_index=False).size().sort_values("size").iloc[-1]
    return {
        "model_id": str(most["model_id"]),
        "model_version": str(most["model_version"]),
        "threshold": float(most["threshold"]),
    }


def _on_outcomes(
    reports: LocalReports,
    lesions: pd.DataFrame,
    words: pd.Series,
    images: pd.DataFrame,
    silent: pd.DataFrame,
) -> dict[str, Any] | None:
    """Both models on the lesions with an outcome in a file; None without one."""
    given = read_outcomes(reports.root)
    rows, _ = with_verdicts(given.rows, (), ())
    rows = rows[~rows["is_mark"].astype(bool)]
    if rows.empty or lesions.empty or silent.empty:
        return None
    records = read_nights(reports)
    found, state = lesions_named(rows, records)
    named = rows.assign(lesion=found)[state == ""]
    if named.empty:
        return None
    settled, _ = settle(named)
    truth = pd.Series(
        settled["is_melanoma"].to_numpy(bool), records.lesion_keys.iloc[settled.index].to_numpy()
    )
    keys = pd.Series(words.iloc[lesions.index].to_numpy(object), lesions.index)
    judged = lesions[keys.isin(truth.index).to_numpy()]
    if judged.empty:
        return None
    is_melanoma = truth.loc[keys[judged.index]].to_numpy(bool)
    thresholds = {
        "score": _named(images)["threshold"], "silent_score": _named(silent)["threshold"],
    }  # fmt: skip
    answer = on_outcomes(judged, is_melanoma, judged.index.to_numpy(), thresholds)
    return {**answer, "lesions_with_outcome": len(truth), "rows": len(given.rows)}


def _gallery(
    reports: LocalReports,
    folder: Any,
    lesions: pd.DataFrame,
    images: pd.DataFrame,
    words: pd.Series,
) -> list[dict[str, Any]]:
    """The lesions that would move over a threshold, and then those whose ranks differ most."""
    moving = lesions["move"].isin(("only_ours", "only_silent"))
    order = pd.DataFrame({"stays": ~moving, "near": -lesions["distance"].abs()})
    chosen = lesions.loc[order.sort_values(["stays", "near"], kind="stable").index[:GALLERY]]
    shown = images.iloc[chosen["silent_row"].to_numpy(int)]
    hidden = {
        image_id for image_id, flags in zip(shown["image_id"], shown["flags"], strict=True)
        if BURNED_IN in set(flags)
    }  # fmt: skip
    there, _ = there_already(requests(shown, hidden), reports.picture_names())
    rows = []
    for (lesion, row), image_id in zip(chosen.iterrows(), shown["image_id"], strict=True):
        picture = there.get(image_id)
        rows.append(
            {
                "lesion": str(words.iloc[int(str(lesion))]),
                "score": float(row["score"]),
                "silent_score": float(row["silent_score"]),
                "move": str(row["move"]),
                "distance": float(row["distance"]),
                "images": int(row["images"]),
                "picture": f"{PICTURES}/{picture.name}" if picture and picture.name else None,
            }
        )
    return rows
