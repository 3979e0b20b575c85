"""The names of lesions and patients: keys that nobody can mistake for each other. Pure.

An image belongs to the lesion that its file names (TrackingUID, or TrackingID within a patient),
else to the one that a pattern finds in its path, else to a lesion of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from batch.core.text import is_control

UID = "(?:[0-9.]+)"
OWN_ID = r"(?:[0-9.]+(#[0-9]+)?|sha256:[0-9a-f]+)"
"""An image_id that is a key as it stands."""

_UID = re.compile(UID)
_OWN_ID = re.compile(OWN_ID)
_RESERVED = frozenset("%/@")

ByPath = Callable[[str], tuple[str | None, str | None]]
"""Lesion and patient by a path."""


def by_path(pattern: re.Pattern[str] | None) -> ByPath:
    """Lesion and patient by the pattern; None where it does not match."""
    if pattern is None:
        return lambda path: (None, None)
    return lambda path: _by_pattern(path, pattern)


def by_id(issuer: str | None, patient_id: str | None) -> str | None:
    """A patient by issuer and ID; None without an ID."""
    if patient_id is None:
        return None
    return _quoted(issuer or "").replace("|", "%7C") + "|" + _quoted(patient_id)


def tracking(lesion: str, within: str | None) -> str | None:
    """A tracking UID is unique by itself; a TrackingID only within a patient, else within a study.

    Without either there is none: two lesions named "1" are never one.
    """
    if _UID.fullmatch(lesion):
        return lesion
    return f"TRACKING:{_quoted(within)}/{_quoted(lesion)}" if within else None


def kept_apart(key: str, patient: str | None) -> str:
    """The key of a tracking UID that several patients bear."""
    return f"{key}@{patient or '?'}"


def own(image_id: str | None) -> str:
    """A lesion of its own for an image, under a key that no other rule gives."""
    name = image_id or ""
    return name if _OWN_ID.fullmatch(name) else "IMAGE:" + visible(name)


def visible(text: str) -> str:
    """Text without invisible characters; two different texts stay different."""
    if text.isprintable() and "%" not in text:
        return text
    return "".join(f"%{ord(c):02X}" if c == "%" or is_control(c) else c for c in text)


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


def _quoted(word: str) -> str:
    """A part of a key: cannot be mistaken for two, and nothing in it is invisible."""
    if word.isprintable() and not _RESERVED & set(word):
        return word
    return "".join(f"%{ord(c):02X}" if c in _RESERVED or is_control(c) else c for c in word)
