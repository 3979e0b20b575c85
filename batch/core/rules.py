"""What decides how files are read: limits, include and exclude rules, lesion patterns.

All of it is one frozen value (`ReadingRules`) that travels to the workers. Pure.
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
    """Upper bounds for one file; the defaults hold a 100-megapixel original.

    file_bytes: size on disk. side, pixels: of one frame, as its headers declare them.
    frames: of one DICOM object. decoded_bytes: of one frame, before it is brought to 8 bits.
    inflated_bytes: of a deflated DICOM dataset. nesting: levels of DICOM sequences.
    decode_seconds: of one file in the watched process. decoder_bytes: address space of the
    watched process.
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
        """Refuse a frame whose declared size is absurd, before memory is asked for.

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
    """Limits from words like `frames=128`; the defaults for the rest.

    Raises:
        UsageError: an unknown name, or a value that is no positive whole number.
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
    """One attribute and the value that it must have. value: lower case."""

    attribute: str
    value: str

    def matches(self, values: Mapping[str, tuple[str, ...]]) -> bool:
        """Whether an object with these values is meant."""
        return self.value in (value.lower() for value in values.get(self.attribute, ()))


@dataclass(frozen=True)
class Selection:
    """All rules of a run."""

    include: tuple[Rule, ...] = ()
    exclude: tuple[Rule, ...] = ()

    def check(self, values: Mapping[str, tuple[str, ...]]) -> None:
        """Let an object pass or state it as excluded.

        Args:
            values: attribute name to the object's values of it.

        Raises:
            NotAnImage: EXCLUDED_BY_RULE, naming the rule (words of the command line only).
        """
        for rule in self.exclude:
            if rule.matches(values):
                raise NotAnImage(
                    NonImageReason.EXCLUDED_BY_RULE, f"exclude {rule.attribute}={rule.value}"
                )
        if self.include and not any(rule.matches(values) for rule in self.include):
            raise NotAnImage(NonImageReason.EXCLUDED_BY_RULE, "no include rule matches")


def parse_rules(option: str, words: Iterable[str]) -> tuple[Rule, ...]:
    """Rules from words like `modality=XC`.

    Raises:
        UsageError: names option, word and allowed attributes.
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
"""A file from further in the future tells nothing of its age; a clock set back explains less."""


@dataclass(frozen=True)
class ReadingRules:
    """Limits, selection and privacy of a run.

    young_after_ns: a file modified after this instant (nanoseconds since 1970) may still be being
    written, and is not called unreadable yet; None: every file is taken as it is.
    """

    limits: Limits = field(default_factory=Limits)
    selection: Selection = field(default_factory=Selection)
    identifiers: IdentifierPolicy = field(default_factory=IdentifierPolicy)
    young_after_ns: int | None = None

    def is_young(self, location: ImageLocation) -> bool:
        """Whether a file that cannot be decoded deserves another night."""
        return self.young_after_ns is not None and modified_after(
            location.mtime_ns, self.young_after_ns
        )


def modified_after(mtime_ns: int, instant_ns: int) -> bool:
    """Whether a modification time lies after an instant, and is no nonsense from the future."""
    return instant_ns < mtime_ns < instant_ns + FUTURE_NS


PATTERN_MOST = 1000


def lesion_pattern(text: str) -> re.Pattern[str]:
    """A pattern for `--lesion-pattern`, searched in the path below the archive.

    Raises:
        UsageError: no regular expression, or without the group `lesion`.
    """
    remedy = "Example: (?P<patient>[^/]+)/(?P<lesion>[^/_]+)_"
    if len(text) > PATTERN_MOST:
        raise UsageError(f"--lesion-pattern: {len(text)} characters; allowed: {PATTERN_MOST}.")
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
