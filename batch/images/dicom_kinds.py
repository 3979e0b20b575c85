"""Rules on UIDs: which DICOM objects are scored, and how their pixels are stored.

Sources: PS3.4 B.5 (storage SOP classes); Supplement 221 (Dermoscopic Photography Image Storage);
PS3.5 annex A (transfer syntaxes).
"""

from __future__ import annotations

import re
from enum import StrEnum

_STANDARD_ROOT = "1.2.840.10008."
_STORAGE = _STANDARD_ROOT + "5.1.4.1.1."
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")

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
        # grey by definition; they end as unscored, because they have no colour
        _STORAGE + "7.1",
        _STORAGE + "7.2",
        _STORAGE + "7.3",
    }
)

_NEWER_CLASSES = {
    _STORAGE + "66.7": "Label Map Segmentation Storage",
    _STORAGE + "66.8": "Height Map Segmentation Storage",
    _STORAGE + "601.3": "Thermography Image Storage",
    _STORAGE + "601.4": "Thermography Multi-frame Image Storage",
}
"""Storage classes that are newer than pydicom's dictionary."""

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_PROGRESSIVE = "1.2.840.10008.1.2.4.55"
JPEG_SPECTRAL = "1.2.840.10008.1.2.4.53"
JPEG_XL_RECOMPRESSION = "1.2.840.10008.1.2.4.111"


class Codec(StrEnum):
    """How the frames of a transfer syntax are stored."""

    NATIVE = "native"
    JPEG = "jpeg"
    JPEG_LOSSLESS = "jpeg_lossless"
    JPEG_LS = "jpeg_ls"
    JPEG_2000 = "jpeg_2000"
    RLE = "rle"
    JPEG_XL = "jpeg_xl"


CODECS: dict[str, Codec] = {
    IMPLICIT_VR_LITTLE_ENDIAN: Codec.NATIVE,
    EXPLICIT_VR_LITTLE_ENDIAN: Codec.NATIVE,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Codec.NATIVE,
    EXPLICIT_VR_BIG_ENDIAN: Codec.NATIVE,
    JPEG_BASELINE: Codec.JPEG,
    JPEG_EXTENDED: Codec.JPEG,
    JPEG_SPECTRAL: Codec.JPEG,  # retired, and libjpeg reads them
    JPEG_PROGRESSIVE: Codec.JPEG,
    "1.2.840.10008.1.2.4.57": Codec.JPEG_LOSSLESS,
    "1.2.840.10008.1.2.4.70": Codec.JPEG_LOSSLESS,
    "1.2.840.10008.1.2.4.80": Codec.JPEG_LS,
    "1.2.840.10008.1.2.4.81": Codec.JPEG_LS,
    "1.2.840.10008.1.2.4.90": Codec.JPEG_2000,
    "1.2.840.10008.1.2.4.91": Codec.JPEG_2000,
    "1.2.840.10008.1.2.4.201": Codec.JPEG_2000,  # HTJ2K, the same codestream headers
    "1.2.840.10008.1.2.4.202": Codec.JPEG_2000,
    "1.2.840.10008.1.2.4.203": Codec.JPEG_2000,
    "1.2.840.10008.1.2.4.110": Codec.JPEG_XL,
    JPEG_XL_RECOMPRESSION: Codec.JPEG_XL,
    "1.2.840.10008.1.2.4.112": Codec.JPEG_XL,
    "1.2.840.10008.1.2.5": Codec.RLE,
}
"""Every transfer syntax that is read; `dicom_frames` has the decoders."""

LOSSY_TRANSFER_SYNTAXES = frozenset(
    {
        JPEG_BASELINE,
        JPEG_EXTENDED,
        JPEG_SPECTRAL,
        JPEG_PROGRESSIVE,
        JPEG_XL_RECOMPRESSION,
        "1.2.840.10008.1.2.4.81",
    }
)
"""Syntaxes that are always lossy; for others Lossy Image Compression (0028,2110) says it."""


class ObjectKind(StrEnum):
    """What happens to a DICOM object."""

    SCORE = "score"
    NON_IMAGE = "non_image"
    TO_A_PERSON = "to_a_person"


def object_kind(
    sop_class_uid: str | None, is_standard: bool, has_pixels: bool, is_whole: bool
) -> ObjectKind:
    """Decide what happens to an object.

    An object with pixels and an unknown class goes to a person, and so does an incomplete object.
    A standard object of another kind (ultrasound, CT, microscopy, video) is a non-image, and so is
    a complete object without pixels.

    Args:
        sop_class_uid: None if the object has none.
        is_standard: whether the UID is in the standard's dictionary.
        has_pixels: whether the object has Rows or pixel data.
        is_whole: whether its class is plausible, and it names its study and series or is a
            directory of others; an incomplete object may have lost its pixels.
    """
    if sop_class_uid in _SCORED:
        return ObjectKind.SCORE
    is_other = is_standard if has_pixels else is_whole
    return ObjectKind.NON_IMAGE if is_other else ObjectKind.TO_A_PERSON


def is_plausible_class(sop_class_uid: str | None, is_standard: bool) -> bool:
    """Whether a SOP class is possible: of the standard, or a well-formed UID of somebody else.

    A UID below the standard's root that is not in its dictionary is damaged, or newer than this
    program; such an object must not become a non-image.
    """
    if is_standard:
        return True
    well_formed = sop_class_uid is not None and _UID.fullmatch(sop_class_uid) is not None
    return well_formed and not str(sop_class_uid).startswith(_STANDARD_ROOT)


def class_name(sop_class_uid: str | None) -> str | None:
    """The name of a storage class that is newer than pydicom's dictionary; None for any other."""
    return _NEWER_CLASSES.get(sop_class_uid or "")


def kind_flags(sop_class_uid: str | None) -> set[str]:
    """Flags by SOP class; only Dermoscopic Photography is certainly dermoscopy."""
    return set() if sop_class_uid == DERMOSCOPIC_PHOTOGRAPHY else {"not_dermoscopic_sop_class"}
