"""The latest night as the desk needs it: its page, its lesions, and where their images lie."""

from __future__ import annotations

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from batch.archive.pictures import ImageAddress
from batch.core.errors import UsageError
from batch.core.location import Place, place
from batch.core.privacy import Identifiers
from batch.core.rules import Limits
from batch.desk.page import NotOurPage, ServedPage, served_page
from batch.reports import parquet
from batch.reports.local import LocalReports
from batch.reports.run_reader import read_record
from batch.reports.run_record import Options
from batch.review.inputs import WORKLIST

BURNED_IN = "burned_in_annotation"
_NIGHTS = 2
"""Nights that stay in memory: a page that was opened before tonight's may still be marked."""
_IMAGES = ("image_id", "path", "path_bytes", "frame_number", "flags")


class NoNight(Exception):
    """There is no night to show. The message is for a person and quotes no value."""


@dataclass(frozen=True)
class ListedLesion:
    """A lesion as a night's page shows it. score: None where no image could be read."""

    score: float | None
    image_ids: frozenset[str]
    image_count: int


@dataclass(frozen=True)
class ListedImage:
    """Where an image lies. is_burned_in: its header says that text stands in the picture."""

    address: ImageAddress
    is_burned_in: bool


@dataclass(frozen=True, eq=False)
class DeskNight:
    """A published night.

    lesions: by key. images: by image_id, those of listed lesions. archive: where the night found
    them, None where run.json does not tell. has_patient_ids: made with `--identifiers full`.
    """

    run_id: str
    page: ServedPage
    lesions: Mapping[str, ListedLesion]
    images: Mapping[str, ListedImage]
    archive: Place | None
    limits: Limits
    has_patient_ids: bool


class Nights:
    """The nights of a reports folder; each is read once. Safe to use from several threads."""

    def __init__(self, reports: LocalReports) -> None:
        self._reports = reports
        self._lock = threading.Lock()
        self._read: OrderedDict[str, DeskNight] = OrderedDict()

    def latest(self) -> DeskNight:
        """The night that readers see now.

        Raises:
            NoNight: there is none, or it cannot be shown.
        """
        run_id = self._reports.latest()
        if run_id is None:
            raise NoNight("No night is published here yet. Run `melanoma-batch score` first.")
        with self._lock:
            if run_id not in self._read:
                self._read[run_id] = read_night(self._reports, run_id)
                while len(self._read) > _NIGHTS:
                    self._read.popitem(last=False)
            return self._read[run_id]

    def shown(self, run_id: str) -> DeskNight | None:
        """A night that this desk has shown; None when it is not in memory."""
        with self._lock:
            return self._read.get(run_id)


def read_night(reports: LocalReports, run_id: str) -> DeskNight:
    """Read what the desk needs of a night.

    Raises:
        NoNight: it has no page, or its tables cannot be read.
    """
    folder = reports.whole_night(run_id)
    record = read_record(folder)
    options = (record.options if record else None) or Options()
    try:
        page = served_page((folder / f"{WORKLIST}.html").read_bytes())
        rows = parquet.read_file_columns(
            folder / f"{WORKLIST}.parquet", ["lesion_key", "max_score", "image_ids", "image_count"]
        ).to_pylist()
        lesions = {row["lesion_key"]: _lesion(row) for row in rows}
        wanted = {image_id for lesion in lesions.values() for image_id in lesion.image_ids}
        images = _images(folder, wanted)
    except NotOurPage as error:
        raise NoNight(f"Night {run_id} cannot be shown: {error}. Score once more.") from error
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise NoNight(
            f"Night {run_id} cannot be shown: its page or worklist cannot be read "
            f"({type(error).__name__}). run.json tells under review.failed what could not be made."
        ) from error
    return DeskNight(
        run_id,
        page,
        lesions,
        images,
        _archive(options),
        _limits(options),
        options.identifiers == Identifiers.FULL,
    )


def _lesion(row: Mapping[str, Any]) -> ListedLesion:
    score = row["max_score"]
    readable = None if score is None or math.isnan(score) else float(score)
    return ListedLesion(readable, frozenset(row["image_ids"]), max(1, int(row["image_count"])))


def _images(folder: Path, wanted: set[str]) -> dict[str, ListedImage]:
    ids = pa.array(sorted(wanted), pa.string())
    found: dict[str, ListedImage] = {}
    for part in parquet.stream("current", folder / "current", _IMAGES):
        for row in part.filter(pc.is_in(part["image_id"], value_set=ids)).to_pylist():
            raw = row["path_bytes"]
            path = os.fsdecode(raw) if isinstance(raw, bytes) else row["path"]
            address = ImageAddress(path, row["image_id"], row["frame_number"])
            is_burned_in = BURNED_IN in (row["flags"] or ())
            found.setdefault(row["image_id"], ListedImage(address, is_burned_in))
    return found


def _archive(options: Options) -> Place | None:
    try:
        return place(options.archive) if options.archive else None
    except (UsageError, ValueError):
        return None


def _limits(options: Options) -> Limits:
    try:
        return Limits(**options.limits)
    except TypeError:
        return Limits()
