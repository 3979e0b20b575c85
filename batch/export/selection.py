"""What of the latest night is exported: lesions of the chosen tiers, and their images.

The list is made anew, with today's marks, from published tables; nothing is written.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from batch.core.config import ReviewOptions
from batch.core.errors import UsageError
from batch.core.location import Place, place
from batch.core.rules import Limits
from batch.export.contract import ModelContract, contract_of
from batch.reports import parquet
from batch.reports.local import RUN_FILE, LocalReports
from batch.review.identity import choose_pattern
from batch.review.inputs import facts_of
from batch.review.make_review import NightPlace, make_worklist
from batch.review.worklist.contract import Status, Tier
from batch.review.worklist.frames import records
from batch.storage.files import read_json

TIERS = tuple(tier.value for tier in Tier if tier != Tier.BELOW)
"""Tiers that can be exported. What is below the band is on no list and is never exported."""

_COLUMNS = (
    "image_id", "path", "path_bytes", "content_sha256", "file_format", "frame_number",
    "study_instance_uid", "sop_instance_uid", "acquisition_datetime", "anatomic_region",
    "laterality", "lesion_id", "patient_pseudonym", "patient_id", "issuer_of_patient_id",
    "accession_number",
    "melanoma_score", "is_alert", "operating_point", "threshold", "model_id", "model_version",
    "model_sha256", "preprocessing_version", "run_id", "scored_at",
)  # fmt: skip
DICOM = "dicom"


@dataclass(frozen=True)
class ExportImage:
    """An image (frame) with a score.

    path: in the archive, as it is opened. frame_number: from 1; None for a file with one image.
    The identifiers are those that the night holds, None with `--identifiers none`.
    """

    image_id: str
    path: str
    content_sha256: str
    file_format: str
    frame_number: int | None
    study_instance_uid: str | None
    sop_instance_uid: str | None
    acquisition_datetime: str | None
    anatomic_region: str | None
    laterality: str | None
    lesion_id: str | None
    patient_pseudonym: str | None
    patient_id: str | None
    issuer_of_patient_id: str | None
    accession_number: str | None
    score: float
    is_alert: bool
    scored_at: datetime
    contract: ModelContract
    lesion_key: str | None = None

    @property
    def is_dicom(self) -> bool:
        """Whether it lies in a DICOM object, and so in a study."""
        return self.file_format == DICOM


@dataclass(frozen=True)
class ExportLesion:
    """A lesion of the list. image_ids: all, also those without a score or not in the archive.

    reviewed_at, decision: of the mark that closes it. first_listed_at: start of that night.
    """

    key: str
    tier: str
    status: str
    image_ids: tuple[str, ...]
    scores: Mapping[str, float]
    flags: tuple[str, ...]
    first_listed_at: datetime
    reviewed_at: datetime | None
    decision: str | None
    patient_key: str | None
    anatomic_site: str | None
    laterality: str | None

    @property
    def is_closed(self) -> bool:
        """Whether a mark closes it."""
        return self.status == Status.REVIEWED


@dataclass(frozen=True)
class Selection:
    """What is exported of a night.

    images: with a score, by image_id; of several files with one image_id the one with the highest
        score. lesions: by key. copies: files left out because another has the same image_id.
    left_archive: ids of images of these lesions that are no longer in the archive.
    without_score: ids of images of these lesions that could not be read.
    listed: keys of all lesions on the list, of every tier. followed: ids of `images` that are
    selected only because they were exported before, followed_lesions likewise. contract: of the
    night's model.
    """

    run_id: str
    started_at: datetime
    identifiers: str
    archive: Place | None
    limits: Limits
    images: Mapping[str, ExportImage]
    lesions: Mapping[str, ExportLesion]
    copies: int
    left_archive: tuple[str, ...]
    without_score: tuple[str, ...]
    listed: frozenset[str]
    followed: frozenset[str]
    followed_lesions: frozenset[str]
    contract: ModelContract

    def following(self, image_ids: Collection[str], lesion_keys: Collection[str]) -> Selection:
        """The selection for one receiver.

        Args:
            image_ids, lesion_keys: exported to it before; others that only another receiver has
                are left out.
        """
        lesions = {
            key: lesion
            for key, lesion in self.lesions.items()
            if key not in self.followed_lesions or key in lesion_keys
        }
        kept = {image_id for lesion in lesions.values() for image_id in lesion.image_ids}
        kept |= set(image_ids)
        images = {
            image_id: image
            for image_id, image in self.images.items()
            if image_id not in self.followed or image_id in kept
        }
        return replace(
            self,
            images=images,
            lesions=lesions,
            left_archive=tuple(name for name in self.left_archive if name in kept),
            without_score=tuple(name for name in self.without_score if name in kept),
        )


def select(
    reports: LocalReports,
    tiers: Collection[str],
    now: datetime,
    follow: Collection[str] = (),
    follow_lesions: Collection[str] = (),
) -> Selection:
    """Select lesions and images of the latest night.

    Args:
        tiers: of `TIERS`. With `alert` every row of `current` that is an alert is selected, whether
            it is on the list or not. now: marks until then count. follow: image ids that were
            exported before; they are selected whatever their score is now. follow_lesions: keys,
            likewise.

    Raises:
        UsageError: no night was published, or it is damaged.
    """
    run_id = reports.latest()
    if run_id is None:
        raise UsageError(
            f"REPORTS: no published night in {reports.place}; run `melanoma-batch score` first."
        )
    folder = reports.whole_night(run_id)
    run = read_json(folder / RUN_FILE) or {}
    facts_of(run)
    options = choose_pattern(ReviewOptions(), run_id, run).review
    worklist, _ = make_worklist(NightPlace(reports, folder, run, marked_until=now), options)
    chosen = _lesions(worklist.lesions, tiers)
    listed = frozenset(worklist.lesions["lesion_key"])
    lesions = chosen | _lesions(worklist.lesions, (), set(follow_lesions) - chosen.keys())
    lesion_of = {image: key for key, lesion in lesions.items() for image in lesion.image_ids}
    rows = _rows(folder / "current", {*lesion_of, *follow}, Tier.ALERT in tiers)
    runs = _Runs(reports, run)
    images: dict[str, ExportImage] = {}
    copies = 0
    for row in sorted(rows, key=lambda row: (-row["melanoma_score"], row["path"])):
        if row["image_id"] in images:
            copies += 1
            continue
        images[row["image_id"]] = _image(row, runs, lesion_of.get(row["image_id"]))
    of_chosen = {image_id for lesion in chosen.values() for image_id in lesion.image_ids}
    followed = frozenset(
        name for name, image in images.items()
        if name not in of_chosen and not (image.is_alert and Tier.ALERT in tiers)
    )  # fmt: skip
    missing = [image_id for image_id in lesion_of if image_id not in images]
    gone = tuple(
        image_id for image_id in missing if "left_archive" in lesions[lesion_of[image_id]].flags
    )
    told = run.get("options", {})
    return Selection(
        run_id=run_id,
        started_at=datetime.fromisoformat(run["started_at"]),
        identifiers=str(told.get("identifiers", "uids")),
        archive=place(str(told["archive"])) if told.get("archive") else None,
        limits=_limits(told),
        images=images,
        lesions=lesions,
        copies=copies,
        left_archive=gone,
        without_score=tuple(sorted(set(missing) - set(gone))),
        listed=listed,
        followed=followed,
        followed_lesions=frozenset(lesions.keys() - chosen.keys()),
        contract=contract_of(_night_row(run["model"]), run),
    )


def _rows(folder: Path, wanted: set[str], with_alerts: bool) -> Iterable[dict[str, Any]]:
    names = sorted(wanted)
    for rows in parquet.stream("current", folder, _COLUMNS):
        is_wanted = pc.is_in(rows["image_id"], value_set=pa.array(names, pa.string()))
        if with_alerts:
            is_wanted = pc.or_(is_wanted, rows["is_alert"])
        yield from rows.filter(is_wanted).to_pylist()


class _Runs:
    """run.json of the nights, each read once."""

    def __init__(self, reports: LocalReports, latest: Mapping[str, Any]) -> None:
        self._reports, self._latest = reports, latest
        self._read: dict[str, Mapping[str, Any]] = {}

    def contract(self, row: Mapping[str, Any]) -> ModelContract:
        """The contract of a row, with measured figures where a run.json has them."""
        contract = contract_of(row, self._latest)
        if contract.validation_set is not None:
            return contract
        run_id = row["run_id"]
        if run_id not in self._read:
            self._read[run_id] = read_json(self._reports.night(run_id) / RUN_FILE) or {}
        return contract_of(row, self._read[run_id])


def _image(row: Mapping[str, Any], runs: _Runs, lesion_key: str | None) -> ExportImage:
    raw = row["path_bytes"]
    names = ExportImage.__dataclass_fields__
    return ExportImage(
        **{name: row[name] for name in names if name in row and name != "path"},
        path=os.fsdecode(raw) if raw is not None else row["path"],
        score=row["melanoma_score"],
        contract=runs.contract(row),
        lesion_key=lesion_key,
    )


def _night_row(model: Mapping[str, Any]) -> dict[str, Any]:
    point = model["operating_point"]
    return {**model, "operating_point": point["name"], "threshold": point["threshold"],
            "preprocessing_version": str(model.get("preprocessing_version", ""))}  # fmt: skip


def _lesions(
    frame: pd.DataFrame, tiers: Collection[str], keys: Collection[str] = ()
) -> dict[str, ExportLesion]:
    """The lesions of the tiers, by their place on the list or their scores, and those of `keys`."""
    lesions = {}
    for row in records(frame):
        chosen = {str(tier) for tier in (row["tier"], row["score_tier"])} & set(tiers)
        if chosen or row["lesion_key"] in keys:
            lesions[row["lesion_key"]] = _lesion(row)
    return lesions


def _lesion(row: Mapping[Any, Any]) -> ExportLesion:
    reviewed = row["reviewed_at"]
    return ExportLesion(
        key=row["lesion_key"],
        tier=str(row["tier"]),
        status=str(row["status"]),
        image_ids=tuple(row["image_ids"]),
        scores=dict(row["image_scores"]),
        flags=tuple(row["flags"]),
        first_listed_at=datetime.fromisoformat(row["first_listed_at"]),
        reviewed_at=None if reviewed is None else datetime.fromisoformat(reviewed),
        decision=row["decision"],
        patient_key=row["patient_key"],
        anatomic_site=row["anatomic_site"],
        laterality=row["laterality"],
    )


def _limits(options: Mapping[str, Any]) -> Limits:
    try:
        return Limits(**options["limits"])
    except (KeyError, TypeError):
        return Limits()
