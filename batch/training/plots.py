"""Curves and tables as pictures beside an artifact: loss, ROC, precision-recall, reliability,
confusion. No image of anybody is in them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import ConfusionMatrixDisplay, PrecisionRecallDisplay, RocCurveDisplay

BINS = 10
_METADATA = {"Software": None}
"""No version of the drawing library in the file: the same figures give the same bytes."""


def draw(
    folder: Path,
    history: list[dict[str, float]],
    sets: dict[str, pd.DataFrame],
    melanoma_class: str,
    class_names: tuple[str, ...],
) -> None:
    """Write the pictures.

    Args:
        history: an epoch's losses each, or those of a course without epochs; may be empty, then
            there is no picture of it.
        sets: by name, tables with columns label, melanoma_score, predicted_class; those without a
            melanoma or without anything else are left out of the curves. The confusion is of the
            last set that has more than two classes.
    """
    folder.mkdir()
    usable = {
        name: part
        for name, part in sets.items()
        if (part["label"] == melanoma_class).any() and (part["label"] != melanoma_class).any()
    }
    if history:
        _loss(history, folder / "loss.png")
    for name, display in (("roc", RocCurveDisplay), ("precision_recall", PrecisionRecallDisplay)):
        _curves(usable, melanoma_class, display, folder / f"{name}.png")
    _reliability(usable, melanoma_class, folder / "reliability.png")
    whole = [part for part in sets.values() if part["label"].nunique() > 1]
    if whole:
        _confusion(whole[-1], class_names, folder / "confusion.png")


def _loss(history: list[dict[str, float]], path: Path) -> None:
    has_epochs = "val_loss" in history[0]
    figure, axes = _figure("epoch" if has_epochs else "part of the course", "loss")
    for name in ("loss", "val_loss") if has_epochs else ("loss",):
        axes.plot(range(1, len(history) + 1), [row[name] for row in history], label=name)
    _save(figure, axes, path)


def _curves(sets: dict[str, pd.DataFrame], melanoma: str, display: Any, path: Path) -> None:
    figure, axes = _figure("", "")
    for name, part in sets.items():
        is_melanoma = (part["label"] == melanoma).to_numpy()
        display.from_predictions(is_melanoma, part["melanoma_score"], name=name, ax=axes)
    _save(figure, axes, path)


def _reliability(sets: dict[str, pd.DataFrame], melanoma: str, path: Path) -> None:
    figure, axes = _figure("mean melanoma score", "share of melanomas")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for name, part in sets.items():
        is_melanoma = (part["label"] == melanoma).to_numpy()
        scores = np.clip(part["melanoma_score"], 0, 1)
        share, mean = calibration_curve(is_melanoma, scores, n_bins=BINS, strategy="quantile")
        axes.plot(mean, share, marker="o", label=name)
    _save(figure, axes, path)


def _confusion(part: pd.DataFrame, class_names: tuple[str, ...], path: Path) -> None:
    figure = Figure(figsize=(8, 7), layout="constrained")
    ConfusionMatrixDisplay.from_predictions(
        part["label"],
        part["predicted_class"],
        labels=list(class_names),
        ax=figure.subplots(),
        xticks_rotation="vertical",
        colorbar=False,
    )
    figure.savefig(path, dpi=100, metadata=_METADATA)


def _figure(x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y)
    return figure, axes


def _save(figure: Figure, axes: Any, path: Path) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small")
    figure.savefig(path, dpi=100, metadata=_METADATA)
