"""Tables of training images: one row an image, with label, lesion, digest and pixels' place.

`dermoscopy` joins all sources in one table of eight diagnoses. Where the tables of two sources
speak of the same image, the authoritative one has the word (`labels`); groups join what shares a
lesion, bytes or nearly its look, across sources.

Folder layout below `--data`: isic9/{Train,Test}/<class>/*.jpg, and where present
ham10000/{HAM10000_metadata.csv,images/}, isic2017/{metadata.csv,images/},
isic2019/{ground_truth,metadata}.csv.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from batch.archive.reader import read_image
from batch.core.errors import UsageError
from batch.evaluation.isic_format import CODE_TO_CLASSES, HAM_TO_CODE
from batch.training.labels import Label, resolve

HAM10000 = ("ham10000/HAM10000_metadata.csv", "image_id", "dx")


ISIC2017 = ("isic2017/metadata.csv", "image", "diagnosis")
"""Table, its column of image names, its column of diagnoses."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """table: columns image, file, source, label, label_origin, lesion_id, content_sha256 (one row
    an image, in the order of pixels). pixels: (N, 180, 180, 3) uint8. report: what was done.
    """

    table: pd.DataFrame
    pixels: np.ndarray
    report: dict[str, object]


def isic9(data: Path) -> Dataset:
    """The nine-class ISIC set, cleaned: contradicting labels resolved, twins removed.

    Raises:
        UsageError: the set is not below `data`.
    """
    found = isic9_files(data)
    folders = {str(image): frozenset(group) for image, group in found.groupby("image")["folder"]}
    labels = resolve(folders, diagnoses(data))
    table = found.drop_duplicates("image").drop(columns="folder").reset_index(drop=True)
    table["label"] = [labels[image].name for image in table["image"]]
    table["label_origin"] = [labels[image].origin for image in table["image"]]
    excluded = int(table["label"].isna().sum())
    table = table.dropna(subset="label").reset_index(drop=True)
    table["lesion_id"] = table["image"].map(lesion_ids(data))
    table, pixels = read(table, data)
    twins = table.duplicated("content_sha256")
    origins = Counter(table["label_origin"])
    report = {
        "files": len(found),
        "images": len(folders),
        "images_in_two_class_folders": sum(len(names) > 1 for names in folders.values()),
        "relabelled_by_table": int(_relabelled(folders, labels)),
        "excluded_unresolved": excluded,
        "identical_files_removed": int(twins.sum()),
        "labels_by_origin": dict(sorted(origins.items())),
    }
    kept = table[~twins].reset_index(drop=True).assign(source="isic9")
    return Dataset(kept, pixels[~twins.to_numpy()], report)


def isic2017(data: Path) -> Dataset | None:
    """ISIC 2017 training and validation images, melanoma or not; None when not there."""
    return flat_set(data, "isic2017", *ISIC2017, lambda code: _melanoma_or_not(code == "MEL"))


def ham10000(data: Path) -> Dataset | None:
    """HAM10000, melanoma or not; None when not there."""
    return flat_set(data, "ham10000", *HAM10000, lambda code: _melanoma_or_not(code == "mel"))


def _melanoma_or_not(is_melanoma: bool) -> str:
    return "melanoma" if is_melanoma else "other"


def diagnoses(data: Path) -> dict[str, str]:
    """Image name to diagnosis code, from every authoritative table that is there."""
    codes: dict[str, str] = {}
    ham = _csv(data / "ham10000" / "HAM10000_metadata.csv")
    if ham is not None:
        codes |= dict(zip(ham["image_id"], ham["dx"].map(HAM_TO_CODE), strict=True))
    for path in ("isic2017/metadata.csv", "isic2019/ground_truth.csv"):  # the latest has the word
        table = _csv(data / path)
        if table is not None:
            codes |= dict(zip(table["image"], table["diagnosis"], strict=True))
    return codes


def lesion_ids(data: Path) -> dict[str, str]:
    """Image name to lesion, where a table knows it."""
    lesions: dict[str, str] = {}
    for path, column in (
        ("isic2019/metadata.csv", "image"),
        ("ham10000/HAM10000_metadata.csv", "image_id"),
    ):
        table = _csv(data / path)
        if table is not None:
            known = table.dropna(subset="lesion_id")
            lesions |= dict(zip(known[column], known["lesion_id"], strict=True))
    return lesions


def flat_set(
    data: Path,
    name: str,
    file: str,
    image_column: str,
    diagnosis_column: str,
    label: Callable[[str], str],
) -> Dataset | None:
    """A source with one table and one folder `images/`; None when the table is not there.

    Args:
        label: from the table's diagnosis to the name of a class.
    """
    listed = _csv(data / file)
    if listed is None:
        return None
    images = listed[image_column]
    table = pd.DataFrame(
        {
            "image": images,
            "file": [f"{name}/images/{image}.jpg" for image in images],
            "label": listed[diagnosis_column].map(label),
            "label_origin": "table",
            "source": name,
        }
    )
    there = [(data / path).is_file() for path in table["file"]]
    table = table[there].reset_index(drop=True)
    table["lesion_id"] = table["image"].map(lesion_ids(data))
    table, pixels = read(table, data)
    return Dataset(table, pixels, {"listed": len(listed), "images": len(table)})


def isic9_files(data: Path) -> pd.DataFrame:
    """The nine-class set as it is distributed: columns image, file, folder.

    Raises:
        UsageError: the set is not below `data`.
    """
    root = data / "isic9"
    rows = [
        {"image": path.stem, "file": path.relative_to(data).as_posix(), "folder": path.parent.name}
        for path in sorted(root.glob("*/*/*.jpg"))
    ]
    if not rows:
        raise UsageError(
            f"--data: no isic9/{{Train,Test}}/<class>/*.jpg below {data}; see "
            "batch/training/README.md."
        )
    return pd.DataFrame(rows)


def read(table: pd.DataFrame, data: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """The table with `content_sha256`, and its images, (N, 180, 180, 3) uint8."""
    inputs = [read_image(data / file) for file in table["file"]]
    digests = [model_input.record.content_sha256 for model_input in inputs]
    pixels = np.stack([model_input.pixels for model_input in inputs])
    return table.assign(content_sha256=digests), pixels


def _relabelled(folders: Mapping[str, frozenset[str]], labels: Mapping[str, Label]) -> int:
    return sum(
        labels[image].origin == "table" and len(names) == 1 and labels[image].name not in names
        for image, names in folders.items()
    )


def _csv(path: Path) -> pd.DataFrame | None:
    return pd.read_csv(path) if path.is_file() else None


DIAGNOSES = {
    "MEL": "melanoma",
    "NV": "nevus",
    "BCC": "basal cell carcinoma",
    "AK": "actinic keratosis",
    "BKL": "benign keratosis",
    "DF": "dermatofibroma",
    "VASC": "vascular lesion",
    "SCC": "squamous cell carcinoma",
}
"""Codes of ISIC 2019, and what they are called here; BKL joins two classes of isic9."""


ISIC9_TO_DIAGNOSIS = {
    name: DIAGNOSES[code] for code, names in CODE_TO_CLASSES.items() for name in names
}


def dermoscopy(data: Path) -> Dataset:
    """HAM10000, ISIC 2017 and the cleaned nine-class set.

    An image that stands in several sources is kept in each, because each holds it at another
    resolution; its copies share a group, so that they never stand on two sides.

    Raises:
        UsageError: the nine-class set is not below `data`.
    """
    parts = [_isic9(isic9(data))]
    for name, where in (("ham10000", HAM10000), ("isic2017", ISIC2017)):
        found = flat_set(data, name, *where, _named)
        if found is not None:
            parts.append(found)
    table = pd.concat([part.table for part in parts], ignore_index=True)
    pixels = np.concatenate([part.pixels for part in parts])
    report: dict[str, object] = {part.table["source"].iloc[0]: part.report for part in parts}
    return Dataset(table, pixels, report)


def _named(code: str) -> str:
    return DIAGNOSES[HAM_TO_CODE.get(code, code)]


def _isic9(found: Dataset) -> Dataset:
    names = found.table["label"].map(ISIC9_TO_DIAGNOSIS)
    return Dataset(found.table.assign(label=names), found.pixels, found.report)
