"""Scores batches of prepared images; a bad image costs only its own row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from batch.core.errors import FailureReason, Stage
from batch.core.records import KEPT_ATTRIBUTES, ImageRecord, ModelInput, Prediction, Unscored
from batch.images.preprocess import CHANNELS, HEIGHT, WIDTH
from batch.model.classifier import Classifier
from batch.model.domain import Domain
from batch.model.manifest import OutputContract

INPUT_SHAPE = (HEIGHT, WIDTH, CHANNELS)


def score_batch(
    classifier: Classifier, output: OutputContract, inputs: Sequence[ModelInput]
) -> list[Prediction | Unscored]:
    """Score images together, and return a result for each, in any order.

    An image of the wrong shape or type does not reach the model. If the model fails on the batch,
    its images are scored one by one, and only those that fail become unscored.
    """
    fit = [item for item in inputs if _is_fit(item)]
    unfit = [
        _unscored(item, FailureReason.MODEL_INPUT_INVALID) for item in inputs if not _is_fit(item)
    ]
    return [*unfit, *(_score(classifier, output, fit) if fit else ())]


def _score(
    classifier: Classifier, output: OutputContract, inputs: Sequence[ModelInput]
) -> list[Prediction | Unscored]:
    try:
        pixels = np.stack([item.pixels for item in inputs])
        scores, domains = classifier.scores_and_domain(pixels)
        if scores.shape != (len(inputs), len(output.class_names)):
            raise ValueError("the model gave another number of scores")
    except Exception as error:  # whatever a model raises, each image gets a result
        if len(inputs) == 1:
            return [_unscored(inputs[0], FailureReason.MODEL_FAILED, type(error).__name__)]
        return [result for item in inputs for result in _score(classifier, output, [item])]
    if domains is None:
        return [conclude(item, row, output) for item, row in zip(inputs, scores, strict=True)]
    return [
        conclude(item, row, output, domain)
        for item, row, domain in zip(inputs, scores, domains, strict=True)
    ]


def conclude(
    item: ModelInput, scores: np.ndarray, output: OutputContract, domain: Domain | None = None
) -> Prediction | Unscored:
    """Make the prediction of an image from scores, (K,) float; unscored if one is not finite.

    Args:
        domain: of the image; its flags join those of the record. None where it is not known.
    """
    if not np.all(np.isfinite(scores)):
        return _unscored(item, FailureReason.SCORE_NOT_FINITE)
    named = tuple(zip(output.class_names, (float(score) for score in scores), strict=True))
    return Prediction(
        record=item.record if domain is None else _with_domain(item.record, domain),
        class_scores=named,
        predicted_class=output.class_names[int(np.argmax(scores))],
        melanoma_score=dict(named)[output.melanoma_class],
        domain_percentile=None if domain is None else domain.percentile,
        dermoscopy_score=None if domain is None else domain.dermoscopy_score,
    )


def _with_domain(record: ImageRecord, domain: Domain) -> ImageRecord:
    if not domain.flags:
        return record
    flags = tuple(sorted({*record.flags, *domain.flags}))
    return replace(record, flags=flags, is_reliable=False)


def _is_fit(item: ModelInput) -> bool:
    return item.pixels.shape == INPUT_SHAPE and item.pixels.dtype == np.uint8


def _unscored(item: ModelInput, reason: FailureReason, detail: str = "") -> Unscored:
    record = item.record
    return Unscored(
        record.path,
        Stage.SCORE,
        reason,
        detail,
        record.image_id,
        record.frame_number,
        record.content_sha256,
        **{name: getattr(record, name) for name in KEPT_ATTRIBUTES},
    )
