"""The worklist and its marks, as the modules of the review exchange them.

Built by `worklist.build` from published tables, drawn by `page.render`, written by
`review/outputs.py`. Frames are never changed after they are built. Missing values are None
or NaN; times are ISO 8601 text with offset; paths are for people (other bytes than UTF-8 as \\xNN).
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
    """How urgently a lesion asks for a look, in the order of the list. No tier means clear."""

    ALERT = "alert"
    NEAR_THRESHOLD = "near_threshold"
    UNREADABLE = "unreadable"
    UNRELIABLE = "unreliable"
    BELOW = "below"


class Status(StrEnum):
    """How a lesion got or kept its place on the list; `worklist.status` has the rules."""

    NEW = "new"
    REOPENED = "reopened"
    OPEN = "open"
    REVIEWED = "reviewed"


LESION_COLUMNS = (
    "rank",  # int, 1 first: open ones by tier, score; then reviewed ones
    "lesion_key",  # str, stable and unique: tracking UID, "TRACKING:…", "PATTERN:…", image id, …
    "tier",  # Tier: where it is listed; an open alert stays "alert" even if the score falls
    "score_tier",  # Tier of tonight's scores alone; None when every image left the archive
    "status",  # Status
    "model_version",  # "id version digest" that scored the deciding image; None: unreadable
    "max_score",  # float 0..1, highest of its images; NaN when none can be read
    "mean_score",  # float; NaN likewise
    "threshold",  # float, of the operating point applied to the deciding image; NaN likewise
    "score_spread",  # float, largest change of max_score by a harmless change; NaN: not measured
    "margin",  # float, score - threshold of the deciding image; negative below; NaN likewise
    "previous_score",  # float, max_score in the last earlier night; NaN: unknown
    "score_change",  # float, max_score - previous_score; NaN likewise
    "previous_model_version",  # as model_version, of previous_score; None: unknown
    "first_listed_at",  # ISO, night that first listed it
    "first_alerted_at",  # ISO, night that first raised its alert, or None
    "patient_key",  # pseudonym, "issuer|patient ID", "PATTERN:…", or None
    "rank_in_patient",  # int (Int64), 1 is the patient's highest; NA without patient or score
    "lesions_of_patient",  # int (Int64), all with a score, also those below the band
    "is_outlier",  # bool, stands out among this patient's lesions ("ugly duckling")
    "anatomic_site",  # str or None
    "laterality",  # str or None
    "acquisition_datetime",  # ISO as precise as the source, newest of its images, or None
    "image_count",  # int, images (frames) with and without a score
    "unreadable_count",  # int, those without a score
    "flags",  # list[str], sorted
    "reason",  # plain sentences: why it is listed
    "image_ids",  # list[str], sorted, unreadable ones included
    "image_scores",  # dict, image_id to float: those with a score
    "paths",  # list[str], of image_ids, in their order
    "study_instance_uids",  # list[str], sorted; empty where the source has none
    "patient_id",  # str or None; with --identifiers full
    "issuer_of_patient_id",  # likewise
    "accession_numbers",  # list[str], likewise
    "decision",  # of the mark that closed it (it stays when the lesion is reopened), or None
    "reviewer",  # likewise
    "reviewed_at",  # ISO, likewise
    "reviewed_score",  # float, the score that the reviewer saw; NaN: unknown
    "reviewed_images",  # list[str], the images that the reviewer saw; empty: unknown
)
"""One row a lesion, ranked. Tier "below" occurs only with status "reviewed"; the page hides it."""

IMAGE_COLUMNS = (
    "lesion_key",
    "image_id",
    "path",
    "path_bytes",  # bytes, to read the file again; only if its name is not UTF-8, else None
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

An image that left the archive keeps its row while its lesion's alert is open. Its flag is
"left_archive", it has no class scores, file_format is None, rows and columns are 0.
"""

UNREADABLE_COLUMNS = (
    "path",
    "path_bytes",
    "image_id",  # None when the file failed as a whole
    "frame_number",
    "reason",  # see schemas/README
    "detail",
    "stage",
    "first_seen",  # ISO, the first night that listed it without a score, or None
    "lesion_key",
    "patient_key",  # or None
    "status",  # Status of its lesion: a mark closes an unreadable image, too
)

CHANGE_COLUMNS = ("lesion_key", "tier_before", "tier", "why")
"""One row a lesion that was in the archive in the last night, and whose `score_tier` has changed.

tier is None if every image left the archive. why is "new model", "new operating point", "new
image", "score rose", "score fell", "image left the archive", "image is back in the archive", "now
readable" or "no longer readable". A lesion that fell below the band has a row here, although the
list no longer has it."""

MARK_COLUMNS = (
    "lesion_key",  # or image_id: one of both
    "image_id",
    "decision",  # free words; "reopen" takes an earlier mark back
    "reviewer",  # may be empty
    "reviewed_at",  # ISO 8601; without offset local; a date alone is that whole day
    "score",  # optional: max_score on the page when it was marked
    "image_count",  # optional: image_count on the page when it was marked
)
"""Columns of `reviewed*.csv`, in the page's order; other columns are ignored."""


@dataclass(frozen=True)
class ReviewFacts:
    """What every page must say.

    night: start of the run, ISO 8601.
    caution: of the model's manifest, or None.
    near_from: lowest score of the band below the threshold.
    archive: counts of this night: "files", "images" (with a score), "unreadable", "lesions",
        "patients", "below" (lesions below the band, which are not cleared).
    previous_night: start of the night of the last list, or None.
    notes: sentences on what is missing or went wrong, e.g. marks that could not be read.
    marks_of_nobody: sentences, with file and row, on marks that name no lesion or image here.
    changed: sentences on options that decide which images are one lesion and that have changed
        since the night before.
    marks: numbers of different marks, "taken" and "without_effect".
    manifest: sentences on the hospital's tables of the night: a summary, then what is to be looked
        at; empty without a table.
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
    manifest: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ReviewWorklist:
    """The list for the morning.

    lesions, images, unreadable, changes: frames with the columns above.
    not_looked_at: "non_image: reason" or "pending: reason" to the number of files.
    off_page: lesions that the page leaves out because there are too many; it keeps their marks.
    """

    lesions: pd.DataFrame
    images: pd.DataFrame
    unreadable: pd.DataFrame
    not_looked_at: Mapping[str, int]
    changes: pd.DataFrame
    facts: ReviewFacts
    off_page: pd.DataFrame | None = None
