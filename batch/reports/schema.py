"""The published columns of every table: name, type (Arrow's name), whether null can occur, meaning.

`python -m tests.tools.write_schemas` writes `schemas/*.json` and the tables of schemas/README.md
from here.
"""

from __future__ import annotations

from dataclasses import dataclass

from batch.core.records import KEPT_ATTRIBUTES

SCHEMA_VERSION = 5
READABLE_VERSIONS = (2, 3, 4, SCHEMA_VERSION)
"""Versions of nights that can be read; in earlier versions the columns that came later are null."""

_MEANS = ("mean_red", "mean_green", "mean_blue")
FROM_MANIFEST = "from_manifest"
"""Column that names the columns of its row which `--manifest` filled."""

MANIFEST_ONLY = ("sex", "age", "fitzpatrick_skin_type", FROM_MANIFEST)
"""Columns of images that only `--manifest` fills."""

EXIF_DATE = "exif_datetime_original"
_QUALITY = (
    "sharpness", "noise", "bright_level", "dark_surround_share", "saturated_share", "white_share",
    "is_reliable",
)  # fmt: skip
_DOMAIN = ("domain_percentile", "dermoscopy_score")
_LATE = (*_QUALITY, *_DOMAIN, EXIF_DATE, *MANIFEST_ONLY)
ADDED_COLUMNS: dict[str, dict[int, tuple[str, ...]]] = {
    "predictions": {3: _MEANS, 5: _LATE},
    "current": {3: _MEANS, 5: _LATE},
    "alerts": {3: _MEANS, 5: _LATE},
    "unscored": {4: KEPT_ATTRIBUTES, 5: (FROM_MANIFEST,)},
    "review_worklist": {5: ("score_spread",)},
}
"""For each table, the version and the columns that came with it."""


@dataclass(frozen=True)
class Column:
    """A column of a table. type: Arrow's name."""

    name: str
    type: str
    nullable: bool
    description: str


def _must(name: str, type_: str, description: str) -> Column:
    return Column(name, type_, False, description)


def _may(name: str, type_: str, description: str) -> Column:
    return Column(name, type_, True, description)


_PATH = (
    _must(
        "path",
        "string",
        "file, relative to the archive; escaped where its name is not UTF-8 or holds \\xNN itself",
    ),
    _may("path_bytes", "binary", "the file name's bytes, only where `path` is escaped"),
)
_SHA = "SHA-256 of the file's bytes"
_FRAME = _may("frame_number", "int32", "1-based frame of a multi-frame object, else null")
_MEAN = "mean of the model's input, 0..255, to a tenth; null when scored under schema version 2"
_LATER = "; null when scored under schema version 4 or earlier"
_RUN = _must("run_id", "string", "the run that published this row first")

_LESION = _may(
    "lesion_id", "string",
    "TrackingUID, else TrackingID with full identifiers only, else by --manifest",
)  # fmt: skip
_PSEUDONYM = _may(
    "patient_pseudonym", "string", "HMAC-SHA-256 of issuer and patient ID, with a key file"
)
_PATIENT = (
    _may("patient_id", "string", "DICOM (0010,0020); with full identifiers only"),
    _may("issuer_of_patient_id", "string", "DICOM (0010,0021); with full identifiers only"),
)

_FROM_MANIFEST = _may(
    FROM_MANIFEST, "list<string>", "columns of this row that --manifest filled; null: none"
)

_IMAGE = (
    _must("image_id", "string", "SOP Instance UID (with #frame), or sha256:<hex> of the file"),
    *_PATH,
    _must("content_sha256", "string", _SHA),
    _must("file_format", "string", "jpeg, png, tiff, bmp, webp, gif or dicom, by content"),
    _FRAME,
    _must("rows", "int32", "height of the source in pixels"),
    _must("columns", "int32", "width of the source in pixels"),
    _may("mean_red", "double", _MEAN),
    _may("mean_green", "double", _MEAN),
    _may("mean_blue", "double", _MEAN),
    _may("sharpness", "double", "detail relative to coarse structure, in logarithms" + _LATER),
    _may("noise", "double", "standard deviation of noise, in grey levels" + _LATER),
    _may("bright_level", "double", "90th percentile of the brightest channel, 0..255" + _LATER),
    _may("dark_surround_share", "double", "share of pixels that are nearly black" + _LATER),
    _may("saturated_share", "double", "share of pixels with a saturated channel" + _LATER),
    _may("white_share", "double", "share of pixels with all channels saturated" + _LATER),
    _may("is_reliable", "bool", "false where a flag says that the picture cannot be judged"),
    _must("flags", "list<string>", "facts about the source; meanings in batch/images/README.md"),
    _may("study_instance_uid", "string", "DICOM (0020,000D)"),
    _may("series_instance_uid", "string", "DICOM (0020,000E)"),
    _may("sop_instance_uid", "string", "DICOM (0008,0018)"),
    _may("sop_class_uid", "string", "DICOM (0008,0016)"),
    _may("modality", "string", "DICOM (0008,0060)"),
    _may("acquisition_datetime", "string", "ISO 8601, as precise as the source; invalid ones null"),
    _may(EXIF_DATE, "string", "EXIF DateTimeOriginal of a photograph, by the camera's clock"),
    _may("anatomic_region", "string", "AnatomicRegionSequence's meaning, else BodyPartExamined"),
    _may("laterality", "string", "R, L, B or U: ImageLaterality, else Laterality"),
    _LESION,
    _may("manufacturer", "string", "DICOM (0008,0070); of a photograph EXIF's Make"),
    _may("manufacturer_model_name", "string", "DICOM (0008,1090), EXIF's Model, or --manifest"),
    _PSEUDONYM,
    *_PATIENT,
    _may("accession_number", "string", "DICOM (0008,0050); with full identifiers only"),
    _may("sex", "string", "female, male or other, by the manifest; null with identifiers none"),
    _may("age", "double", "years, by the manifest; 90 stands for more unless identifiers are full"),
    _may("fitzpatrick_skin_type", "string", "I to VI, as recorded in the manifest, not measured"),
    _FROM_MANIFEST,
)
_SCORE = (
    _must("class_scores", "map<string, double>", "class name to score; they add up to 1"),
    _must("predicted_class", "string", "class with the highest score; alerts do not depend on it"),
    _must("melanoma_score", "double", "score of the melanoma class, 0..1; not a probability"),
    _may(
        "domain_percentile",
        "double",
        "0..100: share of reference images that are nearer to what the model learned from; null: "
        "the model's artifact has no domain reference",
    ),
    _may("dermoscopy_score", "double", "0..1: how like dermoscopy it looks; null as above"),
    _must("is_alert", "bool", "melanoma_score >= threshold; false never means cleared"),
    _must("operating_point", "string", "name of the operating point in the model's manifest"),
    _must("threshold", "double", "threshold of the operating point"),
    _must("model_id", "string", "of the manifest"),
    _must("model_version", "string", "of the manifest"),
    _must("model_sha256", "string", "SHA-256 of model.keras"),
    _must("preprocessing_version", "string", "version of the way from pixels to model input"),
    _RUN,
    _must("scored_at", "timestamp[us, UTC]", "start of the run that scored the image"),
)

TABLES: dict[str, tuple[Column, ...]] = {
    "predictions": (*_IMAGE, *_SCORE),
    "alerts": (
        *_IMAGE,
        *_SCORE,
        _must("sensitivity", "double", "of the operating point on its validation set"),
        _must("specificity", "double", "of the operating point on its validation set"),
        _must("validation_set", "string", "where the operating point was measured"),
        _must("review_status", "string", "UNVERIFIED: no person has looked yet"),
    ),
    "unscored": (
        *_PATH,
        _may("image_id", "string", "null when the file failed as a whole"),
        _FRAME,
        _may("content_sha256", "string", _SHA + "; null when it could not be read"),
        _may("study_instance_uid", "string", "DICOM (0020,000D), as far as it was parsed"),
        _LESION,
        _PSEUDONYM,
        *_PATIENT,
        _FROM_MANIFEST,
        _must("stage", "string", "read, identify, decode or score"),
        _must("reason", "string", "why there is no score; meanings in batch/images/README.md"),
        _must("detail", "string", "short, written by the program; never patient data"),
        _RUN,
        _must("recorded_at", "timestamp[us, UTC]", "start of the run that tried last"),
    ),
    "files": (
        *_PATH,
        _must("size", "int64", "bytes, when listed"),
        _must(
            "mtime_ns",
            "int64",
            "modification time, nanoseconds since 1970, when listed; of an object the second is "
            "its time and the rest its ETag",
        ),
        _may("content_sha256", "string", _SHA + "; null when it could not be read"),
        _may("file_format", "string", "by content; null when it is not an image"),
        _must("state", "string", "scored, unchanged, reused, unscored, non_image or pending"),
        _may("reason", "string", "why, for every state but scored"),
        _must("detail", "string", "short, written by the program"),
        _must("frames", "int32", "images in the file; 1 for a file that failed as a whole"),
        _must("frames_scored", "int32", "those with a row in current"),
        _must("frames_unscored", "int32", "those with a row in unscored"),
        _must("attempts", "int32", "runs in a row that read this file and left images unscored"),
        _must("program_version", "string", "version of the program that read the file"),
        _must("failure_fingerprint", "string", "digest of the limits and decoders at that time"),
        _must("identity_fingerprint", "string", "digest of the rules and identifiers at that time"),
        _must("scoring_fingerprint", "string", "digest of model, output and preprocessing then"),
        _must("run_id", "string", "the run that last read the file"),
    ),
}
TABLES["current"] = TABLES["predictions"]

SILENT = "silent_predictions"
"""Table of the second model, where a run had one."""

TABLES[SILENT] = (
    *_PATH,
    _must("image_id", "string", "as in current"),
    _FRAME,
    _must("content_sha256", "string", _SHA),
    _may("class_scores", "map<string, double>", "of the silent model; null without a score"),
    _may("predicted_class", "string", "class with the highest score"),
    _may("melanoma_score", "double", "of the silent model; it raises nothing and ranks nothing"),
    _may("would_alert", "bool", "melanoma_score >= threshold"),
    _may("reason", "string", "why the silent model gave no score; null with a score"),
    _must("detail", "string", "short, written by the program"),
    _must("operating_point", "string", "name, in the silent model's manifest"),
    _must("threshold", "double", "of the silent model's operating point"),
    _must("model_id", "string", "of the silent model"),
    _must("model_version", "string", "of the silent model"),
    _must("model_sha256", "string", "SHA-256 of its model.keras"),
    _must("scoring_fingerprint", "string", "of its weights, contract and preprocessing"),
    _must("preprocessing_version", "string", "version of the way from pixels to model input"),
    _must("run_id", "string", "the run that scored the image"),
    _must("scored_at", "timestamp[us, UTC]", "start of that run"),
)

_NIGHT = "timestamp[us, UTC]"
_AT_REVIEW = "when the mark was made; "
TABLES["review_worklist"] = (
    _must("rank", "int32", "1 first: what asks for a look by tier and score, then the reviewed"),
    _must("lesion_key", "string", "names the lesion in every night; see batch/review/README.md"),
    _must(
        "tier",
        "string",
        "alert, near_threshold, unreadable, unreliable, below (reviewed ones only)",
    ),
    _may("score_tier", "string", "tier by this night's scores; null when it left the archive"),
    _must("status", "string", "new, open, reopened or reviewed; see batch/review/README.md"),
    _may("model_version", "string", "id, version and digest of the model of the deciding image"),
    _may("max_score", "double", "highest melanoma score of its images; null: none is readable"),
    _may("mean_score", "double", "mean melanoma score of its images"),
    _may("threshold", "double", "threshold that was applied to the deciding image"),
    _may(
        "score_spread",
        "double",
        "largest change of max_score when its picture is turned, mirrored, cropped by 3 % or made "
        "5 % lighter or darker; null: not measured",
    ),
    _may("margin", "double", "score of the deciding image minus threshold"),
    _may("previous_score", "double", "max_score in the night before; null: unknown"),
    _may("score_change", "double", "max_score minus previous_score"),
    _may("previous_model_version", "string", "as model_version, of previous_score"),
    _must("first_listed_at", _NIGHT, "start of the night that first listed it"),
    _may("first_alerted_at", _NIGHT, "start of the night that first raised its alert"),
    _may("patient_key", "string", "pseudonym, issuer|patient ID, or by the lesion pattern"),
    _may("rank_in_patient", "int32", "1 is the patient's highest score"),
    _may("lesions_of_patient", "int32", "all with a score, listed or not"),
    _must("is_outlier", "bool", "stands out in its patient; rule in batch/review/README.md"),
    _may("anatomic_site", "string", "anatomic_region of its images; several with semicolons"),
    _may("laterality", "string", "of its images; several with semicolons"),
    _may("acquisition_datetime", "string", "the newest of its images"),
    _must("image_count", "int32", "images and frames, with and without a score"),
    _must("unreadable_count", "int32", "those without a score"),
    _must("flags", "list<string>", "of its images and of the list; see batch/review/README.md"),
    _must("reason", "string", "why it is listed; no diagnosis"),
    _must("image_ids", "list<string>", "its images; other names for files that failed as a whole"),
    _must("image_scores", "map<string, double>", "image_id to melanoma score, for images with one"),
    _must("paths", "list<string>", "of image_ids, in their order"),
    _must("study_instance_uids", "list<string>", "of its images"),
    _may("patient_id", "string", "DICOM (0010,0020); with full identifiers only"),
    _may("issuer_of_patient_id", "string", "DICOM (0010,0021); with full identifiers only"),
    _must("accession_numbers", "list<string>", "with full identifiers only"),
    _may("decision", "string", "of the newest mark"),
    _may("reviewer", "string", "of the newest mark"),
    _may("reviewed_at", _NIGHT, "of the newest mark"),
    _may("reviewed_score", "double", _AT_REVIEW + "its max_score; null: unknown"),
    _must("reviewed_images", "list<string>", _AT_REVIEW + "its image_ids"),
    _must("run_id", "string", "the run whose list this is"),
)


def contract(table: str) -> dict[str, object]:
    """The published form of a table's columns."""
    return {
        "table": table,
        "schema_version": SCHEMA_VERSION,
        "columns": [vars(column) for column in TABLES[table]],
    }
