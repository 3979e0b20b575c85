"""`melanoma-batch stress`: how far a model's figures hold when the pictures get worse.

Each picture is shrunk to a longest side of 512, scored so, and scored again after each change of
`stress_changes`. Figures of a change stand beside those of the unchanged pictures; all intervals
are 95 %, by drawing whole lesions.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batch.core.errors import FailureReason, ImageFailure, Stage, UsageError
from batch.core.records import OperatingPoint
from batch.core.rules import Limits
from batch.evaluation.label_table import in_words_of, read_labels
from batch.evaluation.label_words import Vocabulary
from batch.evaluation.matching import KEYS, spellings, with_key
from batch.evaluation.measures import auc, bootstrap, curves, has_both
from batch.evaluation.stress_changes import CHANGES, at_stress_size
from batch.evaluation.trained_on import named_as_trained, own_images
from batch.images import formats, raster
from batch.images.colour_profiles import conversion_to_srgb
from batch.images.preprocess import preprocess
from batch.model.artifact import ModelArtifact, verify_artifact
from batch.model.classifier import Classifier

MOST_IMAGES = 300
UNCHANGED = "unchanged"
_AT_ONCE = 16
_FIGURES = ("auc", "sensitivity", "specificity", "flip_rate", "lost_alerts")


@dataclass(frozen=True)
class StressOptions:
    """What is measured.

    data: folder with the pictures (photographs, not DICOM). labels: table with their diagnosis.
    split: take only these rows. most: pictures, drawn by a fixed seed, as many melanomas as others
    where they suffice. operating_point: its name; None for the artifact's default. maps,
    map_labels, positive: as `evaluate` takes them.
    """

    data: Path
    labels: Path
    split: str | None = None
    most: int = MOST_IMAGES
    operating_point: str | None = None
    maps: tuple[str, ...] = ()
    map_labels: tuple[str, ...] = ()
    positive: tuple[str, ...] = ()


def stress(artifact: ModelArtifact, options: StressOptions) -> dict[str, Any]:
    """Measure a model under stress; the content of `--json`.

    Raises:
        UsageError: labels or pictures are missing or not clear, or there is no melanoma, or nothing
            else. ArtifactRefused: the artifact breaks its contract.
    """
    manifest = artifact.manifest
    point = manifest.operating_point(options.operating_point)
    rows, counts = _pictures(artifact, options)
    rows, counts["drawn"] = _drawn(rows, options.most), min(options.most, len(rows))
    melanoma = manifest.output.class_names.index(manifest.output.melanoma_class)
    scores, read = scores_under_stress(
        verify_artifact(artifact), [options.data / path for path in rows["path"]], melanoma
    )
    rows = rows[read]
    counts["unreadable"] = int((~read).sum())
    is_melanoma = rows["is_melanoma"].to_numpy(bool)
    _check_both(is_melanoma, options)
    groups = rows["group"].to_numpy(str)
    return {
        "model": {
            "model_id": manifest.model_id,
            "model_version": manifest.model_version,
            "model_sha256": manifest.model_sha256,
        },
        "operating_point": {"name": point.name, "threshold": point.threshold},
        "data": f"{options.data.parent.name}/{options.data.name}",
        "labels": options.labels.name,
        "split": options.split,
        "counts": counts,
        "images": len(rows),
        "melanomas": int(is_melanoma.sum()),
        "lesions": len(set(groups)),
        "changes": [
            {"change": name, **figures(is_melanoma, scores[:, 0], scores[:, at], groups, point)}
            for at, name in enumerate((UNCHANGED, *CHANGES))
        ],
    }


def figures(
    is_melanoma: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    groups: np.ndarray,
    point: OperatingPoint,
) -> dict[str, Any]:
    """Figures of changed pictures, each with `<name>_interval` (95 %, by group), or None.

    flip_rate: share of pictures that were an alert and are none, or the other way round.
    lost_alerts: share of the melanomas with an alert that have none after the change.

    Args:
        is_melanoma: (N,) bool, with both kinds. before, after: (N,) melanoma scores. groups: (N,).
    """
    curve = curves(is_melanoma, after)
    raised, raises = before >= point.threshold, after >= point.threshold

    def share(weights: np.ndarray, of: np.ndarray, which: np.ndarray) -> float:
        total = float(weights[of].sum())
        return float(weights[of & which].sum()) / total if total else float("nan")

    def values(weights: np.ndarray) -> list[float]:
        has_all = weights[is_melanoma].any() and weights[~is_melanoma].any()
        return [
            auc(curve(weights)) if has_all else float("nan"),
            share(weights, is_melanoma, raises),
            share(weights, ~is_melanoma, ~raises),
            share(weights, np.ones(len(weights), bool), raised != raises),
            share(weights, is_melanoma & raised, ~raises),
        ]

    found = dict(zip(_FIGURES, values(np.ones(len(after))), strict=True))
    intervals = bootstrap(values, groups)
    measures: dict[str, Any] = {}
    for (name, value), interval in zip(found.items(), intervals, strict=True):
        measures[name] = None if np.isnan(value) else value
        measures[f"{name}_interval"] = interval
    return measures | {"mean_change": float(np.abs(after - before).mean())}


def scores_under_stress(
    classifier: Classifier, files: Sequence[Path], melanoma: int
) -> tuple[np.ndarray, np.ndarray]:
    """Melanoma scores of pictures, unchanged and after each change.

    Args:
        files: N photographs. melanoma: column of the scores, from 0.

    Returns:
        (M, 1 + len(CHANGES)) float64 of the M pictures that can be read, and which they are, (N,)
        bool.
    """
    scores: list[np.ndarray] = []
    waiting: list[np.ndarray] = []
    read = np.zeros(len(files), bool)

    def score() -> None:
        if waiting:
            found = classifier.scores(np.concatenate(waiting))[:, melanoma]
            scores.append(found.reshape(len(waiting), 1 + len(CHANGES)).astype(np.float64))
            waiting.clear()

    for at, file in enumerate(files):
        try:
            waiting.append(np.stack(list(_inputs(file))))
        except Exception:  # whatever a codec raises; `counts` says how many
            continue
        read[at] = True
        if len(waiting) == _AT_ONCE:
            score()
    score()
    none = np.empty((0, 1 + len(CHANGES)))
    return (np.concatenate(scores) if scores else none), read


def _inputs(file: Path) -> Iterator[np.ndarray]:
    """The model's input of a picture, unchanged and after each change."""
    data, limits = file.read_bytes(), Limits()
    file_format = formats.sniff(data[: formats.HEAD_BYTES])
    if file_format not in formats.RASTER_FORMATS:
        raise ImageFailure(Stage.IDENTIFY, FailureReason.UNSUPPORTED_FORMAT, "no photograph")
    raster.check_before_opening(data, file_format, limits)
    decoded = raster.decode(data, file_format, limits)
    colours = conversion_to_srgb(decoded.icc_profile, limits)
    pixels = at_stress_size(colours.convert(decoded.pixels))
    yield preprocess(pixels)
    for change in CHANGES.values():
        yield preprocess(change(pixels))


def _pictures(
    artifact: ModelArtifact, options: StressOptions
) -> tuple[pd.DataFrame, dict[str, int]]:
    """path, is_melanoma and group of each labelled picture the model was not trained on."""
    output = artifact.manifest.output
    labels, key = read_labels(options.labels, options.split, options.maps)
    if key == "image_id":  # as HAM10000 calls the file's name; DICOM objects are not read here
        labels, key = labels.drop(columns="image", errors="ignore"), "image"
        labels = labels.rename(columns={"image_id": "image"})
    if key not in ("image", "path"):
        raise UsageError(
            f"--labels: its pictures are named by {key}; needed: a column image (the file's name) "
            f"or path, allowed for evaluate: {', '.join(KEYS)}. Say which it is with --map."
        )
    vocabulary = Vocabulary.of(
        output.class_names, output.melanoma_class, options.map_labels, options.positive
    )
    truth = in_words_of(labels, vocabulary)
    truth = truth[(truth["label"] != "") & (truth[key] != "")]
    files = pd.DataFrame({"path": [str(p.relative_to(options.data)) for p in _files(options.data)]})
    keyed = with_key(files, key).drop_duplicates(key)
    by_name: dict[str, str] = dict(zip(keyed[key], keyed["path"], strict=True))
    paths = [
        next((by_name[s] for s in spellings(name, key) if s in by_name), None)
        for name in truth[key]
    ]
    truth = truth.assign(path=pd.Series(paths, truth.index, dtype=object))
    found = truth[truth["path"].notna()].drop_duplicates("path")
    if not len(found):
        raise UsageError(
            f"--data: none of the {len(truth)} labelled pictures lies below {options.data}; "
            f"needed: files that the column {key} of the labels names."
        )
    found = found.reset_index(drop=True)
    kept = ~_trained(artifact, found, options.data)
    lesion = next((name for name in ("group", "lesion_id") if name in found), None)
    lesions = found[lesion] if lesion else pd.Series("", found.index)
    rows = pd.DataFrame(
        {
            "path": found["path"],
            "is_melanoma": found["label"] == output.melanoma_class,
            "group": np.where(lesions != "", "lesion " + lesions, "image " + found["path"]),
        }
    )
    counts = {
        "labels": len(labels),
        "without_picture": len(truth) - len(found),
        "trained_on": int((~kept).sum()),
    }
    return rows[kept].reset_index(drop=True), counts


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _trained(artifact: ModelArtifact, found: pd.DataFrame, data: Path) -> np.ndarray:
    """Which pictures the model was trained on, by digest or name."""
    own = own_images(artifact.folder)
    if own is None:
        return np.zeros(len(found), bool)
    digests = [hashlib.sha256((data / path).read_bytes()).hexdigest() for path in found["path"]]
    by_name = named_as_trained(found["path"], own.trained_names)
    return by_name | np.array([digest in own.trained for digest in digests], bool)


def _drawn(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most so many pictures, half of them melanomas where there are enough of both."""
    if len(rows) <= most:
        return rows
    draw = random.Random(0)
    kinds = [list(rows.index[rows["is_melanoma"] == is_so]) for is_so in (True, False)]
    for kind in kinds:
        draw.shuffle(kind)
    half = most // 2
    melanomas = max(min(len(kinds[0]), half), most - len(kinds[1]))
    chosen = kinds[0][:melanomas] + kinds[1][: most - melanomas]
    return rows.loc[sorted(chosen)].reset_index(drop=True)


def _check_both(is_melanoma: np.ndarray, options: StressOptions) -> None:
    if not has_both(is_melanoma):
        raise UsageError(
            f"--labels: {len(is_melanoma)} pictures of {options.labels.name} can be measured, "
            f"{int(is_melanoma.sum())} of them melanomas; needed: melanomas and others. Pictures "
            "that the model was trained on do not count."
        )
