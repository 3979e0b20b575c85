"""All described sources in one table, as `sources.toml` and the folders' own files say.

The same photograph may stand in several sources, at several resolutions; each copy is kept, and
groups put them on one side. Labels may be coarse: then several classes are allowed.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd

from batch.core.errors import UsageError
from batch.training import datasets
from batch.training.datasets import ISIC9_TO_DIAGNOSIS, Dataset
from batch.training.descriptions import Source, allowed_classes, check_classes, described
from batch.training.labels import resolve
from batch.training.pixels import digests, read_pixels


def load_described(data: Path, class_names: tuple[str, ...], cache: Path | None = None) -> Dataset:
    """Every described source below `data`.

    Besides a Dataset's columns the table has `allowed`, a tuple of the recipe's classes, and
    `judges`, bool; and what else the sources' own tables hold.

    Args:
        cache: folder that keeps the decoded images, so that the next start takes seconds.

    Raises:
        UsageError: no source is there, or one is not as its description says.
    """
    sources = described(data)
    if not sources:
        raise UsageError(f"--data: no described source below {data}; see batch/training/README.md.")
    tables: list[pd.DataFrame] = []
    report: dict[str, object] = {}
    for source in sources.values():
        check_classes(source, class_names)
        table, told = (_isic9 if source.layout == "isic9" else _flat)(source, data)
        tables.append(table.assign(judges=source.judges))
        report[source.name] = {**told, "images": len(table), "licence": source.licence,
                               "non_commercial": source.non_commercial}  # fmt: skip
    table = pd.concat(tables, ignore_index=True)
    table = table.assign(content_sha256=digests(table["file"].tolist(), data))
    kept, told = kept_rows(table)
    table = table[kept].reset_index(drop=True)
    others = sorted(
        path.parent.name for path in data.glob("*/metadata.csv") if path.parent.name not in sources
    )
    whole: dict[str, object] = {
        **report,
        **told,
        "folders_without_description": others,
        "shares": {source.name: source.share for source in sources.values()},
    }
    pixels = read_pixels(table["file"].tolist(), table["content_sha256"].tolist(), data, cache)
    return Dataset(table, pixels, whole)


def kept_rows(table: pd.DataFrame) -> tuple[np.ndarray, dict[str, int]]:
    """Which images stay: one of identical files in a source, none whose labels contradict.

    Args:
        table: columns source, content_sha256 and allowed.

    Returns:
        (N,) bool, and how many were left out for which reason.
    """
    twins = table.duplicated(["source", "content_sha256"]).to_numpy()
    common = table.groupby("content_sha256")["allowed"].agg(
        lambda sets: not set.intersection(*map(set, sets))
    )
    contradicting = table["content_sha256"].map(common).to_numpy(bool)
    told = {
        "identical_files_removed": int((twins & ~contradicting).sum()),
        "identical_files_with_contradicting_labels": int(contradicting.sum()),
    }
    return ~(twins | contradicting), told


def _flat(source: Source, data: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """A list and a folder `images/`."""
    file = data / source.name / source.table
    try:
        listed = pd.read_csv(file, dtype=str)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{source.name}: {source.table} cannot be read ({type(error).__name__}); needed: a CSV "
            "file. Mend it, or name another under `table` of the description."
        ) from error
    ours = {theirs: name for name, theirs in source.columns.items()}
    needed = [source.columns[name] for name in ("image", "diagnosis")]
    if missing := [name for name in needed if name not in listed]:
        raise UsageError(
            f"{source.name}: {source.table} has no column {', '.join(missing)}; found: "
            f"{', '.join(map(str, listed))}. Say under `columns` of the description what they are "
            "called."
        )
    table = listed.rename(columns={"source": "origin"}).rename(columns=ours)
    if unknown := sorted(set(table["diagnosis"].fillna("")) - set(source.classes)):
        raise UsageError(
            f"{source.name}: diagnosis {', '.join(map(repr, unknown[:5]))} is not described; "
            f"allowed: {', '.join(source.classes)}. Add it to `classes`, or leave it out by "
            "`leave_out`."
        )
    out = np.zeros(len(listed), bool)
    for column, patterns in source.leave_out.items():
        if column not in listed:
            raise UsageError(
                f"{source.name}: leave_out: {source.table} has no column {column}; allowed: "
                f"{', '.join(map(str, listed))}."
            )
        out |= [
            any(fnmatchcase(value, pattern) for pattern in patterns)
            for value in listed[column].fillna("")
        ]
    files = [f"{source.name}/images/{image}.jpg" for image in table["image"]]
    there = np.array([(data / path).is_file() for path in files])
    known = table["image"].map(datasets.lesion_ids(data)).astype(object)
    table = table.assign(
        file=files,
        source=source.name,
        label=table["diagnosis"].map(source.classes),
        label_origin="table",
        lesion_id=table["lesion"].fillna(known) if "lesion" in table else known,
    )
    table["allowed"] = [allowed_classes(source, label) for label in table["label"]]
    told = {"listed": len(listed), "left_out": int(out.sum()), "missing": int((~there).sum())}
    return table[there & ~out].reset_index(drop=True), told


def _isic9(source: Source, data: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """The nine class folders, contradicting labels settled by the challenge's own tables."""
    found = datasets.isic9_files(data)
    folders = {str(image): frozenset(group) for image, group in found.groupby("image")["folder"]}
    labels = resolve(folders, datasets.diagnoses(data))
    table = found.drop_duplicates("image").drop(columns="folder")
    names = [labels[image].name for image in table["image"]]
    table["label"] = [None if name is None else ISIC9_TO_DIAGNOSIS[name] for name in names]
    table["label_origin"] = [labels[image].origin for image in table["image"]]
    told = {"listed": len(found), "excluded_unresolved": int(table["label"].isna().sum())}
    table = table.dropna(subset="label").reset_index(drop=True)
    table["allowed"] = [(label,) for label in table["label"]]
    table["lesion_id"] = table["image"].map(datasets.lesion_ids(data))
    return table.assign(source=source.name), told
