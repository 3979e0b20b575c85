"""The review of a night: the night's report, the tables of the worklist, and the page.

Each part is made by itself. If one fails, run.json (`review.failed`) and the log name the type of
the error, without its message, which may quote values; the night is published without this part.
Only a disk that cannot take the files ends the night.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import pandas as pd

from batch.core.config import ReviewOptions
from batch.core.records import Canary
from batch.core.rules import lesion_pattern
from batch.reports import parquet
from batch.reports.layout import is_mark_file
from batch.reports.local import LocalReports
from batch.reports.run_record import record_of
from batch.review.inputs import (
    WORKLIST,
    NightSources,
    earlier_nights,
    list_of_night,
    read_remembered,
    read_tonight,
)
from batch.review.monitoring.figures import PREDICTION_COLUMNS, NightFigures, combine, figures_of
from batch.review.monitoring.flag_counts import FLAG_COLUMNS, FlagCounts, add_up, flag_counts
from batch.review.monitoring.history import NightRecord, night_record
from batch.review.monitoring.night_report import NightReport, build_report, canary_of
from batch.review.monitoring.reference import Reference, reference_from_json, stored_reference
from batch.review.outputs import for_page, table_files
from batch.review.page import render
from batch.review.page.pictures import NO_PICTURES, PagePictures
from batch.review.page_pictures import STOPPED_EARLY, PicturePlace, Pictures, page_pictures
from batch.review.parts import part
from batch.review.score_spread import with_known_spreads, with_spreads
from batch.review.worklist.build import build_worklist
from batch.review.worklist.contract import ReviewWorklist, Status, Tier
from batch.review.worklist.mark_limits import without_future
from batch.review.worklist.marks import Marks, read_marks


def review_night(
    reports: LocalReports,
    folder: Path,
    run: Mapping[str, Any],
    provenance: Mapping[str, Any] | None = None,
    canary: Canary | None = None,
) -> NightReport:
    """Make the report of a night that is being gathered, or is published.

    Args:
        reports: with the earlier nights.
        folder: of the night's tables.
        run: content of run.json. If it has a review, measurements, reference and canary come from
            there, and neither tables nor artifact are needed.
        provenance, canary: of the model, for a night without a review.

    Raises:
        ValueError: run.json lacks run id or start.
    """
    tonight = night_record(run)
    if tonight is None:
        raise ValueError("run.json without run_id or started_at")
    if tonight.figures is None:
        tonight = replace(tonight, figures=measured(folder))
    if tonight.flags is None:
        tonight = replace(tonight, flags=flags_of(folder))
    if (review := record_of(run).review) is not None:
        canary = canary_of(review.canary)
    earlier = earlier_nights(reports, tonight.run_id)
    return build_report(run, tonight, earlier, _reference(run, tonight, provenance), canary)


def measured(folder: Path) -> NightFigures:
    """Figures of a night's predictions, a row group at a time."""

    def parts() -> Iterator[NightFigures]:
        for rows in parquet.stream("predictions", folder / "predictions", PREDICTION_COLUMNS):
            columns = {
                name: rows[name].to_numpy(zero_copy_only=False) for name in PREDICTION_COLUMNS
            }
            yield figures_of(columns)

    return combine(parts())


def flags_of(folder: Path) -> FlagCounts:
    """Flags of a night's predictions, a row group at a time."""
    return add_up(
        map(flag_counts, parquet.stream("predictions", folder / "predictions", FLAG_COLUMNS))
    )


def _reference(
    run: Mapping[str, Any], tonight: NightRecord, provenance: Mapping[str, Any] | None
) -> Reference:
    review = record_of(run).review
    if review is not None and review.reference is not None:
        return reference_from_json(review.reference)
    return stored_reference(provenance or {}, tonight.scoring or "")


PROBLEMS_TOLD = 20
"""Sentences on marks in run.json; the rest is a number."""


@dataclass(frozen=True)
class NightPlace:
    """A night that is reviewed.

    folder: of its tables. run: run.json, or what there is of it. marked_until: for a list made
    anew, now; None for a night that is being made, whose images no mark can have seen. to_pictures:
    for a list made anew, the way from its page to the pictures' files.
    """

    reports: LocalReports
    folder: Path
    run: Mapping[str, Any]
    provenance: Mapping[str, Any] | None = None
    canary: Canary | None = None
    marked_until: datetime | None = None
    to_pictures: str | None = None

    @property
    def is_scored_now(self) -> bool:
        """Whether this night scored an image, so that its model is open; not for a list anew."""
        return self.marked_until is None and bool(record_of(self.run).frames.predictions)


def make_review(
    place: NightPlace,
    into: Path,
    options: ReviewOptions,
    source: Pictures | None,
    why_none: str = STOPPED_EARLY,
) -> dict[str, Any]:
    """Write the review of a night, and return what run.json says of it under `review`.

    Args:
        into: folder that takes the files. source: of pictures; None where there is no archive.
        why_none: said then of pictures that are missing.
    """
    said: dict[str, Any] = {}
    failed: dict[str, str] = {}
    report = worklist = None
    with part("report", failed):
        report = review_night(
            place.reports, place.folder, place.run, place.provenance, place.canary
        )
        said = dict(report.to_json())
    with part("worklist", failed):
        worklist, marks = make_worklist(place, options)
        numbers = figures(worklist, marks)
        worklist = with_known_spreads(worklist, list_of_night(place.folder))
    if worklist is not None and options.score_spread and place.is_scored_now:
        with part("score_spread", failed):
            worklist, said["score_spread"] = with_spreads(worklist, source)
    with part("worklist", failed):
        written = {} if worklist is None else table_files(worklist)
    if worklist is not None and "worklist" not in failed:
        said["worklist"] = numbers
        for name, data in written.items():
            (into / name).write_bytes(data)
        listed = for_page(worklist)
        shown = NO_PICTURES
        with part("pictures", failed):
            shown, said["pictures"] = page_pictures(
                _picture_place(place), listed, options, source, failed, why_none
            )
        text = _page(place, listed, report, options, shown, failed)
        if text is not None:
            (into / f"{WORKLIST}.html").write_text(text, encoding="utf-8")
    said["failed"] = failed
    return said


def make_worklist(place: NightPlace, options: ReviewOptions) -> tuple[ReviewWorklist, Marks]:
    """The worklist of a night, and the marks that were read for it."""
    run_id = place.run["run_id"]
    marks = reduce(add, map(read_marks, mark_files(place.reports.root, options)), Marks())
    until = place.marked_until or datetime.fromisoformat(place.run["started_at"])
    marks = without_future(marks, until, max(until, datetime.now(UTC)))
    pattern = lesion_pattern(options.lesion_pattern) if options.lesion_pattern else None
    worklist = build_worklist(
        read_tonight(place.folder, place.run),
        read_remembered(place.reports, run_id),
        marks,
        NightSources(place.reports, place.folder, run_id),
        pattern,
    )
    return worklist, marks


def mark_files(reports: Path, options: ReviewOptions) -> tuple[Path, ...]:
    """The files with marks: those named by options, else those in the reports folder."""
    if options.reviewed:
        return options.reviewed
    return tuple(sorted(path for path in reports.iterdir() if is_mark_file(path.name)))


def figures(worklist: ReviewWorklist, marks: Marks) -> dict[str, Any]:
    """The worklist in numbers, for run.json."""
    lesions, facts = worklist.lesions, worklist.facts
    asked = lesions[lesions["status"] != Status.REVIEWED]
    alerts = lesions["tier"] == Tier.ALERT
    return {
        "lesions": _counts(asked["tier"]),
        "by_status": _counts(lesions["status"]),
        "new_alerts": int((alerts & (lesions["status"] == Status.NEW)).sum()),
        "open_alerts": int((alerts & (lesions["status"] != Status.REVIEWED)).sum()),
        "outliers": int(asked["is_outlier"].sum()),
        "changed_tier": _counts(worklist.changes["why"]),
        "archive": dict(facts.archive),
        "not_looked_at": dict(worklist.not_looked_at),
        "near_from": facts.near_from,
        "previous_night": facts.previous_night,
        "marks": {**facts.marks, "not_understood": marks.not_understood},
        "marks_not_understood": marks.not_understood,
        "marks_problems": list(marks.problems[:PROBLEMS_TOLD]),
        "marks_of_nobody": list(facts.marks_of_nobody[:PROBLEMS_TOLD]),
    }


def _page(
    place: NightPlace,
    worklist: ReviewWorklist,
    report: NightReport | None,
    options: ReviewOptions,
    pictures: PagePictures,
    failed: dict[str, str],
) -> str | None:
    notes = [*worklist.facts.notes]
    notes += [f"Not on this page: {name} ({why})." for name, why in failed.items()]
    shown = replace(worklist, facts=replace(worklist.facts, notes=tuple(notes)))
    with part("page", failed):
        return render.render(
            shown,
            report,
            pictures,
            _archive_key(place.run),
            budget=options.budget,
            language=options.language,
        )
    return None


def _picture_place(place: NightPlace) -> PicturePlace:
    prefix = place.to_pictures or place.reports.night_to_pictures
    identifiers = place.run.get("options", {}).get("identifiers")
    return PicturePlace(place.reports, prefix, identifiers)


def _archive_key(run: Mapping[str, Any]) -> str:
    """A digest that names the archive without its path; a browser keeps marks under it."""
    archive = str(run.get("options", {}).get("archive", ""))
    return hashlib.sha256(archive.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _counts(values: pd.Series) -> dict[str, int]:
    return {str(name): int(count) for name, count in values.value_counts().sort_index().items()}
