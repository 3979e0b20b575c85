"""MODEL_CARD.md, written from the manifest: every figure of ours is one that it holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from batch.model.manifest import ModelManifest
from batch.training.card_tables import (
    alerts_section,
    left_out_section,
    operating_points_section,
    other_sets_section,
    own_tests_section,
)
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
            left_out_section(facts, manifest.input.preprocessing_version),
            own_tests_section(facts["metrics"]),
            operating_points_section(manifest.operating_points, facts.get("points_by_source", {})),
            *alerts_section(facts.get("expected_alerts", {})),
            other_sets_section(facts["metrics"], _is_isic9(manifest)),
            _class_table(facts["metrics"]["test"]["classes"]),
            *_why_lower(manifest),
            _data(facts),
            _limits(facts),
            *licence_section(manifest.licence, facts["data"].get("licence_not_stated")),
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
            f"- Recipe `{facts['recipe']['name']}`, seed {facts['seed']}, {_course(facts)}",
            "- Versions: "
            + ", ".join(f"{name} {number}" for name, number in versions.items())
            + ".",
            "",
        ]
    )


def _course(facts: dict[str, Any]) -> str:
    course = facts.get("course")
    if course is None:
        return (
            f"{facts['epochs_run']} epochs, best {facts['best_epoch']} by validation loss; "
            "`history.csv` has each."
        )
    means, began = course["averaged_from"], course["began_from"]
    before = course["images_that_trained_before"]
    start = (
        f" It began from the weights of {', '.join(began)}, whose images are counted, too. "
        f"{before} images that trained those, and were kept from the last course, judge nothing."
        if began
        else ""
    )
    trained = f"{len(means)} courses ({', '.join(means)})" if means else "a course"
    changes = ", ".join(f"`{change}`" for change in course["changes"])
    return (
        f"{f'with {changes}' if changes else 'unchanged'}: "
        f"{'the mean of the weights of ' if means else ''}"
        f"{trained} of `batch.training.torch_course`, {course['images_drawn']:,} images drawn in "
        f"{course['seconds'] / 60:.0f} minutes on {course['device']} (PyTorch {course['torch']}); "
        f"`course` of the manifest's provenance has what was asked of each.{start}"
    )


def _flat(report: dict[str, Any], source: str = "") -> Iterator[str]:
    """What was done to the data, one phrase each; reports of several sources by their names."""
    for key, value in report.items():
        if isinstance(value, dict) and key != "labels_by_origin":
            yield from _flat(value, f"{key} ")
        else:
            yield f"{source}{key.replace('_', ' ')}: {value}"


def _calibration(facts: dict[str, Any]) -> str:
    """Whether the scores may be read as probabilities, in one line."""
    found = (facts.get("course") or {}).get("score_calibration")
    if not found:
        return "- Scores are not calibrated probabilities."
    errors = [each["calibration_error_after"] for each in found["by_source"].values()]
    return (
        f"- Scores were calibrated on the validation lesions of the training sources, each source "
        f"counting the same (calibration error there {min(errors):.2f} to {max(errors):.2f}; "
        f"logits times {found['scale']:.3f}, melanoma's {found['melanoma_shift']:+.3f}). They fit "
        "clinics with as many melanomas; elsewhere they are no probabilities."
    )


def _limits(facts: dict[str, Any]) -> str:
    return "\n".join(
        [
            "## Limits",
            "",
            _calibration(facts),
            "- Trained on dermoscopy of mostly light skin from a few clinics; other skin types,",
            "  devices, body sites (nails, mucosa) and clinical close-ups were not measured.",
            "- The image is squashed to a square and EXIF orientation is ignored, as in training.",
            "",
        ]
    )
