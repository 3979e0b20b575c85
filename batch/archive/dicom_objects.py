"""Which DICOM objects are dermoscopy for us. Pure rules on UIDs, no library.

Source: PS3.4 B.5 (storage SOP classes); Supplement 221 (Dermoscopic Photography Image Storage).
"""

from __future__ import annotations

from enum import StrEnum

_STORAGE = "1.2.840.10008.5.1.4.1.1."

DERMOSCOPIC_PHOTOGRAPHY = _STORAGE + "77.1.7"
VL_PHOTOGRAPHIC = _STORAGE + "77.1.4"
SECONDARY_CAPTURE = _STORAGE + "7"
MULTI_FRAME_TRUE_COLOR_SECONDARY_CAPTURE = _STORAGE + "7.4"

_SCORED = frozenset(
    {
        DERMOSCOPIC_PHOTOGRAPHY,
        VL_PHOTOGRAPHIC,
        SECONDARY_CAPTURE,
        MULTI_FRAME_TRUE_COLOR_SECONDARY_CAPTURE,
        # grey by definition: go on to be stated as not in colour
        _STORAGE + "7.1",
        _STORAGE + "7.2",
        _STORAGE + "7.3",
    }
)

EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
NATIVE_TRANSFER_SYNTAXES = frozenset({"1.2.840.10008.1.2", EXPLICIT_VR_LITTLE_ENDIAN})


class ObjectKind(StrEnum):
    """What we do with a DICOM object."""

    SCORE = "score"
    NON_IMAGE = "non_image"
    TO_A_PERSON = "to_a_person"


def object_kind(sop_class_uid: str | None, is_standard: bool, has_pixels: bool) -> ObjectKind:
    """Decide what to do with an object.

    Args:
        sop_class_uid: None when the object has none.
        is_standard: the UID stands in the standard's dictionary.
        has_pixels: the object has an image matrix (Rows and Columns) or pixel data.

    An object with pixels that nobody can name goes to a person; a standard object of another kind
    (ultrasound, CT, microscopy, video) and anything without pixels is stated as a non-image.
    """
    if sop_class_uid in _SCORED:
        return ObjectKind.SCORE
    if is_standard or not has_pixels:
        return ObjectKind.NON_IMAGE
    return ObjectKind.TO_A_PERSON


def kind_flags(sop_class_uid: str | None) -> set[str]:
    """Flags by SOP class: only Dermoscopic Photography promises dermoscopy."""
    return set() if sop_class_uid == DERMOSCOPIC_PHOTOGRAPHY else {"not_dermoscopic_sop_class"}
