"""How good are scores? Measures with intervals, from arrays or from a published night."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score, recall_score, roc_auc_score

from batch.errors import UsageError
from batch.training.operating_point import sensitivity_and_specificity

BOOTSTRAP_ROUNDS = 1000


def melanoma_auc(is_melanoma: np.ndarray, scores: np.ndarray) -> float | None:
    """Area under the ROC curve; None where one of the two kinds is absent."""
    if is_melanoma.all() or not is_melanoma.any():
        return None
    return float(roc_auc_score(is_melanoma, scores))


def auc_interval(
    is_melanoma: np.ndarray, scores: np.ndarray, groups: np.ndarray, seed: int = 0
) -> tuple[float, float] | None:
    """95 % interval of the AUC: percentile bootstrap that draws whole groups (lesions)."""
    if melanoma_auc(is_melanoma, scores) is None:
        return None
    rng = np.random.default_rng(seed)
    codes = pd.factorize(groups)[0]
    members = pd.Series(np.arange(len(codes))).groupby(codes).apply(np.array).to_list()
    values = []
    for _ in range(BOOTSTRAP_ROUNDS):
        rows = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        if (auc := melanoma_auc(is_melanoma[rows], scores[rows])) is not None:
            values.append(auc)
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def melanoma_measures(
    is_melanoma: np.ndarray, scores: np.ndarray, groups: np.ndarray, threshold: float
) -> dict[str, object]:
    """What can be said of melanoma against the rest.

    Args:
        is_melanoma: (N,) bool. scores: (N,) melanoma score. groups: (N,) lesion or duplicate group.
    """
    return {
        "images": len(is_melanoma),
        "melanomas": int(is_melanoma.sum()),
        "melanoma_auc": melanoma_auc(is_melanoma, scores),
        "melanoma_auc_interval": auc_interval(is_melanoma, scores, groups),
        "threshold": threshold,
        "at_operating_point": sensitivity_and_specificity(is_melanoma, scores, threshold),
    }


def class_measures(
    labels: np.ndarray, predicted: np.ndarray, class_names: tuple[str, ...]
) -> dict[str, object]:
    """Accuracy, balanced accuracy over the classes that occur, and each class's sensitivity."""
    present = [name for name in class_names if name in set(labels)]
    recalls = recall_score(labels, predicted, labels=present, average=None, zero_division=0)
    return {
        "accuracy": float(np.mean(labels == predicted)),
        "balanced_accuracy": float(balanced_accuracy_score(labels, predicted)),
        "per_class": {
            name: {
                "images": int(np.sum(labels == name)),
                "predicted": int(np.sum(predicted == name)),
                "sensitivity": float(recalls[present.index(name)]) if name in present else None,
            }
            for name in class_names
        },
    }


def evaluate_predictions(
    predictions: Path, labels: Path, split: str | None, melanoma_class: str = "melanoma"
) -> dict[str, object]:
    """Measure a published night against a table of labels.

    Args:
        predictions: a reports folder or a night (its current view), or a folder of predictions.
        labels: CSV with `label` and `content_sha256` or `image` (file name without extension);
            `split` and `group` where known.
        split: take only these rows of the labels.

    Raises:
        UsageError: a file or column is missing, or nothing matches.
    """
    truth = _read_labels(labels, split)
    night = _read_predictions(predictions)
    key = "content_sha256" if "content_sha256" in truth else "image"
    night["image"] = [Path(path).stem for path in night["path"]]
    night = night.drop_duplicates(key)
    joined = truth.merge(night, on=key, how="inner", suffixes=("_label", ""))
    if joined.empty:
        raise UsageError(f"evaluate: no image of {labels} is among the predictions (by {key}).")
    is_melanoma = (joined["label"] == melanoma_class).to_numpy()
    groups = joined["group"] if "group" in joined else joined[key]
    _check_names(joined["label"], tuple(dict(joined["class_scores"].iloc[0])))
    scores = joined["melanoma_score"].to_numpy()
    threshold = float(joined["threshold"].iloc[0])
    class_names = tuple(dict(joined["class_scores"].iloc[0]))
    known = joined["label"].isin(class_names).to_numpy()
    result: dict[str, object] = {
        "model_id": joined["model_id"].iloc[0],
        "model_sha256": joined["model_sha256"].iloc[0],
        "operating_point": joined["operating_point"].iloc[0],
        "labelled_images": len(truth),
        "without_prediction": len(truth) - len(joined),
        "melanoma": melanoma_measures(is_melanoma, scores, groups.to_numpy(), threshold),
    }
    if known.all():
        named = joined["label"].to_numpy(), joined["predicted_class"].to_numpy()
        result["classes"] = class_measures(*named, class_names)
    return result


def _check_names(labels: pd.Series, class_names: tuple[str, ...]) -> None:
    """`Melanoma` for `melanoma` would count as another class, and every melanoma as missed."""
    by_folded = {name.casefold(): name for name in class_names}
    for label in labels.unique():
        right = by_folded.get(str(label).strip().casefold())
        if right is not None and label != right:
            raise UsageError(
                f"--labels: found {label!r}; allowed: {right!r}, as the model says it."
            )


def _read_labels(path: Path, split: str | None) -> pd.DataFrame:
    if not path.is_file():
        raise UsageError(f"--labels: no file {path}.")
    try:
        table = pd.read_csv(path)
    except ValueError as error:  # pandas' own errors and bad UTF-8 are kinds of it
        raise UsageError(f"--labels: {path} is no CSV ({type(error).__name__}).") from error
    if "label" not in table or not {"content_sha256", "image"} & set(table):
        raise UsageError(
            f"--labels: columns {list(table.columns)}; needed: label, and content_sha256 or image."
        )
    if split is None:
        return table
    if "split" not in table or split not in set(table["split"]):
        raise UsageError(f"--split: no rows of split {split!r} in {path}.")
    return table[table["split"] == split]


def _read_predictions(path: Path) -> pd.DataFrame:
    for folder in (path / "latest" / "current", path / "current", path):
        if folder.is_dir() and (parts := sorted(folder.glob("*.parquet"))):
            return pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)
    raise UsageError(f"evaluate: no predictions below {path}; give a reports folder or a night.")
