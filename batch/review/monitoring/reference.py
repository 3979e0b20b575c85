"""The reference of a model: figures of the images on which it was evaluated.

It is part of the manifest's provenance, under `reference`. Wrapped models and old artifacts have
none; then the report says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batch.review.monitoring.figures import NightFigures, figures_from_json

REFERENCE = "reference"
_NO_REFERENCE = (
    "This model's artifact stores no reference, so scores and images are compared with none."
)
_OTHER_SCORES = (
    " Its scores were measured under another contract (a calibration came after) and are not "
    "compared."
)


@dataclass(frozen=True, eq=False)
class Reference:
    """The reference of a model.

    figures: None if there is no reference.
    said: a sentence on its images, or on why there is none.
    """

    figures: NightFigures | None
    said: str

    def to_json(self) -> dict[str, Any]:
        """The form in run.json, from which a report can be made again without the artifact."""
        return {"said": self.said, "figures": self.figures.to_json() if self.figures else None}


def provenance_entry(figures: NightFigures, images: str, scoring: str) -> dict[str, Any]:
    """Make the entry `provenance.reference` of a manifest.

    Args:
        figures: of the images.
        images: a phrase that says which images these are.
        scoring: `scoring_fingerprint` of the manifest.
    """
    return {"images": images, "scoring_fingerprint": scoring, "figures": figures.to_json()}


def stored_reference(provenance: Mapping[str, Any], scoring: str) -> Reference:
    """Read the reference from a manifest's provenance.

    Args:
        provenance: of the manifest.
        scoring: fingerprint of tonight; stored scores with another one are left out.
    """
    stored = provenance.get(REFERENCE)
    if stored is None:
        return Reference(None, _NO_REFERENCE)
    content = stored if isinstance(stored, Mapping) else {}
    figures, images = figures_from_json(content.get("figures")), content.get("images")
    if figures is None or not isinstance(images, str):
        return Reference(None, _NO_REFERENCE + " What stands in its place cannot be read.")
    if content.get("scoring_fingerprint") == scoring:
        return Reference(figures, f"The model's reference: {images}.")
    other_histograms = {
        name: h for name, h in figures.histograms.items() if name != "melanoma_score"
    }
    return Reference(
        NightFigures(other_histograms, figures.devices),
        f"The model's reference: {images}.{_OTHER_SCORES}",
    )


def reference_from_json(content: object) -> Reference:
    """Read the result of `Reference.to_json`."""
    entry = content if isinstance(content, Mapping) else {}
    said = entry.get("said")
    return Reference(
        figures_from_json(entry.get("figures")), said if isinstance(said, str) else _NO_REFERENCE
    )
