"""What run.json tells of a run, as one model for all who read it. Pure.

A file that a person or a disk damaged must not end another night: a field that is not of its kind
counts as not told, and so does one entry of many. Fields that no reader here asks for are kept as
they are.
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

_MAX = 1 << 53
"""Whole numbers from here on are not exact in everybody's JSON."""


def printable(text: str) -> str:
    """Text that can steer no terminal and break no line."""
    return "".join(c if c.isprintable() else "?" for c in text)


Count = Annotated[int, Field(ge=0, lt=_MAX)]
Number = Annotated[float, Field(ge=0, lt=_MAX, allow_inf_nan=False)]
"""Not negative, as everything that run.json measures."""

Word = Annotated[str, AfterValidator(printable)]
"""A text that is safe to print."""


def _entries(kind: Any) -> BeforeValidator:
    """Leave out what is not of this kind, of a list or of an object's values."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind, config=ConfigDict(strict=True))

    def is_one(value: object) -> bool:
        try:
            adapter.validate_python(value)
        except (ValidationError, OverflowError):
            return False
        return True

    def keep(value: object) -> object:
        if isinstance(value, Mapping):
            return {name: each for name, each in _named(value).items() if is_one(each)}
        return [each for each in value if is_one(each)] if isinstance(value, list) else value

    return BeforeValidator(keep)


Counts = Annotated[dict[str, Count], _entries(Count)]
Numbers = Annotated[dict[str, Number], _entries(Number)]
Words = Annotated[dict[str, Word], _entries(Word)]


def _named(value: Mapping[Any, Any]) -> dict[str, Any]:
    """Without names that nobody gave: JSON can spell text that UTF-8 has no bytes for."""
    return {k: each for k, each in value.items() if isinstance(k, str) and k.isprintable()}


class _Told(BaseModel):
    """An object of run.json; every field may be missing."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _without_odd_names(cls, value: Any) -> Any:
        return _named(value) if isinstance(value, Mapping) else value

    @field_validator("*", mode="wrap")
    @classmethod
    def _absent_if_of_another_kind(
        cls, value: Any, handler: ValidatorFunctionWrapHandler, info: Any
    ) -> Any:
        try:
            return handler(value)
        except (ValidationError, OverflowError):
            return cls.model_fields[info.field_name].get_default(call_default_factory=True)


class Equation(_Told):
    """Files by what became of them."""

    files_found: Count | None = None
    scored: Count | None = None
    unchanged: Count | None = None
    reused: Count | None = None
    unscored: Count | None = None
    non_image: Count | None = None
    pending: Count | None = None


class Frames(_Told):
    """Images of the files that were read."""

    predictions: Count | None = None
    unscored: Count | None = None
    new_unscored: Count | None = None


class Current(_Told):
    """The whole archive."""

    images: Count | None = None


class Fingerprints(_Told):
    """Of the model."""

    scoring: str | None = None


class OperatingPoint(_Told):
    """The one that alerts are by."""

    threshold: float | None = None


class Model(_Told):
    """What scored."""

    model_id: Word | None = None
    model_version: Word | None = None
    model_sha256: Word | None = None
    fingerprints: Fingerprints = Fingerprints()
    operating_point: OperatingPoint = OperatingPoint()


class Options(_Told):
    """What the run was asked for, as far as it groups and names images."""

    archive: str | None = None
    limits: Any = None
    identifiers: str | None = None
    lesion_pattern: str | None = None
    patient_key_id: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @field_validator("include", "exclude", mode="before")
    @classmethod
    def _rules(cls, value: object) -> object:
        return tuple(map(str, value)) if isinstance(value, list) else value


class IdentityTold(_Told):
    """How the run groups images differently from the night before."""

    changed: Words = {}
    lesion_pattern_taken_over: bool = False


class Drift(_Told):
    """One comparison with earlier nights or the model's reference."""

    name: str | None = None
    label: str | None = None
    unusual: bool = False


class CanaryTold(_Told):
    """The golden images."""

    images: Count | None = None
    largest_difference: Number | None = None
    tolerance: Number | None = None


class Worklist(_Told):
    """The morning's list."""

    marks: Counts = {}
    marks_not_understood: Count | None = None
    marks_problems: Annotated[list[str], _entries(str)] = []
    marks_of_nobody: Annotated[list[str], _entries(str)] = []


class ReviewTold(_Told):
    """The night's report. figures, reference: read by batch/review/monitoring, on its own grid."""

    unusual: bool | None = None
    drift: Annotated[list[Drift], _entries(dict)] = []
    canary: CanaryTold | None = None
    worklist: Worklist | None = None
    figures: Any = None
    reference: Any = None


class RunRecord(_Told):
    """run.json. started_at, finished_at: as written; `start` and `finish` are instants."""

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
    identity: IdentityTold | None = None
    review: ReviewTold | None = None

    @property
    def start(self) -> datetime | None:
        """In UTC; None when there is none, or one without a time zone."""
        return _instant(self.started_at)

    @property
    def finish(self) -> datetime | None:
        """In UTC; None when there is none, or one without a time zone."""
        return _instant(self.finished_at)

    @property
    def unusual_by(self) -> str | None:
        """In what the night was unusual; None where it was not, or does not tell."""
        if self.review is None or self.review.unusual is not True:
            return None
        unusual = (each.label or str(each.name) for each in self.review.drift if each.unusual)
        return printable(", ".join(dict.fromkeys(unusual))) or "not told in what"


def record_of(run: Mapping[str, Any]) -> RunRecord:
    """What the content of a run.json tells."""
    return RunRecord.model_validate(run)


def review_of(review: Mapping[str, Any]) -> ReviewTold:
    """What the report of a night tells, which is a part of its run.json."""
    return ReviewTold.model_validate(review)


def _instant(text: str | None) -> datetime | None:
    try:
        time = datetime.fromisoformat(text or "")
        return time.astimezone(UTC) if time.tzinfo else None
    except (ValueError, OverflowError):
        return None
