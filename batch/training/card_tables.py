"""Tables of a model card: every set that judged, thresholds by source, alerts to expect.

First stands what a reader's own archive is most like: sources that were left out of training.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from batch.core.records import OperatingPoint
from batch.training.held_out_runs import OWN_SPLITS, unseen_sets
from batch.training.source_points import FEWEST_MELANOMAS

_TEST = "test, "

_INTERVALS = (
    "95 % intervals: bootstrap by lesion for the AUC and for the sensitivity at specificity 0.8,",
    "exact binomial for the rates at the default operating point.",
)

_SOURCE_CAVEAT = (
    "In isic9 the melanomas come largely from other clinics than most of the other classes, so a",
    "part of the AUC on its own splits can be recognising the clinic. The sets `without isic9` are",
    "the better guess for an archive that this model has not seen, and the threshold that was",
    "chosen on isic9 need not keep its sensitivity there: compare the columns.",
)

_LEFT_OUT_CAVEAT = (
    "The sources differ in clinics, cameras and how they were scaled. A source that was left out",
    "is the better guess for an archive that this model has not seen; the threshold was chosen on",
    "other sources and need not keep its sensitivity there: compare the columns, and calibrate.",
)

_COLUMNS = (
    "images | melanomas | AUC | sensitivity at specificity 0.8 | sensitivity | specificity "
    "| calibration error |",
    "|---|---|---|---|---|---|---|---|",
)


_NO_WORST = (
    f"No set of one source has {FEWEST_MELANOMAS} melanomas and as many others, so none is called "
    "the worst."
)


def left_out_section(facts: Mapping[str, Any], preprocessing: str) -> str:
    """Every source that was left out, by the model itself or by runs of its recipe.

    Args:
        facts: the manifest's provenance. preprocessing: the version that the model runs under.
    """
    runs = facts.get("held_out_runs", [])
    lines = ["## On sources that were left out of training", ""]
    found = unseen_sets(facts)
    if not found:
        return "\n".join(
            [*lines, "No source was left out: how well this model ranks melanoma in an archive",
             "that it never saw is not known.", *_INTERVALS, ""]
        )  # fmt: skip
    lines += ["An archive of your own is best compared with these rows.", *_INTERVALS, ""]
    lines += [*_head("source"), *(_row(name, one) for name, one in found.items()), ""]
    if runs:
        lines += [
            "The shipped model was trained on every source, so none is left to judge it. Rows of",
            "the runs below are of other weights, trained without the named source and without",
            "any copy or lesion of it elsewhere, each at its own operating point. Where nothing",
            "else is said, recipe and seed are those of the shipped model.",
            "",
            *(_run(run, facts, preprocessing) for run in runs),
            "",
        ]
    return "\n".join(lines)


def own_tests_section(metrics: Mapping[str, Any]) -> str:
    """The test split of every source, and of all together."""
    names = [name for name in metrics if name.startswith(_TEST)] + ["test"]
    return "\n".join(
        [
            "## On test images of sources that it learned from",
            "",
            "They chose nothing, and share no image, lesion or near-duplicate with what trained.",
            "But other images of the same clinics and cameras trained: an archive that the model",
            "has not seen has to expect lower figures.",
            "",
            *_head("set"),
            *(_row(name, metrics[name]["melanoma"]) for name in names),
            "",
        ]
    )


def other_sets_section(metrics: Mapping[str, Any], is_isic9: bool) -> str:
    """Images that trained, and those that chose the threshold."""
    rows = [(name, metrics[name]["melanoma"]) for name in OWN_SPLITS[:-1] if name in metrics]
    return "\n".join(
        [
            "## On images that trained, or chose the threshold",
            "",
            *_head("set"),
            *(_row(name, one) for name, one in rows),
            "",
            *(_SOURCE_CAVEAT if is_isic9 else _LEFT_OUT_CAVEAT),
            "",
        ]
    )


def operating_points_section(
    points: Sequence[OperatingPoint], by_source: Mapping[str, Mapping[str, Any]]
) -> str:
    """Each point with the evidence behind it; of each source where sources were asked."""
    lines = ["## Operating points", ""]
    for point in points:
        told = by_source.get(point.name)
        cases = f"{point.melanomas} melanomas, {point.others} others"
        where = (
            f"at every source with {told['fewest_melanomas']} melanomas or more, and on all "
            f"together ({point.validation_set}; {cases})"
            if told
            else f"on {point.validation_set} ({cases})"
        )
        provisional = (
            f" **Provisional**: {point.melanomas} melanomas are too few for a narrow interval."
            if point.provisional
            else ""
        )
        lines += [
            f"`{point.name}`: alert at a melanoma score of {point.threshold:.4f} or more, the "
            f"highest threshold with a sensitivity of at least {point.target_sensitivity:g}"
            f" {where}: sensitivity {_rate(point.sensitivity, point.sensitivity_interval)}, "
            f"specificity {_rate(point.specificity, point.specificity_interval)}.{provisional}",
            "",
            *(_point_table(told) if told else []),
        ]
    return "\n".join(lines)


def _point_table(told: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, one in told["sources"].items():
        alone = one["allowed_threshold"]
        rows.append(
            f"| {name}{' (decided)' if name == told['decided_by'] else ''} | {one['melanomas']} "
            f"| {one['others']} | {'not asked' if alone is None else f'{alone:.4f}'} "
            f"| {_rate(one['sensitivity'], one['sensitivity_interval'])} "
            f"| {_rate(one['specificity'], one['specificity_interval'])} |"
        )
    return [
        "| validation images of | melanomas | others | threshold that it allows | sensitivity "
        "| specificity |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
    ]


def alerts_section(alerts: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """What a night brings where melanoma is rare: pooled, and where an alert means least."""
    if not alerts:
        return []
    any_worst = any(one["is_worst"] for sets in alerts.values() for one in sets)
    rows = [
        f"| {point} | {_set_name(one)} | {100 * at['prevalence']:g} % "
        f"| {at['alerts_per_1000']:.0f} | {_one_decimal(at['melanomas_per_100_alerts'])} |"
        for point, sets in alerts.items()
        for one in sets
        for at in one["at"]
    ]
    return [
        "\n".join(
            [
                "## How many alerts to expect",
                "",
                "Of the images in the sets above many are melanomas; in an archive few are. So",
                "many alerts come of 1,000 images, and so many of 100 alerts are melanomas, if",
                "sensitivity and specificity are those of the named set. The worst set is the one",
                "where an alert means least.",
                "",
                "| operating point | rates of | melanomas among the images "
                "| alerts of 1,000 images | melanomas of 100 alerts |",
                "|---|---|---|---|---|",
                *rows,
                "",
                *([] if any_worst else [_NO_WORST, ""]),
            ]
        )
    ]


def _set_name(one: Mapping[str, Any]) -> str:
    return f"{one['set']} (worst)" if one["is_worst"] else f"{one['set']} (all sources)"


def _head(first: str) -> Iterable[str]:
    return f"| {first} | {_COLUMNS[0]}", _COLUMNS[1]


def _row(name: str, found: Mapping[str, Any]) -> str:
    at, fixed = found.get("at_operating_point", {}), found.get("sensitivity_at_specificity", {})
    error = found.get("expected_calibration_error")
    whole = found.get("drawn_of")
    drawn = f" (drawn of {whole})" if whole is not None and whole > found["images"] else ""
    return (
        f"| {name} | {found['images']}{drawn} | {found['melanomas']} "
        f"| {_rate(found['melanoma_auc'], found['melanoma_auc_interval'])} "
        f"| {_rate(fixed.get('sensitivity'), fixed.get('interval'))} "
        f"| {_rate(at.get('sensitivity'), at.get('sensitivity_interval'))} "
        f"| {_rate(at.get('specificity'), at.get('specificity_interval'))} "
        f"| {'n/a' if error is None else f'{error:.3f}'} |"
    )


def _run(run: Mapping[str, Any], facts: Mapping[str, Any], preprocessing: str) -> str:
    """A run's command, and in what it differs from the shipped model."""
    digest = run.get("model_sha256")
    told = [f"model.keras {digest[:12]}" if digest else "a trial without an artifact"]
    version = run.get("preprocessing_version", preprocessing)
    if version != preprocessing:
        told.append(f"measured under preprocessing version {version}")
    if run.get("is_start"):
        told.append("the shipped model went on from its weights, with every source")
    drawn, ours = run.get("images_drawn"), (facts.get("course") or {}).get("images_drawn")
    if drawn and drawn != ours:
        told.append(f"{drawn:,} images drawn" + (f", the shipped model {ours:,}" if ours else ""))
    theirs, shipped = run.get("jobs"), (facts.get("course") or {}).get("jobs")
    if theirs and shipped and not run.get("is_start"):
        other = [key for key in ("batch", "shares", "sides") if _asked(theirs, key, shipped)]
        told += [f"with other {', '.join(other)}"] if other else []
        if len(theirs) != len(shipped):
            told.append(f"of {len(theirs)} courses, the shipped model of {len(shipped)}")
    return f"- `{run['command']}` ({', '.join(told)})"


def _asked(
    theirs: Sequence[Mapping[str, Any]], key: str, ours: Sequence[Mapping[str, Any]]
) -> bool:
    """Whether something else was asked of one of the courses."""
    return any(one.get(key) != ours[0].get(key) for one in (*theirs, *ours))


def _one_decimal(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.1f}"


def _rate(value: float | None, interval: Sequence[float] | None) -> str:
    if value is None or interval is None:
        return "n/a"
    return f"{value:.3f} ({interval[0]:.3f}–{interval[1]:.3f})"
