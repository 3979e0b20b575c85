"""What the modules of the review hand each other: the worklist and its marks.

Built by `worklist.build` from published tables, drawn by `page.render`, written by
`review/outputs.py`. Frames are never changed after they are built. Missing values are None
or NaN; times are ISO 8601 text with offset; paths are for people (other bytes than UTF-8 as \\xNN).

    page.render(worklist, report, pictures, archive_key, budget, language) -> str
        report: `NightReport` or None. pictures: `page.pictures.PagePictures`.
    reports.night_review.review_night(reports, folder, run, provenance, canary) -> NightReport
        reads what `night_report.build` needs: tonight's predictions, earlier nights' run.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from batch.core.records import OperatingPoint

if TYPE_CHECKING:
    import pandas as pd


class Tier(StrEnum):
    """How much a lesion asks for a look; in the order of the list. None of them means clear."""

    ALERT = "alert"
    NEAR_THRESHOLD = "near_threshold"
    UNREADABLE = "unreadable"
    BELOW = "below"


class Status(StrEnum):
    """What became of a lesion's place on the list."""

    NEW = "new"
    REOPENED = "reopened"
    OPEN = "open"
    REVIEWED = "reviewed"


LESION_COLUMNS = (
    "rank",  # int, 1 first: open ones by tier, score; then reviewed ones
    "lesion_key",  # str, stable and unique: tracking UID, "TRACKING:…", "PATTERN:…", image id, …
    "tier",  # Tier: where it is listed; an open alert stays "alert" whatever tonight's score says
    "score_tier",  # Tier of tonight's scores alone; None when every image left the archive
    "status",  # Status
    "model_version",  # "id version digest" behind the deciding image's score; None: unreadable
    "max_score",  # float 0..1 over its images; NaN when none can be read
    "mean_score",  # float; NaN likewise
    "threshold",  # float, of the operating point that judged the deciding image; NaN likewise
    "margin",  # float, score - threshold of the deciding image; negative below; NaN likewise
    "previous_score",  # float, max_score in the last earlier night; NaN: not known
    "score_change",  # float, max_score - previous_score; NaN likewise
    "previous_model_version",  # as model_version, behind previous_score, None likewise
    "first_listed_at",  # ISO, night that first listed it
    "first_alerted_at",  # ISO, night that first raised its alert, or None
    "patient_key",  # pseudonym, "issuer|patient ID", "PATTERN:…", or None
    "rank_in_patient",  # int (Int64), 1 is the patient's highest; NA without patient or score
    "lesions_of_patient",  # int (Int64), with a score, those below the band included
    "is_outlier",  # bool, the "ugly duckling" of this patient
    "anatomic_site",  # str or None
    "laterality",  # str or None
    "acquisition_datetime",  # ISO as precise as the source, newest of its images, or None
    "image_count",  # int, images (frames) with and without score
    "unreadable_count",  # int, of these without a score
    "flags",  # list[str], sorted
    "reason",  # one plain sentence: why it stands here
    "image_ids",  # list[str], sorted, unreadable ones included
    "image_scores",  # dict, image_id to float: those with a score
    "paths",  # list[str], of image_ids, in their order
    "study_instance_uids",  # list[str], sorted; empty where the source has none
    "patient_id",  # str or None; with --identifiers full
    "issuer_of_patient_id",  # likewise
    "accession_numbers",  # list[str], likewise
    "decision",  # of the mark that closed it (kept when it is reopened), or None
    "reviewer",  # likewise
    "reviewed_at",  # ISO, likewise
    "reviewed_score",  # float, the score the reviewer saw; NaN: not known
    "reviewed_images",  # list[str], the images there were; empty: not known
)
"""One row a lesion, ranked. Tier "below" occurs only with status "reviewed": the page hides it."""

IMAGE_COLUMNS = (
    "lesion_key",
    "image_id",
    "path",
    "path_bytes",  # bytes, only where the name is not UTF-8, else None: for reading the file again
    "frame_number",  # int, 1-based, or None
    "file_format",
    "rows",  # int, pixels of the source
    "columns",
    "melanoma_score",  # float
    "threshold",  # float
    "predicted_class",
    "class_scores",  # dict, class name to float
    "scored_at",  # ISO
    "model_version",  # "id version digest", the digest by its first 8 digits
    "acquisition_datetime",
    "study_instance_uid",
    "sop_instance_uid",
    "earlier_scores",  # list of (night ISO, score, model_version), oldest first
    "flags",  # list[str]
    "arrival",  # since the night before: "added", "replaced", "readable", or None
    "content_sha256",  # hex, of the file that was scored; None where the image left the archive
)
"""One row an image (frame) of a listed lesion, by lesion rank, then score, highest first.

An image that left the archive is still a row while its lesion's alert is open: flag
"left_archive", no class scores, file_format None, rows and columns 0.
"""

UNREADABLE_COLUMNS = (
    "path",
    "path_bytes",
    "image_id",  # None when the file failed as a whole
    "frame_number",
    "reason",  # words in schemas/README
    "detail",
    "stage",
    "first_seen",  # ISO, the first night that listed it without a score, or None
    "lesion_key",
    "patient_key",  # or None
    "status",  # Status of its lesion: a mark closes an unreadable image, too
)

CHANGE_COLUMNS = ("lesion_key", "tier_before", "tier", "why")
"""Lesions of the last night's archive whose tier by score is another tonight (`score_tier`; tier
None: every image left the archive). why: "new model", "new operating point", "new image", "score
rose", "score fell", "image left the archive", "image is back in the archive", "now readable", "no
longer readable". A lesion that fell below the band stands here though it is listed no more."""

MARK_COLUMNS = (
    "lesion_key",  # or image_id: one of both
    "image_id",
    "decision",  # free words; "reopen" takes an earlier mark back
    "reviewer",  # may be empty
    "reviewed_at",  # ISO 8601; without offset local; a date alone is that whole day
    "score",  # optional: max_score on the page when it was marked
    "image_count",  # optional: image_count on the page when it was marked
)
"""Columns of `reviewed*.csv`, in the page's order; others are passed over."""


@dataclass(frozen=True)
class ReviewFacts:
    """What must stand on every page.

    night: ISO 8601, start of the run. caution: of the model's manifest, or None. archive: counts
    of this night: "files", "images" (with a score), "unreadable", "lesions", "patients", "below"
    (lesions below the band, which nobody calls clear). near_from: lowest score of the band. notes:
    sentences on what this worklist lacks or what went wrong (e.g. marks that could not be read).
    changed: sentences on options that decide which images are one lesion, and are others than the
    night before. marks: different marks by what became of them, "taken" and "without_effect".
    marks_of_nobody: sentences, with file and row, on marks that name nothing known here.
    """

    run_id: str
    night: str
    model_id: str
    model_version: str
    model_sha256: str
    caution: str | None
    operating_point: OperatingPoint
    near_from: float
    archive: Mapping[str, int]
    previous_night: str | None = None
    notes: tuple[str, ...] = ()
    marks_of_nobody: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    marks: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ReviewWorklist:
    """The morning's list. not_looked_at: "non_image: reason", "pending: reason" to files.

    off_page: lesions that a page leaves out for their number; it keeps their marks.
    """

    lesions: pd.DataFrame
    images: pd.DataFrame
    unreadable: pd.DataFrame
    not_looked_at: Mapping[str, int]
    changes: pd.DataFrame
    facts: ReviewFacts
    off_page: pd.DataFrame | None = None
