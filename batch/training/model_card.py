"""MODEL_CARD.md, written from the manifest: every figure of ours is one that it holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from batch.core.records import OperatingPoint
from batch.model.manifest import ModelManifest
from batch.training.licences import licence_section

REMEASURED = "remeasured"
"""Where a provenance tells of `remeasure`."""
_HEADER = """# Model card: {model_id} {version}

{description}. Digest of model.keras: `{digest}`.

{caution}**Not a medical device, not a diagnosis.** The score ranks images for a person's review.
A low score never means cleared.

{measured}:

```
{command}
```
"""

_TRAINED = "Every figure below was measured by this command, on the file that is shipped"
_MEASURED_AGAIN = (
    "The weights come from the first command, under preprocessing version {before}; every figure "
    "below was\nmeasured by the second, under version {now}, on the file that is shipped"
)

_SOURCE_CAVEAT = (
    "In isic9 the melanomas come largely from other clinics than most of the other classes, so a",
    "part of the AUC on its own splits can be recognising the clinic. The sets `without isic9` are",
    "the better guess for an archive that this model has not seen, and the threshold that was",
    "chosen on isic9 need not keep its sensitivity there: compare the columns.",
)

_HELD_OUT_CAVEAT = (
    "The sources differ in clinics, cameras and how they were scaled. A source that was held out",
    "is the better guess for an archive that this model has not seen; the threshold was chosen on",
    "other sources and need not keep its sensitivity there: compare the columns, and calibrate.",
)

_WHY_LOWER = """## Why these figures are lower than those usually reported

Public projects that train this network on the same nine folders report validation accuracies from
30 % (plain) to 84 % (batch normalisation and augmented copies); README, "Training", names them.
Their figures come from sets whose copies stand on both sides of the split: augmented copies made
before splitting, {disputed} of {images} images that stand in two class folders (so that "seborrheic
keratosis" is almost wholly melanoma, and "nevus" holds actinic keratoses), and several photographs
of one lesion. Here labels were settled by the challenge's own tables, twins were removed, and no
lesion or near-duplicate stands on two sides.{empty}
"""


def model_card(manifest: ModelManifest) -> str:
    """The card of an artifact."""
    facts = manifest.provenance
    again = [facts[REMEASURED]["command"]] if REMEASURED in facts else []
    return "\n".join(
        [
            _HEADER.format(
                model_id=manifest.model_id,
                version=manifest.model_version,
                description=manifest.description[:1].upper() + manifest.description[1:],
                digest=manifest.model_sha256,
                caution=f"**{manifest.caution}**\n\n" if manifest.caution else "",
                measured=_measured(manifest),
                command="\n".join([facts["command"], *again]),
            ),
            _operating_points(manifest.operating_points),
            _melanoma_table(facts["metrics"], _is_isic9(manifest)),
            *_siblings(facts.get("held_out_runs", []), manifest.input.preprocessing_version),
            _class_table(facts["metrics"]["test"]["classes"]),
            *_why_lower(manifest),
            _data(facts),
            _limits(),
            *licence_section(manifest.licence),
        ]
    )


def _measured(manifest: ModelManifest) -> str:
    entry = manifest.provenance.get(REMEASURED)
    if entry is None:
        return _TRAINED
    now = manifest.input.preprocessing_version
    return _MEASURED_AGAIN.format(before=entry["trained_under"], now=now)


def _why_lower(manifest: ModelManifest) -> list[str]:
    """For the networks of the student projects: what those report, and why this differs."""
    data = manifest.provenance["data"]
    if not _is_isic9(manifest):
        return []
    cleaning = data["cleaning"]
    return [
        _WHY_LOWER.format(
            disputed=cleaning["images_in_two_class_folders"],
            images=cleaning["images"],
            empty=_empty_classes(manifest),
        )
    ]


def _is_isic9(manifest: ModelManifest) -> bool:
    return str(manifest.provenance["recipe"].get("data", "isic9")).startswith("isic9")


def _empty_classes(manifest: ModelManifest) -> str:
    seen = {
        name
        for counts in manifest.provenance["data"]["images_by_split"].values()
        for name, count in counts.items()
        if count
    }
    empty = [name for name in manifest.output.class_names if name not in seen]
    if not empty:
        return ""
    return (
        f" No image is left of {', '.join(empty)}: the model has the output, but never learned it."
    )


def _operating_points(points: tuple[OperatingPoint, ...]) -> str:
    lines = ["## Operating points", ""]
    for point in points:
        provisional = (
            f" **Provisional**: {point.melanomas} melanomas are too few for a narrow interval."
            if point.provisional
            else ""
        )
        lines += [
            f"`{point.name}`: alert at a melanoma score of {point.threshold:.4f} or more, the "
            f"highest threshold with a sensitivity of at least {point.target_sensitivity:g} on "
            f"{point.validation_set} ({point.melanomas} melanomas, {point.others} others): "
            f"sensitivity {_rate(point.sensitivity, point.sensitivity_interval)}, specificity "
            f"{_rate(point.specificity, point.specificity_interval)}.{provisional}",
            "",
        ]
    return "\n".join(lines)


def _melanoma_table(metrics: dict[str, Any], is_isic9: bool) -> str:
    lines = [
        "## Melanoma against the rest, at the default operating point",
        "",
        "95 % intervals: bootstrap by lesion for the AUC, exact binomial for the rates. `test`",
        "chose nothing; sets `without isic9`, or `held out`, share no image, lesion or",
        "near-duplicate with what was trained on.",
        "",
        *_COLUMNS,
        *(_melanoma_row(name, measures["melanoma"]) for name, measures in metrics.items()),
    ]
    return "\n".join([*lines, "", *(_SOURCE_CAVEAT if is_isic9 else _HELD_OUT_CAVEAT), ""])


_COLUMNS = (
    "| set | images | melanomas | AUC | sensitivity | specificity | sensitivity at specificity 0.8 "
    "| calibration error |",
    "|---|---|---|---|---|---|---|---|",
)


def _melanoma_row(name: str, found: dict[str, Any]) -> str:
    at, fixed = found["at_operating_point"], found.get("sensitivity_at_specificity", {})
    error = found.get("expected_calibration_error")
    return (
        f"| {name} | {found['images']} | {found['melanomas']} "
        f"| {_rate(found['melanoma_auc'], found['melanoma_auc_interval'])} "
        f"| {_rate(at['sensitivity'], at['sensitivity_interval'])} "
        f"| {_rate(at['specificity'], at['specificity_interval'])} "
        f"| {_rate(fixed.get('sensitivity'), fixed.get('interval'))} "
        f"| {'n/a' if error is None else f'{error:.3f}'} |"
    )


def _siblings(runs: list[dict[str, Any]], preprocessing: str) -> list[str]:
    """What the same recipe does on a source that it has not seen: other weights, said so."""
    if not runs:
        return []
    rows = [_melanoma_row(name, found) for run in runs for name, found in run["metrics"].items()]
    commands = [
        f"`{run['command']}` (model.keras {run['model_sha256'][:12]}{_other(run, preprocessing)})"
        for run in runs
    ]
    return [
        "\n".join(
            [
                "## The same recipe on sources that it never saw",
                "",
                "The shipped model was trained on every source, so none is left to judge it. These",
                "are other weights: the same recipe and seed, trained without the named source and",
                "without any copy or lesion of it elsewhere, each at its own operating point. An",
                "archive of your own is best compared with these rows.",
                "",
                *_COLUMNS,
                *rows,
                "",
                *(f"- {command}" for command in commands),
                "",
            ]
        )
    ]


def _other(run: dict[str, Any], preprocessing: str) -> str:
    version = run.get("preprocessing_version", preprocessing)
    return "" if version == preprocessing else f", measured under preprocessing version {version}"


def _class_table(classes: dict[str, Any]) -> str:
    lines = [
        "## By class, test split",
        "",
        f"Accuracy {classes['accuracy']:.3f}, balanced accuracy {classes['balanced_accuracy']:.3f} "
        "(argmax; alerts do not use it).",
        "",
        "| class | images | sensitivity |",
        "|---|---|---|",
    ]
    for name, row in classes["per_class"].items():
        sensitivity = "n/a" if row["sensitivity"] is None else f"{row['sensitivity']:.3f}"
        lines.append(f"| {name} | {row['images']} | {sensitivity} |")
    return "\n".join([*lines, ""])


def _data(facts: dict[str, Any]) -> str:
    data, versions = facts["data"], facts["versions"]
    cleaning = "; ".join(_flat(data["cleaning"]))
    images = "; ".join(
        f"{name} {sum(counts.values())}" for name, counts in data["images_by_split"].items()
    )
    return "\n".join(
        [
            "## Data and training",
            "",
            f"- Sources: {', '.join(data['sources'])}. No image is shipped.",
            f"- Cleaning: {cleaning}.",
            f"- Split ({data['split_rule']}): {images} images. `split.csv` names each.",
            f"- Recipe `{facts['recipe']['name']}`, seed {facts['seed']}, {facts['epochs_run']} "
            f"epochs, best {facts['best_epoch']} by validation loss; `history.csv` has each.",
            "- Versions: "
            + ", ".join(f"{name} {number}" for name, number in versions.items())
            + ".",
            "",
        ]
    )


def _flat(report: dict[str, Any], source: str = "") -> Iterator[str]:
    """What was done to the data, one phrase each; reports of several sources by their names."""
    for key, value in report.items():
        if isinstance(value, dict) and key != "labels_by_origin":
            yield from _flat(value, f"{key} ")
        else:
            yield f"{source}{key.replace('_', ' ')}: {value}"


def _limits() -> str:
    return "\n".join(
        [
            "## Limits",
            "",
            "- Scores are not calibrated probabilities.",
            "- Trained on dermoscopy of mostly light skin from a few clinics; other skin types,",
            "  devices, body sites (nails, mucosa) and clinical close-ups were not measured.",
            "- The image is squashed to a square and EXIF orientation is ignored, as in training.",
            "",
        ]
    )


def _rate(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None or interval is None:
        return "n/a"
    return f"{value:.3f} ({interval[0]:.3f}–{interval[1]:.3f})"
