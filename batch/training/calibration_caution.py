"""What the labels of a calibration say of a model, for every reader of its scores. Pure.

A caution belongs to the evidence at hand. The one of another archive falls when there is evidence
of this one; it stays where the labelled images are the model's own, or
many are named like those that it was trained on.
"""

from __future__ import annotations

from typing import Any

AUC_THAT_GUIDES = 0.8
"""As the training asks of sources that were left out (`source_caution.AUC_FOR_UNSEEN_SOURCES`)."""

NAMED_AT_MOST = 0.1
"""Of the labelled images. Where more are named like training images, the former caution stays."""


def caution(
    entry: dict[str, Any], provisional: bool, former: str, evidence: str | None = None
) -> str:
    """What must be said with every score after a calibration.

    Args:
        entry: `calibration` of the provenance: images, melanomas, labels, melanoma_auc with its
            interval, own_images, names_of_trained. provisional: too few melanomas for narrow
            intervals. former: what was cautioned of before. evidence: the first sentences, where
            they are not those of `calibrate`.
    """
    low, high = entry["melanoma_auc_interval"]
    sentences = [
        evidence
        or f"Measured on {entry['images']} images of {entry['labels']}, {entry['melanomas']} of "
        f"them melanomas, which also chose its threshold: it ranks melanoma with an AUC of "
        f"{entry['melanoma_auc']:.2f} ({low:.2f}–{high:.2f}; 0.5 is chance).",
        *_judgement(low, high),
    ]
    if provisional:
        sentences.append("So few melanomas make these figures provisional.")
    if entry["names_of_trained"]:
        sentences.append(
            f"{entry['names_of_trained']} of the images are named as images that it was trained "
            "on: if they are the same, the figures flatter."
        )
    many = entry["names_of_trained"] > NAMED_AT_MOST * entry["images"]
    if former and many and not entry["own_images"]:
        sentences.append(f"As these may be the very same, this holds as before: {former}")
    if entry["own_images"] and former:
        sentences.append(
            f"{entry['own_images']} of the images are of its own validation or test set and tell "
            f"nothing of another archive, so this holds as before: {former}"
        )
    return " ".join(sentences)


def _judgement(low: float, high: float) -> list[str]:
    if high < AUC_THAT_GUIDES:
        return ["That is poor: on these images it is not fit to guide review."]
    if low < AUC_THAT_GUIDES:
        return [f"That does not show an AUC of {AUC_THAT_GUIDES:g}, which would guide review."]
    return []
