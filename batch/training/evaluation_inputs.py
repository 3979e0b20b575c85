"""What `evaluate` reads: a CSV of labels, and the tables of a night. Checks; judges nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from batch.errors import UsageError
from batch.reports import tables
from batch.training.matching import KEYS, key_column, with_key
from batch.training.subgroups import LABEL_COLUMNS

_KNOWN = ("label", *KEYS, "group", "split", *LABEL_COLUMNS)
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
    """

    predictions: pd.DataFrame
    passed_over: int
    unscored: pd.DataFrame
    unscored_known: bool


def read_labels(path: Path, split: str | None) -> tuple[pd.DataFrame, str]:
    """The labels and the column that ties them to images; all text, missing is "".

    Args:
        path: CSV with `label` and one of `KEYS`; `group`, `split` and `LABEL_COLUMNS` where known.
            Other columns are not read, so that none can stand in for a prediction's.
        split: take only these rows.

    Raises:
        UsageError: no such file, no CSV, a column is missing, or no row is of the split.
    """
    if not path.is_file():
        raise UsageError(f"--labels: no file {path}.")
    try:
        # as text: `0012` is a name, and a class may be called `NA`
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, OSError) as error:  # pandas' own errors and bad UTF-8 are kinds of it
        raise UsageError(f"--labels: {path} is no CSV ({type(error).__name__}).") from error
    key = key_column(list(table.columns))
    if "label" not in table or key is None:
        raise UsageError(
            f"--labels: columns {list(table.columns)}; needed: label, and one of "
            f"{', '.join(KEYS)} (image: the file's name without folder and extension)."
        )
    if split is not None and ("split" not in table or split not in set(table["split"])):
        raise UsageError(f"--split: no rows of split {split!r} in {path}.")
    table = table[[name for name in _KNOWN if name in table]]
    if "content_sha256" in table:
        table = table.assign(content_sha256=table["content_sha256"].str.lower())
    return (table if split is None else table[table["split"] == split]), key


def read_night(path: Path, labels: pd.DataFrame, key: str) -> NightTables:
    """The predictions that labels may name, and the unscored images of the same night.

    Args:
        path: a reports folder or a night (its current view), a folder of prediction tables, or one
            such file, as `melanoma-batch current --output` writes it.

    Raises:
        UsageError: no predictions there, or tables with other columns.
    """
    folder = _predictions_folder(path)
    wanted, found, passed_over = set(labels[key]), [], 0
    try:
        for rows in _batches("current", folder):
            rows = with_key(rows, key)
            here = rows[key].isin(wanted)
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
    return NightTables(
        pd.concat(found, ignore_index=True), passed_over, unscored, unscored_known=is_known
    )


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
    for rows in tables.stream(table, place):
        yield rows.to_pandas()
