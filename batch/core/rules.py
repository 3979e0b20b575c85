"""Rules of reading: limits, include and exclude rules, and lesion patterns.

Workers get limits, rules and privacy policy as one frozen value, `ReadingRules`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from batch.core.errors import (
    FailureReason,
    ImageFailure,
    NonImageReason,
    NotAnImage,
    Stage,
    UsageError,
)
from batch.core.privacy import IdentifierPolicy
from batch.core.records import ImageLocation
from batch.core.text import did_you_mean


@dataclass(frozen=True)
class Limits:
    """Upper bounds for one file; the defaults allow an original of 100 megapixels.

    file_bytes: size on disk.
    side: rows or columns of one frame, as its headers declare them.
    pixels: rows times columns, likewise.
    frames: of one DICOM object.
    decoded_bytes: of one frame, before it is brought to 8 bits.
    inflated_bytes: of a deflated DICOM dataset.
    nesting: levels of DICOM sequences.
    decode_seconds: time for one file in the watched process.
    decoder_bytes: address space of the watched process.
    """

    file_bytes: int = 512 * 1024**2
    side: int = 20_000
    pixels: int = 100_000_000
    frames: int = 64
    decoded_bytes: int = 640 * 1024**2
    inflated_bytes: int = 128 * 1024**2
    nesting: int = 32
    decode_seconds: int = 60
    decoder_bytes: int = 4 * 1024**3

    def check_size(self, rows: int, columns: int, bytes_per_pixel: int = 3) -> None:
        """Refuse a frame whose declared size is outside the limits, before memory is allocated.

        Raises:
            ImageFailure: HEADER_CONTRADICTS_PIXELS for a side below 1, TOO_MANY_PIXELS above.
        """
        if rows < 1 or columns < 1:
            raise ImageFailure(
                Stage.DECODE, FailureReason.HEADER_CONTRADICTS_PIXELS, "declared without pixels"
            )
        if max(rows, columns) > self.side or rows * columns > self.pixels:
            raise ImageFailure(
                Stage.DECODE,
                FailureReason.TOO_MANY_PIXELS,
                f"{columns}x{rows}; allowed: {self.side} a side, {self.pixels} in all",
            )
        if (needed := rows * columns * bytes_per_pixel) > self.decoded_bytes:
            raise ImageFailure(
                Stage.DECODE,
                FailureReason.TOO_MANY_PIXELS,
                f"{needed} bytes decoded; allowed: {self.decoded_bytes}",
            )


_RANGES = {"decode_seconds": (1, 86_400), "decoder_bytes": (1 << 29, 1 << 46)}


_DIGITS = 18


LIMIT_NAMES = tuple(field.name for field in dataclasses.fields(Limits))


def parse_limits(words: Iterable[str]) -> Limits:
    """Read limits from words like `frames=128`; the others keep their defaults.

    Raises:
        UsageError: a name is unknown, or a value is no whole number of its range.
    """
    changed: dict[str, int] = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in LIMIT_NAMES or not value.isdecimal():
            raise UsageError(
                f"--limit: found {word[:80]!r}; allowed: NAME=NUMBER, a whole number, with NAME "
                f"one of {', '.join(LIMIT_NAMES)}."
                f"{'' if name in LIMIT_NAMES else did_you_mean(name, LIMIT_NAMES)}"
            )
        low, high = _RANGES.get(name, (1, 1 << 46))
        if len(value) > _DIGITS or not low <= int(value) <= high:
            raise UsageError(f"--limit: found {word[:80]!r}; allowed: {name} from {low} to {high}.")
        changed[name] = int(value)
    return dataclasses.replace(Limits(), **changed)


ATTRIBUTES = ("sop_class_uid", "modality", "image_type", "body_part_examined")


@dataclass(frozen=True)
class Rule:
    """An attribute of a DICOM object and the value that it must have. value: lower case."""

    attribute: str
    value: str

    def matches(self, values: Mapping[str, tuple[str, ...]]) -> bool:
        """Whether the rule applies to an object with these values."""
        return self.value in (value.lower() for value in values.get(self.attribute, ()))


@dataclass(frozen=True)
class Selection:
    """The include and exclude rules of a run."""

    include: tuple[Rule, ...] = ()
    exclude: tuple[Rule, ...] = ()

    def check(self, values: Mapping[str, tuple[str, ...]]) -> None:
        """Refuse an object that the rules exclude.

        Args:
            values: attribute name to the values that the object has for it.

        Raises:
            NotAnImage: EXCLUDED_BY_RULE; the detail names the rule in words of the command line.
        """
        for rule in self.exclude:
            if rule.matches(values):
                raise NotAnImage(
                    NonImageReason.EXCLUDED_BY_RULE, f"exclude {rule.attribute}={rule.value}"
                )
        if self.include and not any(rule.matches(values) for rule in self.include):
            raise NotAnImage(NonImageReason.EXCLUDED_BY_RULE, "no include rule matches")


def parse_rules(option: str, words: Iterable[str]) -> tuple[Rule, ...]:
    """Read rules from words like `modality=XC`.

    Raises:
        UsageError: a word is no rule; the message names option, word and allowed attributes.
    """
    rules = []
    for word in words:
        attribute, equals, value = word.partition("=")
        if attribute not in ATTRIBUTES or not equals or not value.strip():
            raise UsageError(
                f"{option}: found {word!r}; allowed: ATTRIBUTE=VALUE with ATTRIBUTE one of "
                f"{', '.join(ATTRIBUTES)}."
                f"{'' if attribute in ATTRIBUTES else did_you_mean(attribute, ATTRIBUTES)}"
            )
        rules.append(Rule(attribute, value.strip().lower()))
    return tuple(rules)


FUTURE_NS = 24 * 3600 * 10**9
"""Nanoseconds. A modification time more than a day in the future is wrong: it says nothing about
the file's age. Up to a day, the clock of a camera or of another machine may explain it."""


@dataclass(frozen=True)
class QualityBounds:
    """From where on a picture is flagged as `blurry`, `underexposed` or `overexposed`.

    sharpness, bright_level: the least. saturated_share, white_share: the most. Quantities as in
    `images.quality.Quality`; the table in batch/images/README.md says what the defaults catch.
    sharpness_of_devices: the least of devices that have their own, by name.
    """

    sharpness: float = -1.0
    bright_level: float = 140.0
    saturated_share: float = 0.7
    white_share: float = 0.15
    sharpness_of_devices: tuple[tuple[str, float], ...] = ()

    def of_device(self, device: str) -> QualityBounds:
        """The bounds for pictures of a device. device: as `core.records.device_name` gives it."""
        own = dict(self.sharpness_of_devices).get(device)
        return self if own is None else dataclasses.replace(self, sharpness=own)


@dataclass(frozen=True)
class ReadingRules:
    """How a run reads files.

    young_after_ns: nanoseconds since 1970. A file modified later may still be being written: if it
        cannot be decoded, it waits for the next run. None: no file waits for that.
    """

    limits: Limits = field(default_factory=Limits)
    selection: Selection = field(default_factory=Selection)
    identifiers: IdentifierPolicy = field(default_factory=IdentifierPolicy)
    young_after_ns: int | None = None
    quality: QualityBounds = field(default_factory=QualityBounds)

    def is_young(self, location: ImageLocation) -> bool:
        """Whether a file may still be being written, and waits if it cannot be decoded."""
        return self.young_after_ns is not None and modified_after(
            location.mtime_ns, self.young_after_ns
        )


def modified_after(mtime_ns: int, instant_ns: int) -> bool:
    """Whether a modification time lies after an instant, and at most `FUTURE_NS` after it."""
    return instant_ns < mtime_ns < instant_ns + FUTURE_NS


PATTERN_MOST = 1000
"""Characters."""


def lesion_pattern(text: str) -> re.Pattern[str]:
    """Compile the pattern of `--lesion-pattern`, which is searched in the path below the archive.

    Raises:
        UsageError: it is too long, is no regular expression, or has no group `lesion`.
    """
    remedy = "Example: (?P<patient>[^/]+)/(?P<lesion>[^/_]+)_"
    if len(text) > PATTERN_MOST:
        raise UsageError(
            f"--lesion-pattern: found {len(text)} characters; allowed: {PATTERN_MOST}. Shorten it."
        )
    try:
        pattern = re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"--lesion-pattern: no regular expression ({error}). {remedy}") from error
    if "lesion" not in pattern.groupindex:
        raise UsageError(
            f"--lesion-pattern: {text!r} has no group named lesion; needed: (?P<lesion>...), "
            f"allowed beside it: (?P<patient>...). {remedy}"
        )
    return pattern
