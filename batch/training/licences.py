"""Under which terms weights may be used: by the images that they were learned from. Pure.

The program's own licence does not cover the weights: whoever allowed an image for non-commercial
use only has not allowed more for what was learned from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from batch.model.manifest import Licence, ModelManifest
from batch.training.descriptions import bundled_licences

NOT_STATED = "not stated"
LICENCES = {
    **bundled_licences(),
    "isic2019": ("ISIC 2019 challenge, CC BY-NC 4.0", True),
    "milk10k_clinical": ("MILK10k, CC BY-NC", True),
}
"""(Words, non-commercial) of the images, by source; none is shipped. A source that is not here
counts as not stated."""

_NON_COMMERCIAL = re.compile(r"\bNC\b|non-?\s?commercial", re.IGNORECASE)
_BY_NAME = re.compile(r"\bCC[ -]BY\b(?![ -](?:NC|ND|SA)\b)")
_OPEN = re.compile(rf"\bCC[ -]?0\b|{_BY_NAME.pattern}")
"""Words of a licence that are known to let others use what was learned."""
_PART = re.compile(rf"[ -](?:ND|SA)\b|{NOT_STATED}", re.IGNORECASE)
"""Words that say of some of the images that more is asked, or nothing is known."""


def licence_words(sources: Iterable[str], report: Mapping[str, object]) -> dict[str, str]:
    """Each source's licence: as its description says, else as it is known here.

    Args:
        report: of the data set, which quotes under a source's name what its description says.
    """
    return {source: _terms(source, report)[0] for source in sorted(sources)}


def _terms(source: str, report: Mapping[str, object]) -> tuple[str, bool]:
    """(Words, non-commercial) of a source; a description that only has words says that by them."""
    told = report.get(source)
    words, non_commercial = LICENCES.get(source, (NOT_STATED, False))
    if isinstance(told, Mapping) and told.get("licence"):
        words, non_commercial = str(told["licence"]), told.get("non_commercial") is True
    return words, non_commercial or _NON_COMMERCIAL.search(words) is not None


def not_stated(table: pd.DataFrame, report: Mapping[str, object]) -> dict[str, dict[str, float]]:
    """Images without a stated licence, by source, of those that a model learned from.

    Where the words for a source say of a part that its licence is not stated, an image counts
    unless its own row has one.

    Args:
        table: an image a row: source, and `licence` where the sources' lists have one. report: see
            `licence_words`.

    Returns:
        source to `images` and `share` (of all rows, 0..1); sources without such images are absent.
    """
    own = table["licence"] if "licence" in table else pd.Series(None, table.index, dtype=object)
    blank = own.isna() | (own.astype(str).str.strip() == "")
    found = {}
    for source, words in licence_words(table["source"].unique(), report).items():
        images = int((blank & (table["source"] == source)).sum())
        if images and NOT_STATED in words.lower():
            found[source] = {"images": images, "share": images / len(table)}
    return found


def of_sources(sources: Iterable[str], report: Mapping[str, object] | None = None) -> Licence:
    """The licence of weights that were learned from these sources: the narrowest of theirs.

    Words that are not known to allow use by others give no licence: a person has to read them.

    Args:
        report: see `licence_words`.
    """
    terms = {source: _terms(source, report or {}) for source in sorted(sources)}
    data = {source: words for source, (words, _) in terms.items()}
    if any(non_commercial for _, non_commercial in terms.values()):
        return Licence("CC-BY-NC-4.0", True, data)
    if not all(_OPEN.search(words) and not _PART.search(words) for words in data.values()):
        return Licence(NOT_STATED, None, data)
    is_named = any(_BY_NAME.search(words) for words in data.values())
    return Licence("CC-BY-4.0" if is_named else "Apache-2.0", False, data)


def as_stated(words: str | None) -> Licence:
    """The licence of a model from elsewhere, in the words of whoever brought it."""
    stated = (words or "").strip() or NOT_STATED
    return Licence(stated, True if _NON_COMMERCIAL.search(stated) else None, {})


def licence_of(manifest: ModelManifest) -> Licence | None:
    """The manifest's licence; for one written before there was any, by its provenance's sources."""
    if manifest.licence is not None:
        return manifest.licence
    data = manifest.provenance.get("data", {})
    sources = [name.split(" (")[0] for name in data.get("sources", ())]
    return of_sources(sources, data.get("cleaning", {})) if sources else None


def licence_section(
    licence: Licence | None, unstated: Mapping[str, Mapping[str, Any]] | None = None
) -> list[str]:
    """Lines of a model card.

    Args:
        unstated: what `not_stated` found, where it was asked.
    """
    found = licence or Licence(NOT_STATED, None, {})
    if found.non_commercial:
        terms = f"The weights are for **non-commercial** use only: {found.weights}."
    elif found.weights == NOT_STATED:
        terms = "Under which licence the weights may be used is not stated: ask who made them."
    else:
        terms = f"The weights: {found.weights}."
    learned = [f"- {source}: {words}" for source, words in found.training_data.items()]
    return [
        "## Licence",
        "",
        f"{terms} The program's Apache-2.0 does not cover them.",
        "",
        *(["They were learned from images of", "", *learned, ""] if learned else []),
        *_unstated_lines(unstated),
    ]


def _unstated_lines(unstated: Mapping[str, Mapping[str, Any]] | None) -> list[str]:
    if not unstated:
        return []
    share = sum(one["share"] for one in unstated.values())
    images = sum(one["images"] for one in unstated.values())
    return [
        f"For {images} of the images that trained ({_percent(share)}) no licence is stated:",
        "",
        *(
            f"- {source}: {one['images']} images, {_percent(one['share'])} of all that trained"
            for source, one in sorted(unstated.items(), key=lambda pair: -pair[1]["share"])
        ),
        "",
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
