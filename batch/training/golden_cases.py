"""Golden cases: generated images whose scores tell at every start that nothing has changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from batch.archive.reader import read_image
from batch.demo.lesions import lesion_image
from batch.model.classifier import KerasClassifier
from batch.model.golden import GOLDEN_FOLDER
from batch.model.manifest import GoldenCase

GOLDEN_TOLERANCE = 1e-4
"""Scores on another processor differed by less than 1e-5; another scaling differs by tenths."""

_SOURCES = (
    ("lesion-0.png", 360, 480),
    ("lesion-1.jpg", 480, 640),
    ("lesion-2.png", 180, 180),
    ("lesion-3.png", 150, 200),
)


def write_golden(folder: Path, classifier: KerasClassifier) -> tuple[GoldenCase, ...]:
    """Draw the golden images and measure their scores.

    Args:
        folder: of the artifact, with no golden images yet. classifier: the job's own.
    """
    golden = folder / GOLDEN_FOLDER
    golden.mkdir()
    cases = []
    for seed, (file, height, width) in enumerate(_SOURCES):
        Image.fromarray(lesion_image(seed, height, width)).save(golden / file)
        # the model's input is what a decoder made of the file, not what was drawn
        pixels = read_image(golden / file).pixels
        input_file = f"{Path(file).stem}.input.png"
        Image.fromarray(pixels).save(golden / input_file)
        cases.append(GoldenCase(file, input_file, _named_scores(pixels, classifier)))
    return tuple(cases)


def rescore_golden(
    folder: Path, cases: Iterable[GoldenCase], classifier: KerasClassifier
) -> tuple[GoldenCase, ...]:
    """The same images with the scores of a classifier whose contract has changed.

    Args:
        folder: of the artifact that the cases belong to.
    """
    return tuple(
        replace(
            case,
            scores=_named_scores(
                read_image(folder / GOLDEN_FOLDER / case.input_file).pixels, classifier
            ),
        )
        for case in cases
    )


def _named_scores(pixels: np.ndarray, classifier: KerasClassifier) -> dict[str, float]:
    scores = classifier.scores(pixels[None])[0]
    names = classifier.manifest.output.class_names
    return {name: float(score) for name, score in zip(names, scores, strict=True)}
