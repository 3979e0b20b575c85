"""Why a picture is not read: the failures that readers of several formats share.

A detail is our own phrase, never a library's message or a value of the dataset.
"""

from __future__ import annotations

from batch.core.errors import FailureReason, ImageFailure, Stage


def damaged(detail: str) -> ImageFailure:
    """What makes the picture is cut, missing or contradicts itself."""
    return ImageFailure(Stage.DECODE, FailureReason.DECODE_FAILED, detail)


def unsupported(detail: str) -> ImageFailure:
    """A format, or a kind of one, that is not read; found before anything was decoded."""
    return ImageFailure(Stage.IDENTIFY, FailureReason.UNSUPPORTED_FORMAT, detail)


def contradiction(detail: str) -> ImageFailure:
    """A header and its pixel data disagree."""
    return ImageFailure(Stage.DECODE, FailureReason.HEADER_CONTRADICTS_PIXELS, detail)


def greyscale() -> ImageFailure:
    """A picture in grey."""
    return ImageFailure(
        Stage.DECODE, FailureReason.NOT_COLOUR, "greyscale; the model has seen colour only"
    )
