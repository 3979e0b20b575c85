"""`melanoma-batch evaluate`: measures a published night against labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from batch.evaluation.coverage import count_subgroups, coverage
from batch.evaluation.diagnosis_words import NOT_MELANOMA
from batch.evaluation.inputs import (
    MODEL_COLUMNS,
    TOLD,
    NightTables,
    caution_of,
    check_both,
    check_model,
    melanoma_class_of,
    operating_points,
    read_night,
)
from batch.evaluation.isic_format import isic_csv
from batch.evaluation.label_table import in_words_of, read_labels, readings
from batch.evaluation.label_words import Vocabulary
from batch.evaluation.matching import (
    Matched,
    labelled_predictions,
    lesion_names,
    match,
    same_bytes,
)
from batch.evaluation.measures import (
    at_threshold,
    class_measures,
    confusion,
    melanoma_measures,
    ranking_measures,
)
from batch.evaluation.report_page import evaluation_page
from batch.evaluation.subgroups import MIN_CELL, by_subgroup, check_columns, subgroup_values
from batch.evaluation.trained_on import own_images_at_hand, trained_on
from batch.evaluation.units import NightUnits, lesion_groups, lesions_and_patients, over_thresholds
from batch.model.artifact import find_artifact

# the last two are for training, which measures with the same functions
__all__ = ["Evaluation", "evaluate_predictions", "class_measures", "melanoma_measures"]

_MISSED = {"path": "path", "image_id": "image_id", "melanoma_score": "score",
           "threshold": "threshold", "label": "label", "group": "group"}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of an evaluation.

    measures: content of `--json`.
    missed: rows of `--missed`.
    judged: a row for each judged image.
    promised: operating point to sensitivity and specificity in the manifest of `--model`.
    """

    measures: dict[str, Any]
    missed: pd.DataFrame
    judged: pd.DataFrame
    promised: dict[str, tuple[float, float]] = field(default_factory=dict)

    def html(self) -> str:
        """The report as one HTML file."""
        judged = self.judged
        is_melanoma = (judged["label"] == self.measures["melanoma_class"]).to_numpy(bool)
        scores = judged["melanoma_score"].to_numpy(float)
        return evaluation_page(self.measures, is_melanoma, scores, self.promised)

    def isic_csv(self, year: str) -> str:
        """The judged predictions in the format of an ISIC challenge. year: of the challenge.

        Raises:
            UsageError: a class has no code, or two images have the same name.
        """
        stems = [Path(path).stem for path in self.judged["path"]]
        names = list(self.judged["image"]) if "image" in self.judged else stems
        scores = [dict(pairs) for pairs in self.judged["class_scores"]]
        return isic_csv(names, scores, year)


def evaluate_predictions(
    predictions: Path,
    labels: Path,
    split: str | None = None,
    model: str | None = None,
    min_cell: int = MIN_CELL,
    map_labels: Sequence[str] = (),
    positive: Sequence[str] = (),
    maps: Sequence[str] = (),
    by: Sequence[str] = (),
    pattern: re.Pattern[str] | None = None,
) -> Evaluation:
    """Measure a published night against a table of labels.

    Args:
        predictions, labels, split: as `read_night` and `read_labels` take them.
        model: bundled id or artifact folder whose operating points are measured, too.
        min_cell: a subgroup with fewer melanomas or fewer others has no figure.
        map_labels, positive: as `Vocabulary.of` takes them.
        maps: `THEIRS=OURS`, as `read_labels` takes them.
        by: further columns of labels or predictions to divide by.
        pattern: finds lesion and patient in paths; None for that of the night, if it had one.

    Raises:
        UsageError: a file or column is missing, nothing matches, the predictions are of several
            models or of another than `model`, a label does not say plainly whether it is melanoma,
            or there is no melanoma, or nothing else.
        ArtifactRefused: the manifest of `model` breaks its contract.
    """
    manifest = find_artifact(model).manifest if model is not None else None
    names = [name.strip().casefold() for name in by]
    label_rows, key = read_labels(labels, split, maps, names)
    night = read_night(predictions, label_rows, key, names, pattern)
    key = night.key
    rows = labelled_predictions(
        night.labels, night.predictions, night.unscored, key, night.example, night.named_by
    )
    check_model(rows, manifest)
    class_names = tuple(dict(rows["class_scores"].iloc[0]))
    melanoma_class = melanoma_class_of(rows, manifest)
    vocabulary = Vocabulary.of(class_names, melanoma_class, map_labels, positive)
    truth = in_words_of(night.labels, vocabulary)
    matched = match(truth, night.predictions, night.unscored, key, night.passed_over, night.unclear)
    check_both(matched, melanoma_class)
    check_columns(names, [str(name) for name in matched.judged])
    judged = matched.judged.assign(group=lesion_names(matched.judged))
    points = operating_points(judged, manifest)
    is_melanoma = (judged["label"] == melanoma_class).to_numpy(bool)
    measures = {
        "model": {name: judged[name].iloc[0] for name in MODEL_COLUMNS},
        "caution": caution_of(judged, manifest, night.model),
        "trained_on": trained_on(
            judged, own_images_at_hand(model, str(judged["model_sha256"].iloc[0]))
        ),
        "melanoma_class": melanoma_class,
        "split": split,
        "matched_by": night.named_by,
        "labels_read_as": readings(truth),
        "counts": matched.counts,
        **_not_judged(matched, melanoma_class),
        "same_bytes": same_bytes(judged),
        "unscored_known": night.unscored_known,
        **_melanoma(matched.judged, judged, melanoma_class, points, night.units, min_cell),
        "coverage": _coverage(matched.judged, night, min_cell),
        "classes": _classes(judged, class_names),
        **lesions_and_patients(matched.judged, is_melanoma, night.units, points),
        "thresholds": over_thresholds(is_melanoma, judged["melanoma_score"].to_numpy(float)),
    }
    promised = {
        point.name: (point.sensitivity, point.specificity)
        for point in (manifest.operating_points if manifest else ())
    }
    return Evaluation(measures, _missed(judged, melanoma_class, points), judged, promised)


def _melanoma(
    matched: pd.DataFrame,
    judged: pd.DataFrame,
    melanoma_class: str,
    points: list[dict[str, Any]],
    units: NightUnits,
    min_cell: int,
) -> dict[str, Any]:
    """Measures of melanoma against the rest: overall, at operating points, and by subgroup."""
    is_melanoma = (judged["label"] == melanoma_class).to_numpy(bool)
    scores = judged["melanoma_score"].to_numpy(float)
    groups = lesion_groups(matched, units)
    thresholds = [point["threshold"] for point in points]
    values = subgroup_values(judged)
    return {
        "melanoma": {
            "images": len(judged),
            "melanomas": int(is_melanoma.sum()),
            "others": int((~is_melanoma).sum()),
            "groups": len(set(groups)),
            **ranking_measures(is_melanoma, scores, groups),
        },
        "operating_points": [
            {**point, **at_threshold(is_melanoma, scores, point["threshold"])} for point in points
        ],
        "min_cell": min_cell,
        "subgroups": by_subgroup(values, is_melanoma, scores, groups, thresholds, min_cell),
    }


def _coverage(judged: pd.DataFrame, night: NightTables, min_cell: int) -> dict[str, Any]:
    """How much of the night has a label that is judged."""
    lesions, patients = night.units.lesions(judged), night.units.patients(judged)
    told = judged[[name for name in judged if str(name).startswith(TOLD)]]
    return coverage(
        {
            "images": len(judged),
            "lesions": lesions[lesions != ""].nunique() + int((lesions == "").sum()),
            "patients": patients[patients != ""].nunique(),
        },
        {
            "images": len(night.predictions) + night.passed_over,
            "lesions": len(night.units.lesion) + night.units.without_lesion,
            "patients": len(night.units.patient),
        },
        count_subgroups(told.rename(columns=lambda name: name.removeprefix(TOLD))),
        night.images_in,
        min_cell,
    )


def _not_judged(matched: Matched, melanoma_class: str) -> dict[str, Any]:
    """Numbers of labels that are not judged, and of melanomas among them."""
    counts: dict[str, Any] = {}
    for name in ("without_prediction", "ambiguous", "contradicting"):
        rows: pd.DataFrame = getattr(matched, name)
        melanomas = int((rows["label"] == melanoma_class).sum())
        counts[name] = {"rows": len(rows), "melanomas": melanomas}
    reasons = matched.without_prediction["reason"].dropna().value_counts()
    counts["without_prediction"]["unscored"] = {str(k): int(n) for k, n in reasons.items()}
    return counts


def _classes(judged: pd.DataFrame, class_names: tuple[str, ...]) -> dict[str, Any] | None:
    """Measures of all classes, for the images whose label is a class of the model.

    None if a label only says that an image is not melanoma: the accuracy would then cover
    melanomas and an arbitrary part of the others.
    """
    has_class = judged["label"].isin(class_names)
    if (judged["label"][~has_class] == NOT_MELANOMA).any():
        return None
    named = judged["label"][has_class].to_numpy(), judged["predicted_class"][has_class].to_numpy()
    others = judged["label"][~has_class].value_counts()
    return {
        "images": int(has_class.sum()),
        "labels_of_no_class": {str(label): int(count) for label, count in others.items()},
        **class_measures(*named, class_names),
        "confusion": confusion(*named, class_names),
    }


def _missed(
    judged: pd.DataFrame, melanoma_class: str, points: list[dict[str, Any]]
) -> pd.DataFrame:
    """Melanomas below the threshold, once for each operating point, lowest score first."""
    melanomas = judged[judged["label"] == melanoma_class].drop(columns="threshold")
    parts = [
        melanomas[melanomas["melanoma_score"] < point["threshold"]].assign(
            threshold=point["threshold"]
        )
        for point in points
    ]
    missed = pd.concat(parts).sort_values(["threshold", "melanoma_score", "path"])
    return missed[list(_MISSED)].rename(columns=_MISSED)
