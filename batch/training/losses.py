"""The loss over allowed classes: a coarse label teaches what it says, and no more."""

from __future__ import annotations

from typing import Any

from keras import ops

_LEAST = 1e-7
"""Added to a score before its logarithm is taken."""


class PartialLabelLoss:
    """−log of the sum of the allowed classes' scores; with one allowed class the usual loss.

    Of a label "not melanoma" nothing is learned but that: Jin and Ghahramani 2002, Learning with
    Multiple Labels; Cour, Sapp and Taskar 2011, Learning from Partial Labels.

    Args:
        smoothing: weight of the mean over all classes' −log, against being too sure (label
            smoothing, Szegedy et al. 2016).
    """

    __name__ = "partial_label_loss"

    def __init__(self, smoothing: float = 0.0) -> None:
        self._smoothing = smoothing

    def __call__(self, allowed: Any, scores: Any) -> Any:
        """The loss of each image, (N,).

        Args:
            allowed: (N, K) of 0 and 1. Of a mixed image (N, 2K + 1): the first image's, the
                second's, and the first one's share. scores: (N, K), rows adding up to 1.
        """
        classes = scores.shape[-1]
        loss = _partial(allowed[:, :classes], scores)
        if allowed.shape[-1] == 2 * classes + 1:
            share = allowed[:, -1]
            other = _partial(allowed[:, classes:-1], scores)
            loss = share * loss + (1 - share) * other
        if not self._smoothing:
            return loss
        flat = -ops.mean(ops.log(scores + _LEAST), axis=-1)
        return (1 - self._smoothing) * loss + self._smoothing * flat


def _partial(allowed: Any, scores: Any) -> Any:
    allowed = ops.cast(allowed, scores.dtype)
    return -ops.log(ops.sum(allowed * scores, axis=-1) + _LEAST)


def melanoma_is_told(melanoma: int) -> Any:
    """A metric for Keras: the share of images on whose side of one half the melanoma score is."""

    def right_side(allowed: Any, scores: Any) -> Any:
        told = ops.cast(allowed[:, melanoma], "float32") > 0.5
        return ops.cast(ops.equal(scores[:, melanoma] > 0.5, told), "float32")

    return right_side
