"""Scores the images of a night with a second model, whose answers raise nothing.

Whatever that model does, the results of the night's own model stay as they are: it gets only images
that have a prediction, after that prediction was made, and its failures are results, too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from batch.core.records import ModelInput, Prediction, Unscored
from batch.model.classifier import Classifier
from batch.model.manifest import OutputContract
from batch.model.scoring import score_batch

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SilentScore:
    """What the silent model said of an image; it is in no count and raises no alert."""

    result: Prediction | Unscored


@dataclass(frozen=True)
class SilentModel:
    """The second model of a run. load: gives its classifier, once in each worker process."""

    load: Callable[[], Classifier]
    output: OutputContract

    def loaded(self) -> SilentScorer:
        """The model, ready to score; where it cannot be opened, each image gets that as reason."""
        try:
            return SilentScorer(self.load(), self.output)
        except Exception as error:  # the night goes on without it
            logger.warning("the silent model could not be opened: %s", type(error).__name__)
            return SilentScorer(_NotOpened(type(error).__name__), self.output)


@dataclass(frozen=True)
class SilentScorer:
    """An opened silent model."""

    classifier: Classifier
    output: OutputContract

    def score(
        self, inputs: Sequence[ModelInput], results: Sequence[Prediction | Unscored]
    ) -> list[SilentScore]:
        """Score the images that the night's own model scored.

        Args:
            inputs: images of a batch.
            results: of the night's model, in any order.
        """
        scored = {_key(result) for result in results if isinstance(result, Prediction)}
        again = [item for item in inputs if (item.record.path, item.record.frame_number) in scored]
        return [SilentScore(result) for result in score_batch(self.classifier, self.output, again)]


def _key(prediction: Prediction) -> tuple[str, int | None]:
    return prediction.record.path, prediction.record.frame_number


class _NotOpened:
    """Stands for a model that could not be opened."""

    def __init__(self, why: str) -> None:
        self._why = why

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        """Fail for every image.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(self._why)

    def scores_and_domain(self, pixels: np.ndarray) -> tuple[np.ndarray, None]:
        """As `scores`."""
        return self.scores(pixels), None
