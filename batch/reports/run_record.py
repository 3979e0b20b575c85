"""The content of run.json, as one model for all its readers.

A damaged run.json must not end another night. So a field of the wrong type counts as missing, and a
bad entry of a list is left out. Fields that are not in the model are kept as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

_LARGEST = 1 << 53
"""From here on, many readers of JSON do not read whole numbers exactly."""


def printable(text: str) -> str:
    """Replace characters that could control a terminal or break a line by `?`."""
    return "".join(c if c.isprintable() else "?" for c in text)


Count = Annotated[int, Field(ge=0, lt=_LARGEST)]
Number = Annotated[float, Field(ge=0, lt=_LARGEST, allow_inf_nan=False)]
"""A measured number of run.json; none is negative."""

Word = Annotated[str, AfterValidator(printable)]
"""A text that is safe to print."""


def _entries(kind: Any) -> BeforeValidator:
    """A validator that leaves out entries of another type from a list or from an object."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind, config=ConfigDict(strict=True))

    def is_valid(value: object) -> bool:
        try:
            adapter.validate_python(value)
        except (ValidationError, OverflowError):
            return False
        return True

    def keep(value: object) -> object:
        if isinstance(value, Mapping):
            entries = _with_plain_names(value).items()
            return {name: entry for name, entry in entries if is_valid(entry)}
        return [entry for entry in value if is_valid(entry)] if isinstance(value, list) else value

    return BeforeValidator(keep)


Counts = Annotated[dict[str, Count], _entries(Count)]
Numbers = Annotated[dict[str, Number], _entries(Number)]
Words = Annotated[dict[str, Word], _entries(Word)]


def _with_plain_names(value: Mapping[Any, Any]) -> dict[str, Any]:
    """Leave out entries with unprintable names; JSON can hold text that UTF-8 cannot encode."""
    texts = {name: entry for name, entry in value.items() if isinstance(name, str)}
    return {name: entry for name, entry in texts.items() if name.isprintable()}


class _LenientModel(BaseModel):
    """An object of run.json, in which every field may be missing or of the wrong type."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _without_odd_names(cls, value: Any) -> Any:
        return _with_plain_names(value) if isinstance(value, Mapping) else value

    @field_validator("*", mode="wrap")
    @classmethod
    def _absent_if_of_another_kind(
        cls, value: Any, handler: ValidatorFunctionWrapHandler, info: Any
    ) -> Any:
        try:
            return handler(value)
        except (ValidationError, OverflowError):
            return cls.model_fields[info.field_name].get_default(call_default_factory=True)


class Equation(_LenientModel):
    """Files by what became of them."""

    files_found: Count | None = None
    scored: Count | None = None
    unchanged: Count | None = None
    reused: Count | None = None
    unscored: Count | None = None
    non_image: Count | None = None
    pending: Count | None = None


class Frames(_LenientModel):
    """Images of the files that were read."""

    predictions: Count | None = None
    unscored: Count | None = None
    new_unscored: Count | None = None


class Current(_LenientModel):
    """The whole archive."""

    images: Count | None = None


class Fingerprints(_LenientModel):
    """Fingerprints of the run."""

    scoring: str | None = None


class OperatingPoint(_LenientModel):
    """The operating point of the run."""

    threshold: float | None = None


class Model(_LenientModel):
    """The model that scored."""

    model_id: Word | None = None
    model_version: Word | None = None
    model_sha256: Word | None = None
    fingerprints: Fingerprints = Fingerprints()
    operating_point: OperatingPoint = OperatingPoint()


class Options(_LenientModel):
    """Options of the run that later commands need."""

    archive: str | None = None
    limits: Any = None
    identifiers: str | None = None
    lesion_pattern: str | None = None
    patient_key_id: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    manifest: tuple[str, ...] = ()

    @field_validator("include", "exclude", "manifest", mode="before")
    @classmethod
    def _rules(cls, value: object) -> object:
        return tuple(map(str, value)) if isinstance(value, list) else value


class IdentityRecord(_LenientModel):
    """Changes in how the run groups images, compared with the night before."""

    changed: Words = {}
    lesion_pattern_taken_over: bool = False


class Comparison(_LenientModel):
    """A comparison with earlier nights or with the model's reference."""

    name: str | None = None
    label: str | None = None
    unusual: bool = False


class CanaryRecord(_LenientModel):
    """The check of the golden images."""

    images: Count | None = None
    largest_difference: Number | None = None
    tolerance: Number | None = None


class WorklistRecord(_LenientModel):
    """The review worklist."""

    marks: Counts = {}
    marks_not_understood: Count | None = None
    marks_problems: Annotated[list[str], _entries(str)] = []
    marks_of_nobody: Annotated[list[str], _entries(str)] = []


class ReviewRecord(_LenientModel):
    """The review of the night. figures, flags, reference: as batch/review/monitoring has them."""

    unusual: bool | None = None
    drift: Annotated[list[Comparison], _entries(dict)] = []
    canary: CanaryRecord | None = None
    worklist: WorklistRecord | None = None
    figures: Any = None
    flags: Any = None
    reference: Any = None


class RunRecord(_LenientModel):
    """The content of run.json. started_at, finished_at: texts; `start`, `finish`: times.

    quality_bounds: in the form of batch/review/monitoring/own_bounds.
    """

    run_id: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    seconds: Numbers = {}
    images_per_second: Number | None = None
    stopped: Word | None = None
    equation: Equation = Equation()
    frames: Frames = Frames()
    current: Current = Current()
    alerts: Count | None = None
    alerts_by_operating_point: Count | None = None
    unscored_rate: Number | None = None
    unscored_by_reason: Counts = {}
    pending_by_reason: Counts = {}
    left_archive: Count | None = None
    model: Model = Model()
    options: Options | None = None
    identity: IdentityRecord | None = None
    review: ReviewRecord | None = None
    quality_bounds: Any = None

    @property
    def start(self) -> datetime | None:
        """In UTC; None if the text is missing, or is no time with a zone."""
        return _instant(self.started_at)

    @property
    def finish(self) -> datetime | None:
        """In UTC; None if the text is missing, or is no time with a zone."""
        return _instant(self.finished_at)

    @property
    def unusual_by(self) -> str | None:
        """In which comparisons the night was unusual; None if it was not, or is not known to be."""
        if self.review is None or self.review.unusual is not True:
            return None
        unusual = [comparison for comparison in self.review.drift if comparison.unusual]
        names = (comparison.label or str(comparison.name) for comparison in unusual)
        return printable(", ".join(dict.fromkeys(names))) or "not recorded in what"


def record_of(run: Mapping[str, Any]) -> RunRecord:
    """Read the content of a run.json."""
    return RunRecord.model_validate(run)


def review_of(review: Mapping[str, Any]) -> ReviewRecord:
    """Read `review` of a run.json."""
    return ReviewRecord.model_validate(review)


def _instant(text: str | None) -> datetime | None:
    try:
        time = datetime.fromisoformat(text or "")
        return time.astimezone(UTC) if time.tzinfo else None
    except (ValueError, OverflowError):
        return None
