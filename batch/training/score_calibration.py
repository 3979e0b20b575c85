"""Calibrates a trained network before it becomes an artifact: a temperature, and melanoma's share.

A course draws a third of melanomas from every source, so its scores speak of a clinic where a third
of the lesions are melanomas. Two numbers bring them back: all logits are multiplied by `scale` (one
over a temperature), and `melanoma_shift` is added to melanoma's. Both go into the weights of the
output layer, so that the artifact's scores are the calibrated ones and need no second step. The
order of the images hardly changes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp

from batch.evaluation.measures import calibration_error

_TINY = float(np.finfo(np.float32).tiny)
_LARGEST = 10.0
"""Of the scale and its reciprocal; the shift stays within as many log odds."""


@dataclass(frozen=True)
class ScoreCalibration:
    """scale: of all logits. melanoma_shift: added to melanoma's logit, in log odds."""

    scale: float
    melanoma_shift: float

    def scores(self, scores: np.ndarray, melanoma: int) -> np.ndarray:
        """(N, K) softmax scores as the calibrated network gives them, float64."""
        return np.exp(log_softmax(self._logits(_logs(scores), melanoma), axis=1))

    def _logits(self, logs: np.ndarray, melanoma: int) -> np.ndarray:
        logits = self.scale * logs
        logits[:, melanoma] += self.melanoma_shift
        return logits

    def set_output(self, layer: Any, melanoma: int) -> None:
        """Change the weights of a Keras output layer: kernel (F, K), bias (K,)."""
        kernel, bias = layer.get_weights()
        bias = self.scale * bias
        bias[melanoma] += self.melanoma_shift
        layer.set_weights([self.scale * kernel, bias])


def fit_calibration(
    scores: np.ndarray, is_melanoma: np.ndarray, sources: np.ndarray, melanoma: int
) -> ScoreCalibration:
    """What makes melanoma's score most likely, where every source counts the same.

    Args:
        scores: (N, K) softmax scores of images that trained nothing. is_melanoma: (N,) bool, of
            both kinds. sources: (N,) names. melanoma: its column.
    """
    logs = _logs(scores)
    names, at, counts = np.unique(sources, return_inverse=True, return_counts=True)
    weights = 1 / counts[at] / len(names)

    def loss(parameters: np.ndarray) -> float:
        calibration = ScoreCalibration(float(np.exp(parameters[0])), float(parameters[1]))
        logits = calibration._logits(logs, melanoma)  # noqa: SLF001 - the same class's arithmetic
        whole = logsumexp(logits, axis=1)
        others = logsumexp(np.delete(logits, melanoma, axis=1), axis=1)
        of_truth = np.where(is_melanoma, logits[:, melanoma], others)
        return float(np.sum(weights * (whole - of_truth)))

    bound = np.log(_LARGEST)
    found = minimize(
        loss, [0.0, 0.0], method="L-BFGS-B",
        bounds=[(-bound, bound), (-_LARGEST, _LARGEST)],
    )  # fmt: skip
    return ScoreCalibration(float(np.exp(found.x[0])), float(found.x[1]))


def calibration_facts(
    calibration: ScoreCalibration,
    scores: np.ndarray,
    is_melanoma: np.ndarray,
    sources: np.ndarray,
    melanoma: int,
) -> dict[str, Any]:
    """For the provenance: the two numbers, and by source the calibration error before and after.

    Args:
        as `fit_calibration`.
    """
    after = calibration.scores(scores, melanoma)[:, melanoma]
    by_source = {}
    for source in np.unique(sources).tolist():
        rows = sources == source
        by_source[source] = {
            "images": int(rows.sum()),
            "melanomas": int(is_melanoma[rows].sum()),
            "calibration_error_before": calibration_error(
                is_melanoma[rows], scores[rows, melanoma].astype(float)
            ),
            "calibration_error_after": calibration_error(is_melanoma[rows], after[rows]),
        }
    return {**asdict(calibration), "split": "validation", "by_source": by_source}


def _logs(scores: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(np.asarray(scores, np.float64), _TINY))
