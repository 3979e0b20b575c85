"""Errors of the program and the closed lists of reasons.

A `BatchError` stops the run. An `ImageFailure` costs one image, which ends as an `Unscored` row.
The texts of an `ImageFailure` are written by us and quote nothing from a file, since tables and
logs hold them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Any

_OPTION = re.compile(r"(?:--[a-z-]+|[A-Z][A-Z_]+)(?=: )")
"""A message about an option or an argument begins with its name."""


class ExitCode(IntEnum):
    """Exit codes of `melanoma-batch`; the README explains each."""

    COMPLETE = 0
    FAILURE = 1
    USAGE = 2
    NO_IMAGES = 3
    LOCKED = 4
    ARTIFACT_REFUSED = 5
    UNSCORED_RATE = 6
    STOPPED_EARLY = 7
    MARKS_NOT_UNDERSTOOD = 8
    NOT_STARTED = 9


class BatchError(Exception):
    """A run cannot go on.

    The message says what is wrong, what was found, what is allowed, and the remedy.

    exit_code: of the process.
    kind: the failure in a few words, without any value, so that a log may keep it.
    """

    exit_code = ExitCode.FAILURE
    kind = "the run could not go on"

    @property
    def reason(self) -> str:
        """The option's name and the kind. It holds no value and no path, so a log may keep it."""
        option = _OPTION.match(str(self))
        return f"{option[0]}: {self.kind}" if option else self.kind

    def __reduce__(self) -> tuple[Any, ...]:
        """Let errors travel between processes, also those whose constructor builds the message."""
        return _rebuilt, (type(self), self.args), vars(self)


def _rebuilt(error_class: type[BatchError], arguments: tuple[Any, ...]) -> BatchError:
    return error_class.__new__(error_class, *arguments)


class UsageError(BatchError):
    """An option or a path given by the caller is not usable."""

    exit_code = ExitCode.USAGE
    kind = "cannot be used as given"


class StoreFailed(UsageError):
    """An object store cannot be used at all: no bucket, no credentials, no answer, no client."""

    kind = "the object store cannot be used"

    def __init__(self, option: str, url: object, found: str, remedy: str) -> None:
        super().__init__(f"{option}: {url}: {found}. {remedy}")


class StoreSilent(StoreFailed):
    """An object store does not answer: the option may be right, and a later run succeed."""

    exit_code = ExitCode.FAILURE
    kind = "the object store does not answer"


class NoImagesFound(BatchError):
    """The archive holds no image that could be settled as scored, unscored or pending."""

    exit_code = ExitCode.NO_IMAGES
    kind = "no file there, or no image that could be settled"


class ArchiveLost(BatchError):
    """The archive went away during the run."""

    kind = "the archive went away during the run"


class ArchiveShrunk(BatchError):
    """More than half of the files of the last night are gone."""

    exit_code = ExitCode.NO_IMAGES
    kind = "more than half of the files of the last night are gone"


class ReportsLost(BatchError):
    """The reports folder went away, or was replaced, during the run."""

    kind = "the reports went away, or were replaced, during the run"


class RunnerFailed(BatchError):
    """The engine that runs the pipeline gave up.

    runner: its name, as the caller wrote it.
    state: the engine's word for the end, or the type of the error. Never the error's text, which
        may quote what a worker read.
    """

    kind = "the engine did not finish the pipeline"

    def __init__(self, runner: str | None, state: str) -> None:
        super().__init__(
            f"Beam options after `--`: {runner} did not finish the pipeline ({state}); nothing was "
            "published. The engine's own logs say why; then start again."
        )


class ReportsLocked(BatchError):
    """Another run holds the lock of the reports folder."""

    exit_code = ExitCode.LOCKED
    kind = "another run holds the reports"


class ArtifactRefused(BatchError):
    """A model artifact breaks its contract.

    field: dotted name of the manifest field that breaks it, e.g. `output.class_names`.
    """

    exit_code = ExitCode.ARTIFACT_REFUSED
    kind = "the model artifact was refused"

    def __init__(self, field: str, found: object, allowed: object, remedy: str) -> None:
        self.field = field
        self.kind = f"the model artifact was refused: field {field}"
        super().__init__(
            f"model artifact refused: field {field}: found {found}; allowed {allowed}. {remedy}"
        )


class LedgerImbalance(BatchError):
    """The counts of a run do not add up: something was lost or counted twice."""

    kind = "the counts do not add up"


class SchemaMismatch(BatchError):
    """A row does not have exactly the columns of its published contract."""

    kind = "a row is not as its contract says"


class Stage(StrEnum):
    """Where in the pipeline an image failed."""

    READ = "read"
    IDENTIFY = "identify"
    DECODE = "decode"
    SCORE = "score"


class FailureReason(StrEnum):
    """Why an image has no score."""

    EMPTY_FILE = "empty_file"
    NOT_READABLE = "not_readable"
    VANISHED = "vanished"
    NOT_A_REGULAR_FILE = "not_a_regular_file"
    FILE_TOO_LARGE = "file_too_large"
    CONTENT_NOT_AN_IMAGE = "content_not_an_image"
    UNSUPPORTED_FORMAT = "unsupported_format"
    UNSUPPORTED_SOP_CLASS = "unsupported_sop_class"
    UNSUPPORTED_TRANSFER_SYNTAX = "unsupported_transfer_syntax"
    UNSUPPORTED_PHOTOMETRIC_INTERPRETATION = "unsupported_photometric_interpretation"
    DICOM_INVALID = "dicom_invalid"
    NESTED_TOO_DEEP = "nested_too_deep"
    INFLATES_TOO_MUCH = "inflates_too_much"
    PIXEL_DATA_MISSING = "pixel_data_missing"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_FRAMES = "too_many_frames"
    HEADER_CONTRADICTS_PIXELS = "header_contradicts_pixels"
    DECODE_FAILED = "decode_failed"
    NOT_COLOUR = "not_colour"
    WHOLLY_TRANSPARENT = "wholly_transparent"
    ONE_COLOUR = "one_colour"
    DECODER_TIMED_OUT = "decoder_timed_out"
    DECODER_CRASHED = "decoder_crashed"
    MODEL_INPUT_INVALID = "model_input_invalid"
    MODEL_FAILED = "model_failed"
    SCORE_NOT_FINITE = "score_not_finite"


class NonImageReason(StrEnum):
    """Why a file counts as a non-image: it was recognised, and it is nothing to score."""

    OTHER_FILE_TYPE = "other_file_type"
    SYSTEM_FOLDER = "system_folder"
    DICOM_WITHOUT_PIXELS = "dicom_without_pixels"
    DICOM_OTHER_KIND = "dicom_other_kind"
    EXCLUDED_BY_RULE = "excluded_by_rule"


class PendingReason(StrEnum):
    """Why a file waits for the next run."""

    CHANGED_WHILE_READ = "changed_while_read"
    UNREADABLE_AND_YOUNG = "unreadable_and_young"
    NOT_SETTLED = "not_settled"
    OUT_OF_TIME = "out_of_time"
    STOPPED = "stopped"
    FOLDER_NOT_LISTED = "folder_not_listed"
    DECODER_NOT_STARTED = "decoder_not_started"


class ImageFailure(Exception):
    """One image, or one whole file, cannot be scored; it ends as an `Unscored` row.

    stage, reason: where and why it failed.
    detail: a short phrase of ours, without path, value of a dataset, or message of a library.
    attributes: what the file says of lesion and patient although it failed, as far as the privacy
        policy allows it; by the names of `ImageRecord`.
    """

    def __init__(self, stage: Stage, reason: FailureReason, detail: str = "") -> None:
        self.stage, self.reason, self.detail = stage, reason, detail
        self.attributes: Mapping[str, str | None] = {}
        super().__init__(stage, reason, detail)


class DecoderNotStarted(Exception):
    """A watched process could not be started, or ended before it was ready for any file.

    The machine is at fault, not a file.

    detail: a short phrase, ours or the system's.
    """

    def __init__(self, detail: str) -> None:
        self.detail = detail
        super().__init__(detail)


class NotAnImage(Exception):
    """The file was recognised as something other than an image to score."""

    def __init__(self, reason: NonImageReason, detail: str = "") -> None:
        self.reason, self.detail = reason, detail
        super().__init__(reason, detail)
