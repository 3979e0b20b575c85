"""What `evaluate` reads of a night: its tables, and what its ledger says of the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from batch.core.errors import UsageError
from batch.reports import parquet
from batch.reports.local import RUN_FILE
from batch.storage.files import read_json
from batch.training.label_keys import as_in_night, spellings, with_key

_OF_PREDICTIONS = [
    "path", "image_id", "content_sha256", "frame_number", "lesion_id", "manufacturer",
    "manufacturer_model_name", "class_scores", "predicted_class", "melanoma_score",
    "operating_point", "threshold", "model_id", "model_version", "model_sha256",
]  # fmt: skip
_OF_UNSCORED = ["path", "image_id", "content_sha256", "reason"]


@dataclass(frozen=True, eq=False)
class NightTables:
    """predictions: the rows that a label may name. passed_over: how many others there are.

    unscored: rows of the same night; unscored_known: such a table stands beside the predictions.
    labels: with the key spelled as in these tables. example: a key that stands in the predictions.
    model: what the night's run.json says of its model; empty where there is none.
    """

    predictions: pd.DataFrame
    passed_over: int
    unscored: pd.DataFrame
    unscored_known: bool
    labels: pd.DataFrame
    example: str
    model: Mapping[str, Any]


def read_night(path: Path, labels: pd.DataFrame, key: str) -> NightTables:
    """The predictions that labels may name, and the unscored images of the same night.

    Args:
        path: a reports folder or a night (its current view), a folder of prediction tables, or one
            such file, as `melanoma-batch current --output` writes it.

    Raises:
        UsageError: no predictions there, or tables with other columns.
    """
    folder = _predictions_folder(path)
    wanted = {word for value in set(labels[key]) for word in spellings(value, key)}
    found, passed_over, example = [], 0, ""
    try:
        for rows in _batches("current", folder):
            rows = with_key(rows, key)
            here = rows[key].isin(wanted)
            example = example or next(iter(rows[key].dropna()), "")
            found.append(rows[here][sorted({*_OF_PREDICTIONS, key})])
            passed_over += int((~here).sum())
        beside = folder.parent / "unscored"
        is_known = folder.is_dir() and beside.is_dir()
        lost = list(_batches("unscored", beside)) if is_known else []
    except (ValueError, KeyError, OSError) as error:  # pyarrow's own errors are kinds of these
        raise UsageError(
            f"PREDICTIONS: {folder} has no tables of this version ({type(error).__name__}); "
            "give a reports folder, or a file of `melanoma-batch current --output`."
        ) from error
    if not found:
        raise UsageError(f"PREDICTIONS: no row in {folder}; score an archive first.")
    none = pd.DataFrame(columns=_OF_UNSCORED, dtype=object)
    unscored = with_key(pd.concat([none, *lost], ignore_index=True)[_OF_UNSCORED], key)
    predictions = pd.concat(found, ignore_index=True)
    return NightTables(
        predictions=predictions,
        passed_over=passed_over,
        unscored=unscored,
        unscored_known=is_known,
        labels=as_in_night(labels, [*predictions[key], *unscored[key]], key),
        example=example,
        model=_model(folder),
    )


def _model(folder: Path) -> Mapping[str, Any]:
    """`model` of the run.json beside the folder of predictions, or of its one file's."""
    night = folder.parent if folder.is_dir() else folder.parent.parent
    model = (read_json(night / RUN_FILE) or {}).get("model")
    return model if isinstance(model, dict) else {}


def _predictions_folder(path: Path) -> Path:
    """The folder with the parts, or the one file."""
    if path.is_file():
        return path
    for folder in (path / "latest" / "current", path / "current", path):
        if folder.is_dir() and any(folder.glob("*.parquet")):
            return folder
    raise UsageError(
        f"PREDICTIONS: no predictions below {path}; give a reports folder, a night, or a file of "
        "`melanoma-batch current --output`."
    )


def _batches(table: str, place: Path) -> Iterator[pd.DataFrame]:
    """A row group at a time: an archive's class scores need not fit into memory at once."""
    if place.is_file():
        yield pd.read_parquet(place)
        return
    for rows in parquet.stream(table, place):
        yield rows.to_pandas()
