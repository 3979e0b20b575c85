"""Which DICOM objects a hospital wants scored: include and exclude rules. Pure.

A rule is `ATTRIBUTE=VALUE`, compared without regard to case. Multi-valued attributes (ImageType)
match when any value does. With include rules an object must match one of them; an exclude rule
that matches wins. Plain files have no attributes, and no rule touches them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from batch.errors import NonImageReason, NotAnImage, UsageError
from batch.near import did_you_mean

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
