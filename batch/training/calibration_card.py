"""What a calibration found, for the terminal and for MODEL_CARD.md, from the manifest alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from batch.core.records import OperatingPoint
from batch.model.manifest import ModelManifest
from batch.training.licences import licence_section

CARD_FILE = "MODEL_CARD.md"

_FIGURES = (
    ("negative log-likelihood of the true class", "negative_log_likelihood"),
    ("Brier score of melanoma", "brier"),
    ("expected calibration error of melanoma", "expected_calibration_error"),
)


def calibrated_card(
    manifest: ModelManifest,
    earlier: str,
    text: str | None = None,
    limits: Sequence[str] | None = None,
) -> str:
    """The card of a calibrated artifact; the one that it replaces follows, unchanged.

    Its figures are of the threshold and scores that it had then, so they cannot be taken over.

    Args:
        earlier: the card that is replaced; "" if there was none.
        text, limits: Markdown of what was measured, and lines of its limits; None for those of
            `calibrate`.
    """
    entry = manifest.provenance["calibration"]
    version = entry["replaces"]["model_version"]
    return "\n".join(
        [
            f"# Model card: {manifest.model_id} {manifest.model_version}",
            "",
            f"{manifest.description[:1].upper()}{manifest.description[1:]}. Digest of model.keras: "
            f"`{manifest.model_sha256}`, the same as in {version}.",
            "",
            *((f"**{manifest.caution}**", "") if manifest.caution else ()),
            "**Not a medical device, not a diagnosis.** The score ranks images for a person's",
            "review. A low score never means cleared.",
            "",
            "```",
            entry["command"],
            "```",
            "",
            calibration_text(manifest) if text is None else text,
            *(_limits(entry) if limits is None else limits),
            *licence_section(
                manifest.licence, manifest.provenance.get("data", {}).get("licence_not_stated")
            ),
            *_quoted(earlier, entry["replaces"]),
        ]
    )


def calibration_text(manifest: ModelManifest) -> str:
    """Temperature, figures before and after, operating points and alerts to expect: Markdown."""
    entry = manifest.provenance["calibration"]
    split = f", split {entry['split']}" if entry["split"] else ""
    return "\n".join(
        [
            "## Calibration",
            "",
            f"On {entry['images']} images of {entry['labels']}{split}, {entry['melanomas']} of "
            "them melanomas." + _left_out(entry["counts"]),
            "",
            f"AUC of melanoma {_rate(entry['melanoma_auc'], entry['melanoma_auc_interval'])}; 95 % "
            "interval by bootstrap over lesions.",
            "",
            f"Temperature {entry['temperature_before']:g} → {entry['temperature']:g}"
            + ("." if entry["fitted_temperature"] else " (kept: --no-temperature)."),
            "",
            "| on the same images | before | after |",
            "|---|---|---|",
            *(
                f"| {text} | {_number(entry['before'][name])} | {_number(entry['after'][name])} |"
                for text, name in _FIGURES
            ),
            "",
            "| operating point | alert from | sensitivity (95 %) | at least | missed "
            "| specificity (95 %) | false alerts |",
            "|---|---|---|---|---|---|---|",
            *map(_point_row, manifest.operating_points),
            "",
            *_provisional(manifest.operating_points),
            "| alerts per 1,000 images at a prevalence of | "
            + " | ".join(f"{float(share):.3g}" for share in _prevalences(entry))
            + " |",
            "|---|" + "---|" * len(_prevalences(entry)),
            *(
                f"| {name} | " + " | ".join(f"{alerts:.0f}" for alerts in row.values()) + " |"
                for name, row in entry["alerts_per_1000"].items()
            ),
            "",
        ]
    )


def _left_out(counts: dict[str, int]) -> str:
    """Labels that chose nothing: an image without a score is a melanoma missed as well."""
    reasons = [
        f"{count} {name.replace('_', ' ')}"
        for name, count in counts.items()
        if count and name not in ("rows", "judged")
    ]
    return f" Of {counts['rows']} labels not used: {', '.join(reasons)}." if reasons else ""


def _point_row(point: OperatingPoint) -> str:
    caught = round(point.sensitivity * point.melanomas)
    cleared = round(point.specificity * point.others)
    return (
        f"| {point.name} | {point.threshold:.4g} "
        f"| {_rate(point.sensitivity, point.sensitivity_interval)} "
        f"| {point.sensitivity_interval[0]:.3f} "
        f"| {point.melanomas - caught} of {point.melanomas} "
        f"| {_rate(point.specificity, point.specificity_interval)} "
        f"| {point.others - cleared} of {point.others} |"
    )


def _provisional(points: tuple[OperatingPoint, ...]) -> list[str]:
    if not any(point.provisional for point in points):
        return []
    return [
        f"**Provisional**: {points[0].melanomas} melanomas are too few for a narrow interval.",
        "",
    ]


def _prevalences(entry: dict[str, Any]) -> list[str]:
    return list(next(iter(entry["alerts_per_1000"].values())))


def _limits(entry: dict[str, Any]) -> list[str]:
    return [
        "## Limits of the calibration",
        "",
        "- The figures are of the images that chose temperature and thresholds, so they flatter:",
        "  measure on others with `melanoma-batch evaluate`.",
        "- Intervals are exact (Clopper-Pearson) and take images as independent; several of one",
        "  lesion make them too narrow.",
        "- Scores fit the share of melanomas among these images. Where melanoma is rarer, as in a",
        "  whole archive, they are too high as probabilities.",
        *([] if entry["fitted_temperature"] else ["- Scores themselves were not calibrated here."]),
        "",
    ]


def _quoted(earlier: str, replaces: dict[str, Any]) -> list[str]:
    """The replaced card, one level of headings lower, and its caution as of its evidence."""
    version, caution = replaces["model_version"], replaces["caution"]
    lowered = re.sub(r"^(#+ )", r"#\1", earlier, flags=re.MULTILINE)
    if caution:  # what was in force then must not read as if it were now
        lowered = lowered.replace(
            f"**{caution}**", f"Caution of {version}, from the evidence at that time: {caution}"
        )
    if not lowered and not caution:
        return []
    return [
        f"## The card of version {version}, which this replaces",
        "",
        f"Figures, thresholds, limits and caution below are those of {version}, before this",
        "calibration.",
        "",
        lowered.rstrip() or f"Caution of {version}, from the evidence at that time: {caution}",
        "",
    ]


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4f}"


def _rate(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.3f} ({interval[0]:.3f}–{interval[1]:.3f})"
