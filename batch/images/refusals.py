"""Failures that the readers of several formats share.

A detail is our own phrase, not a library's message or a value of the dataset.
"""

from __future__ import annotations

from batch.core.errors import FailureReason, ImageFailure, Stage


def damaged(detail: str) -> ImageFailure:
    """Data of the picture are missing, damaged or contradictory."""
    return ImageFailure(Stage.DECODE, FailureReason.DECODE_FAILED, detail)


def unsupported(detail: str) -> ImageFailure:
    """A format, or a kind of one, is not supported; this is known before decoding."""
    return ImageFailure(Stage.IDENTIFY, FailureReason.UNSUPPORTED_FORMAT, detail)


def contradiction(detail: str) -> ImageFailure:
    """A header and its pixel data contradict each other."""
    return ImageFailure(Stage.DECODE, FailureReason.HEADER_CONTRADICTS_PIXELS, detail)


def greyscale() -> ImageFailure:
    """A picture is greyscale."""
    return ImageFailure(
        Stage.DECODE, FailureReason.NOT_COLOUR, "greyscale; the model has seen colour only"
    )
