"""Prints the measures as lines for a person; computes nothing."""

from __future__ import annotations

import textwrap
from typing import Any

from batch.evaluation.coverage import share_sentence
from batch.evaluation.measures import MIN_SENSITIVITY, MIN_SPECIFICITY

_INDENT = " " * 13
_LABELS = {
    "without_label": "rows without a label",
    "without_key": "rows that name no image",
    "contradicting": "rows whose image has another label, too: not judged",
    "repeated": "rows that repeat another",
    "ambiguous": "labels that several images bear: not judged",
    "without_prediction": "labels without prediction",
}
_PREDICTIONS = {
    "without_label": "without a label",
    "contradicting": "with labels that contradict each other",
    "copies": "copies of a judged image",
    "ambiguous": "of several images with one name",
}


def evaluation_text(measures: dict[str, Any]) -> str:
    """The text that `evaluate` prints. measures: of `Evaluation`."""
    return "\n".join(
        [
            *_alarm(measures),
            *_what(measures),
            *_counts(measures),
            *_coverage(measures["coverage"]),
            *_ranking(measures["melanoma"]),
            *_points(measures["operating_points"]),
            *_units(measures),
            *_subgroups(measures),
            *_classes(measures["classes"]),
            "",
        ]
    )


def _alarm(measures: dict[str, Any]) -> list[str]:
    """A warning, above all measures, if the model was trained on some of the images."""
    trained = measures["trained_on"]
    if trained is None or not trained["images"]:
        return []
    text = (
        f"ATTENTION: {trained['images']} of these {measures['melanoma']['images']} images are "
        "images that the model was trained on, by its split.csv: "
        f"{trained['by_digest']} by digest, for certain, and {trained['by_name']} by name. All "
        "figures are too good and say nothing of images that it has not seen. Judge it on others."
    )
    return [*textwrap.wrap(text, 96), ""]


def _what(measures: dict[str, Any]) -> list[str]:
    model = measures["model"]
    lines = [f"Model        {model['model_id']} {model['model_version']}, {model['model_sha256']}"]
    caution = measures["caution"]
    if caution is None:
        caution = "not known: the model is not at hand; give it with --model."
    lines += textwrap.wrap(caution, 88, initial_indent="Caution      ", subsequent_indent=_INDENT)
    trained = measures["trained_on"]
    if trained is None:
        lines.append("Trained on   not known: no split.csv of the model at hand; try --model")
    elif not trained["images"]:
        lines.append("Trained on   none of the judged images, by digest and by name")
    return lines


def _counts(measures: dict[str, Any]) -> list[str]:
    labels, predictions = measures["counts"]["labels"], measures["counts"]["predictions"]
    melanoma = measures["melanoma"]
    lines = [
        f"Judged       {melanoma['images']:>7} images, by {measures['matched_by']}: "
        f"{melanoma['melanomas']} melanomas, {melanoma['others']} others; "
        f"{melanoma['groups']} lesions",
        f"Labels       {labels['rows']:>7} rows" + _of_split(measures["split"]),
    ]
    for name, words in _LABELS.items():
        if labels[name]:
            lines.append(f"{_INDENT}{labels[name]:>7}   {words}{_melanomas(measures.get(name))}")
    lines += _readings(measures["labels_read_as"])
    unscored = measures["without_prediction"]["unscored"]
    lines += [f"{_INDENT}{count:>9}   {reason}" for reason, count in unscored.items()]
    if not measures["unscored_known"] and labels["without_prediction"]:
        lines.append(f"{_INDENT}          the reasons are not known: no `unscored` table beside")
    twice = measures["same_bytes"]
    if twice["rows"]:
        lines.append(
            f"{_INDENT}{twice['rows']:>7}   of the judged are copies of another under another name"
            f"; {twice['contradicting']} images have labels that differ so"
        )
    lines.append(f"Predictions  {predictions['rows']:>7} rows")
    for name, words in _PREDICTIONS.items():
        if predictions[name]:
            lines.append(f"{_INDENT}{predictions[name]:>7}   {words}")
    return lines


def _coverage(coverage: dict[str, Any]) -> list[str]:
    """Lines on the part of the night that the figures speak for."""
    parts = [
        share_sentence(coverage[unit], unit)
        for unit in ("images", "lesions", "patients")
        if coverage[unit]["known"]
    ]
    text = f"judged are {', '.join(parts)}; the figures speak for no others"
    lines = textwrap.wrap(text, 96, initial_indent="Coverage     ", subsequent_indent=_INDENT)
    for column, cells in coverage["by_subgroup"].items():
        shares = [
            f"{value} {100 * cell['share']:.1f} %"
            for value, cell in cells.items()
            if cell["share"] is not None
        ]
        if few := sum(cell["suppressed"] for cell in cells.values()):
            shares.append(f"{few} with too few")
        lines += textwrap.wrap(
            f"by {column}: {', '.join(shares)}", 96, initial_indent=f"{_INDENT}          ",
            subsequent_indent=f"{_INDENT}          ",
        )  # fmt: skip
    return lines


def _readings(readings: dict[str, Any]) -> list[str]:
    """Lines on labels that were read as another word."""
    words = [
        f"{word!r} as {read['read_as']!r} ({read['rows']})"
        if read["read_as"]
        else f"{word!r} as no label ({read['rows']})"
        for word, read in readings.items()
    ]
    if not words:
        return []
    text = f"labels read: {', '.join(words)}"
    return textwrap.wrap(text, 96, initial_indent=f"{_INDENT}          ",
                         subsequent_indent=f"{_INDENT}          ")  # fmt: skip


def _of_split(split: str | None) -> str:
    return f" of split {split}" if split else ""


def _melanomas(counts: dict[str, Any] | None) -> str:
    return f" ({counts['melanomas']} melanomas)" if counts and counts["melanomas"] else ""


def _ranking(measures: dict[str, Any]) -> list[str]:
    at = measures["sensitivity_at_specificity"]
    best = f" of {1 - MIN_SENSITIVITY:.1f} at best, {(1 - MIN_SENSITIVITY) ** 2 / 2:.2f} by chance"
    rows = {
        "ROC-AUC": _interval(measures["melanoma_auc"], measures["melanoma_auc_interval"]),
        "average precision": _interval(
            measures["average_precision"], measures["average_precision_interval"]
        ),
        f"partial AUC above sensitivity {MIN_SENSITIVITY:g}": _interval(
            measures["partial_auc"], measures["partial_auc_interval"]
        )
        + best,
        f"sensitivity at specificity {MIN_SPECIFICITY:g}": _interval(
            at["sensitivity"], at["interval"]
        ),
        "Brier score": _interval(measures["brier"], measures["brier_interval"]),
        "expected calibration error": _number(measures["expected_calibration_error"]),
    }
    return [
        "",
        "Melanoma against the rest, with 95 % intervals (bootstrap by lesion). The last two take",
        "the score for a probability.",
        *(f"  {name:<38}{value}" for name, value in rows.items()),
    ]


def _points(points: list[dict[str, Any]]) -> list[str]:
    lines = [
        "",
        "At operating points, with exact binomial 95 % intervals; PPV and NPV hold for this share",
        "of melanomas only. Images without a score count in none of them.",
    ]
    for point in points:
        lines += [
            f"  {point['name']}: score {point['threshold']:.4f} or more ({point['found_in']})",
            *_rates(point, "    "),
            f"    missed melanomas  {point['false_negative']}",
        ]
    return lines


def _units(measures: dict[str, Any]) -> list[str]:
    """Lines on lesions and patients: each has the highest score of its images."""
    lines = []
    for unit in ("lesion", "patient"):
        found = measures[f"by_{unit}"]
        if found is None:
            lines += ["", f"By {unit}: no figure, as no judged image names its {unit}."]
            continue
        lines += [
            "",
            f"By {unit}, each with the highest score of its images: {found['units']} {unit}s, "
            f"{found['melanomas']} with melanoma; ROC-AUC "
            + _interval(found["melanoma_auc"], found["melanoma_auc_interval"]),
        ]
        for point in found["operating_points"]:
            lines += [f"  {point['name']}", *_rates(point, "    ")]
        if found["with_both_labels"]:
            lines.append(
                f"  {found['with_both_labels']} {unit}s have melanomas and other labels; "
                "they count as melanoma"
            )
    return lines


def _rates(point: dict[str, Any], indent: str) -> list[str]:
    hits = {
        "sensitivity": ("true_positive", "false_negative"),
        "specificity": ("true_negative", "false_positive"),
        "ppv": ("true_positive", "false_positive"),
        "npv": ("true_negative", "false_negative"),
    }
    return [
        f"{indent}{name.upper() if len(name) == 3 else name:<12}      "
        f"{_interval(point[name], point[name + '_interval'])}"
        f"  {point[right]} of {point[right] + point[wrong]}"
        for name, (right, wrong) in hits.items()
    ]


def _subgroups(measures: dict[str, Any]) -> list[str]:
    lines = []
    names = [point["name"] for point in measures["operating_points"]]
    for column, cells in measures["subgroups"].items():
        lines += [
            "",
            f"By {column} (no figure with fewer than {measures['min_cell']} melanomas or others)",
            f"  {'':<28}{'melanomas':>10}{'others':>8}  ROC-AUC; {_head(names)}",
        ]
        for value, cell in cells.items():
            counts = f"  {value[:28]:<28}{cell['melanomas']:>10}{cell['others']:>8}  "
            lines.append(counts + ("" if cell["suppressed"] else _cell(cell)))
    return lines


def _head(names: list[str]) -> str:
    return "; ".join(f"sensitivity, specificity at {name}" for name in names)


def _cell(cell: dict[str, Any]) -> str:
    rates = [
        ", ".join(
            _interval(p[name], p[f"{name}_interval"]) for name in ("sensitivity", "specificity")
        )
        for p in cell["operating_points"]
    ]
    return "; ".join([_interval(cell["melanoma_auc"], cell["melanoma_auc_interval"]), *rates])


def _classes(measures: dict[str, Any] | None) -> list[str]:
    if measures is None:
        text = "No accuracy and no table of classes: some labels say no more than not melanoma."
        return ["", text]
    names = list(measures["confusion"])
    lines = [
        "",
        f"All classes, highest score counts (alerts do not use it), {measures['images']} images: "
        f"accuracy {_number(measures['accuracy'])},",
        f"balanced accuracy {_number(measures['balanced_accuracy'])}. Rows are labels, columns "
        "predicted classes:",
        f"  {'':<32}" + "".join(f"{f'({n + 1})':>6}" for n in range(len(names))) + "  sensitivity",
    ]
    for number, (name, row) in enumerate(measures["confusion"].items(), 1):
        counts = "".join(f"{count:>6}" for count in row.values())
        sensitivity = _number(measures["per_class"][name]["sensitivity"])
        lines.append(f"  {f'({number})':<5}{name[:27]:<27}{counts}  {sensitivity}")
    if measures["labels_of_no_class"]:
        words = ", ".join(f"{label} {n}" for label, n in measures["labels_of_no_class"].items())
        text = f"No class of the model, so others to melanoma and not in this table: {words}."
        lines += textwrap.wrap(text, 96)
    return lines


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def _interval(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None or interval is None:
        return _number(value)
    return f"{value:.3f} ({interval[0]:.3f}–{interval[1]:.3f})"
