"""Under which terms weights may be used: by the images that they were learned from. Pure.

The program's own licence does not cover the weights: whoever allowed an image for non-commercial
use only has not allowed more for what was learned from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from batch.model.manifest import Licence, ModelManifest

NOT_STATED = "not stated"
LICENCES = {
    "isic9": "ISIC Archive, contributors' CC0, CC-BY, CC-BY-NC",
    "ham10000": "HAM10000, Tschandl, Rosendahl, Kittler 2018, CC BY-NC 4.0",
    "isic2017": "ISIC 2017 challenge, CC0",
    "isic2019": "ISIC 2019 challenge, CC BY-NC 4.0",
    "milk10k": "MILK10k, CC BY-NC",
    "milk10k_clinical": "MILK10k, CC BY-NC",
    "kaggle_melanoma": "part CC BY-NC, rest not stated",
    "bcn_84px": "ISIC 2019 challenge, CC BY-NC",
    "acral": "ISIC Archive, contributors' CC BY-NC, CC BY",
}
"""Of the images, by source; none is shipped. A source that is not here counts as not stated."""

_NON_COMMERCIAL = re.compile(r"\bNC\b|non-?\s?commercial", re.IGNORECASE)
_BY_NAME = re.compile(r"\bCC[ -]BY\b")


def licence_words(sources: Iterable[str], report: Mapping[str, object]) -> dict[str, str]:
    """Each source's licence: as its description says, else as it is known here.

    Args:
        report: of the data set, which quotes under a source's name what its description says.
    """
    words = {}
    for source in sorted(sources):
        told = report.get(source)
        stated = told.get("licence") if isinstance(told, Mapping) else None
        words[source] = str(stated or LICENCES.get(source, NOT_STATED))
    return words


def of_sources(sources: Iterable[str], report: Mapping[str, object] | None = None) -> Licence:
    """The licence of weights that were learned from these sources: the narrowest of theirs.

    Args:
        report: see `licence_words`.
    """
    data = licence_words(sources, report or {})
    terms = " ".join(data.values())
    if _NON_COMMERCIAL.search(terms):
        return Licence("CC-BY-NC-4.0", True, data)
    if NOT_STATED in terms:
        return Licence(NOT_STATED, None, data)
    return Licence("CC-BY-4.0" if _BY_NAME.search(terms) else "Apache-2.0", False, data)


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


def licence_section(licence: Licence | None) -> list[str]:
    """Lines of a model card."""
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
    ]
