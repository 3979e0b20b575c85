"""Operating point to alert: the one comparison that decides what a person is asked to look at."""

from __future__ import annotations

from batch.records import Alert, OperatingPoint, Prediction


def is_alert(melanoma_score: float, operating_point: OperatingPoint) -> bool:
    """Whether a score, 0..1, asks for a look: at the threshold itself, it does."""
    return melanoma_score >= operating_point.threshold


def alert_for(prediction: Prediction, operating_point: OperatingPoint) -> Alert | None:
    """The alert that a prediction raises, if any. None says nothing about the lesion."""
    if is_alert(prediction.melanoma_score, operating_point):
        return Alert(prediction, operating_point)
    return None
