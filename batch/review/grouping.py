"""Images to lesions and patients: which key each one bears. Pure.

An image belongs to the lesion that its file names (TrackingUID, or TrackingID within a patient),
else to the one that a pattern finds in its path, else to a lesion of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pandas as pd

from batch.review.cells import is_control

_UID = re.compile(r"[0-9.]+")
_RESERVED = frozenset("%/@")
_OWN_ID = re.compile(r"[0-9.]+(#\d+)?|sha256:[0-9a-f]+")


def group_images(images: pd.DataFrame, pattern: re.Pattern[str] | None) -> pd.DataFrame:
    """Lesion and patient of scored images.

    Args:
        images: with image_id, path, lesion_id, study_instance_uid, patient_pseudonym, patient_id
            and issuer_of_patient_id.

    Returns:
        same index; lesion_key, patient_key (None: not known), shared (bool: its tracking UID is
        borne by several patients, who are kept apart).
    """
    by_path = _by_path(pattern)
    columns = (
        "path", "patient_pseudonym", "patient_id", "issuer_of_patient_id", "lesion_id",
        "study_instance_uid", "image_id",
    )  # fmt: skip
    keys, patients, uids = [], [], []
    for path, pseudonym, patient_id, issuer, lesion, study, image_id in zip(
        *(_texts(images[column]) for column in columns), strict=True
    ):
        in_path, patient_in_path = by_path(path)
        patient = pseudonym or _by_id(issuer, patient_id) or patient_in_path
        tracked = _tracking(lesion, patient or study) if lesion else None
        keys.append(tracked or (None if lesion else in_path) or _own(image_id))
        patients.append(patient)
        uids.append(lesion if lesion and tracked == lesion else None)
    several = _borne_by_several(uids, patients)
    shared = [uid in several for uid in uids]
    keys = [
        f"{key}@{patient or '?'}" if is_shared else key
        for key, patient, is_shared in zip(keys, patients, shared, strict=True)
    ]
    return pd.DataFrame(
        {
            "lesion_key": pd.Series(keys, images.index, object),
            "patient_key": pd.Series(patients, images.index, object),
            "shared": pd.Series(shared, images.index, bool),
        }
    )


def group_unscored(
    unscored: pd.DataFrame,
    pattern: re.Pattern[str] | None,
    of_paths: Mapping[str, tuple[str | None, str | None]],
) -> pd.DataFrame:
    """Lesion and patient of images without a score, of which only the place is known.

    Args:
        unscored: with path, image_id and content_sha256, any of the last two None.
        of_paths: path to lesion and patient, of files whose other frames have a score.

    Returns:
        same index; lesion_key, patient_key, and image_id with a stand-in where there was none: by
        content, so that another content at the same place is another image. The lesion of such a
        file goes by its place: two empty files are not one lesion.
    """
    by_path = _by_path(pattern)
    rows = []
    columns = (unscored[column] for column in ("path", "image_id", "content_sha256"))
    for path, named, digest in zip(*map(_texts, columns), strict=True):
        place = f"FILE:{_visible(path or '')}"
        image_id = named or (f"sha256:{digest}" if digest else place)
        own = _own(named) if named else place
        lesion, patient = of_paths.get(path or "", (None, None))
        in_path, patient_in_path = by_path(path)
        rows.append((lesion or in_path or own, patient or patient_in_path, image_id))
    names = ["lesion_key", "patient_key", "image_id"]
    return pd.DataFrame(rows, columns=names, index=unscored.index, dtype=object)


def _by_path(
    pattern: re.Pattern[str] | None,
) -> Callable[[str | None], tuple[str | None, str | None]]:
    """Lesion and patient by the pattern; None where it does not match."""
    if pattern is None:
        return lambda path: (None, None)
    return lambda path: _by_pattern(path or "", pattern)


def _by_pattern(path: str, pattern: re.Pattern[str]) -> tuple[str | None, str | None]:
    match = pattern.search(path)
    if match is None:
        return None, None
    groups = match.groupdict()
    patient = "PATTERN:" + _quoted(groups["patient"]) if groups.get("patient") else None
    if not groups["lesion"]:
        return None, patient
    lesion = _quoted(groups["lesion"])
    return (f"{patient}/{lesion}" if patient else f"PATTERN:{lesion}"), patient


def _by_id(issuer: str | None, patient_id: str | None) -> str | None:
    if patient_id is None:
        return None
    return _quoted(issuer or "").replace("|", "%7C") + "|" + _quoted(patient_id)


def _tracking(lesion: str, within: str | None) -> str | None:
    """A tracking UID is unique by itself; a TrackingID only within a patient, else within a study.

    Without either there is none: two lesions named "1" are never one.
    """
    if _UID.fullmatch(lesion):
        return lesion
    return f"TRACKING:{_quoted(within)}/{_quoted(lesion)}" if within else None


def _borne_by_several(uids: list[str | None], patients: list[str | None]) -> set[str]:
    """Tracking UIDs that stand for images of different known patients."""
    first: dict[str, str] = {}
    several = set()
    for uid, patient in zip(uids, patients, strict=True):
        if uid and patient and first.setdefault(uid, patient) != patient:
            several.add(uid)
    return several


def _own(image_id: str | None) -> str:
    """A lesion of its own for an image, under a key that no other rule gives."""
    name = image_id or ""
    return name if _OWN_ID.fullmatch(name) else "IMAGE:" + _visible(name)


def _quoted(word: str) -> str:
    """A part of a key: cannot be mistaken for two, and nothing in it is invisible."""
    if word.isprintable() and not _RESERVED & set(word):
        return word
    return "".join(f"%{ord(c):02X}" if c in _RESERVED or is_control(c) else c for c in word)


def _visible(text: str) -> str:
    if text.isprintable() and "%" not in text:
        return text
    return "".join(f"%{ord(c):02X}" if c == "%" or is_control(c) else c for c in text)


def _texts(column: pd.Series) -> list[str | None]:
    """Texts as such; everything else, and nothing, is None."""
    return [value if isinstance(value, str) and value else None for value in column.tolist()]
