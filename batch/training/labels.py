"""Which label an image has when sources disagree. Pure rules on small tables.

The nine-class ISIC set puts 155 images into two class folders each; the challenge's own tables
(ISIC 2019, ISIC 2017, HAM10000) decide, and what they do not list is inferred or left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from batch.evaluation.isic_format import CODE_TO_CLASSES

MIN_LISTED_FOR_INFERENCE = 20
"""A disputed pair of folders is settled for unlisted images when at least this many listed images
of the same pair all went the same way; fewer prove nothing."""


@dataclass(frozen=True)
class Label:
    """A class name and where it comes from.

    origin: `folder` (undisputed, in no table), `table` (an authoritative table agrees or decides),
    `inferred` (from the other images of the same disputed pair: good enough to train, not to
    judge), `excluded` (name is None).
    """

    name: str | None
    origin: str


def resolve(
    folders: Mapping[str, frozenset[str]], diagnoses: Mapping[str, str]
) -> dict[str, Label]:
    """Give every image one label, or exclude it.

    Args:
        folders: image name to the class folders it stands in.
        diagnoses: image name to a code of `CODE_TO_CLASSES`, from authoritative tables.
    """
    labels: dict[str, Label] = {}
    ways: dict[frozenset[str], list[str]] = defaultdict(list)
    for image, names in folders.items():
        if image in diagnoses:
            labels[image] = _from_table(names, diagnoses[image])
            if len(names) > 1:
                ways[names].append(labels[image].name or "")
    for image, names in folders.items():
        if image not in labels:
            labels[image] = _unlisted(names, ways[names])
    return labels


def _from_table(names: frozenset[str], code: str) -> Label:
    """The folder that the table allows; else the table's own class; else nothing."""
    allowed = CODE_TO_CLASSES.get(code, ())
    agreeing = [name for name in allowed if name in names]
    if len(agreeing) == 1:
        return Label(agreeing[0], "table")
    return Label(allowed[0], "table") if len(allowed) == 1 else Label(None, "excluded")


def _unlisted(names: frozenset[str], ways: list[str]) -> Label:
    if len(names) == 1:
        return Label(next(iter(names)), "folder")
    if len(ways) >= MIN_LISTED_FOR_INFERENCE and len(set(ways)) == 1:
        return Label(ways[0], "inferred")
    return Label(None, "excluded")
