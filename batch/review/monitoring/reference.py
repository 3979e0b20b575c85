"""The reference that an artifact carries: figures of images its model was judged on. Pure.

It stands in the manifest's provenance under `reference`; artifacts made before there was one, and
wrapped ones, carry none, which is said and never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batch.review.monitoring.figures import NightFigures, figures_from_json

REFERENCE = "reference"
_NONE = "This model's artifact stores no reference, so scores and images are compared with none."
_OTHER_SCORES = (
    " Its scores were measured under another contract (a calibration came after) and are not "
    "compared."
)


@dataclass(frozen=True, eq=False)
class Reference:
    """figures: None when there is no reference. said: what it is of, or why there is none."""

    figures: NightFigures | None
    said: str

    def to_json(self) -> dict[str, Any]:
        """As it stands in run.json, so that a report can be made again without the artifact."""
        return {"said": self.said, "figures": self.figures.to_json() if self.figures else None}


def provenance_entry(figures: NightFigures, images: str, scoring: str) -> dict[str, Any]:
    """What training writes into `provenance.reference`.

    Args:
        images: which images these are. scoring: `scoring_fingerprint` of the manifest.
    """
    return {"images": images, "scoring_fingerprint": scoring, "figures": figures.to_json()}


def stored_reference(provenance: Mapping[str, Any], scoring: str) -> Reference:
    """The reference of a manifest's provenance.

    Args:
        scoring: fingerprint of tonight's scores; others are not compared with the stored ones.
    """
    stored = provenance.get(REFERENCE)
    if stored is None:
        return Reference(None, _NONE)
    told = stored if isinstance(stored, Mapping) else {}
    figures, images = figures_from_json(told.get("figures")), told.get("images")
    if figures is None or not isinstance(images, str):
        return Reference(None, _NONE + " What stands in its place cannot be read.")
    if told.get("scoring_fingerprint") == scoring:
        return Reference(figures, f"The model's reference: {images}.")
    rest = {name: h for name, h in figures.histograms.items() if name != "melanoma_score"}
    return Reference(
        NightFigures(rest, figures.devices), f"The model's reference: {images}.{_OTHER_SCORES}"
    )


def reference_from_json(told: object) -> Reference:
    """What `Reference.to_json` told."""
    found = told if isinstance(told, Mapping) else {}
    said = found.get("said")
    return Reference(
        figures_from_json(found.get("figures")), said if isinstance(said, str) else _NONE
    )
