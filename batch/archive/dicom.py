"""DICOM Part 10 files and bare datasets: identity and RGB frames. The only importer of pydicom.

Everything pydicom says (warnings, exceptions) may quote patient data: its warnings and log lines
are dropped here, and its exceptions become reasons of ours.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder
from pydicom.uid import UID, UID_dictionary

from batch.archive import dicom_objects as objects
from batch.archive import jpeg, raster
from batch.archive.formats import FileFormat
from batch.archive.limits import Limits
from batch.errors import FailureReason, ImageFailure, NonImageReason, NotAnImage, Stage

pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)

_COLOUR = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422"})
_DATETIME = re.compile(r"^(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:\.(\d{1,6}))?([+-]\d{4})?$")


@dataclass(frozen=True, eq=False)
class DicomImage:
    """A DICOM object that is an image. attributes: keyword arguments of an ImageRecord."""

    dataset: Dataset
    transfer_syntax_uid: str
    frames: int
    rows: int
    columns: int
    attributes: dict[str, str | None]
    flags: tuple[str, ...]


def identify(data: bytes, limits: Limits, has_preamble: bool = True) -> DicomImage:
    """Parse an object and decide whether its frames are to be scored; decodes nothing.

    Raises:
        NotAnImage: a non-image for us. ImageFailure: stage IDENTIFY, goes to a person.
    """
    dataset = _parse(data, has_preamble)
    sop_class = _text(dataset, "SOPClassUID") or _text(dataset.file_meta, "MediaStorageSOPClassUID")
    has_pixels = "Rows" in dataset or "PixelData" in dataset
    _check_kind(sop_class, has_pixels)
    rows, columns = _number(dataset, "Rows"), _number(dataset, "Columns")
    frames = _number(dataset, "NumberOfFrames", default=1)
    if frames < 1:
        raise _failure(FailureReason.DICOM_INVALID, "NumberOfFrames below 1")
    if frames > limits.frames:
        raise _failure(
            FailureReason.TOO_MANY_FRAMES, f"{frames} frames declared; allowed: {limits.frames}"
        )
    limits.check_size(rows, columns)
    syntax = _text(dataset.file_meta, "TransferSyntaxUID") or objects.EXPLICIT_VR_LITTLE_ENDIAN
    flags = objects.kind_flags(sop_class)
    if syntax == objects.JPEG_BASELINE or _text(dataset, "LossyImageCompression") == "01":
        flags.add("lossy")
    if "ICCProfile" in dataset:
        flags.add("icc_present")
    return DicomImage(
        dataset,
        syntax,
        frames,
        rows,
        columns,
        _attributes(dataset, sop_class),
        tuple(sorted(flags)),
    )


def decode_frame(
    image: DicomImage, index: int, limits: Limits, at_least: int | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Decode one frame to RGB.

    Args:
        index: from 0. at_least: see `raster.decode`.

    Returns:
        (h, w, 3) uint8, and the flags that decoding added.

    Raises:
        ImageFailure: stage DECODE.
    """
    photometric = _text(image.dataset, "PhotometricInterpretation") or ""
    if _number(image.dataset, "SamplesPerPixel", default=1) == 1 and "PALETTE" not in photometric:
        raise ImageFailure(
            Stage.DECODE, FailureReason.NOT_COLOUR, "greyscale; the model has seen colour only"
        )
    if photometric not in _COLOUR:
        raise ImageFailure(
            Stage.DECODE, FailureReason.UNSUPPORTED_PHOTOMETRIC_INTERPRETATION, "no rule for it"
        )
    if "PixelData" not in image.dataset:
        raise ImageFailure(Stage.DECODE, FailureReason.PIXEL_DATA_MISSING)
    try:
        if image.transfer_syntax_uid == objects.JPEG_BASELINE:
            return _jpeg_frame(image, index, limits, at_least, photometric)
        if image.transfer_syntax_uid in objects.NATIVE_TRANSFER_SYNTAXES:
            return _native_frame(image, index)
    except ImageFailure:
        raise
    except Exception as error:  # StopIteration included: encapsulated data with too few fragments
        raise ImageFailure(
            Stage.DECODE, FailureReason.DECODE_FAILED, f"dicom: {type(error).__name__}"
        ) from error
    raise ImageFailure(
        Stage.DECODE,
        FailureReason.UNSUPPORTED_TRANSFER_SYNTAX,
        UID_dictionary.get(image.transfer_syntax_uid, ("unknown",))[0],
    )


def _parse(data: bytes, has_preamble: bool) -> Dataset:
    try:
        dataset = pydicom.dcmread(io.BytesIO(data), force=not has_preamble)
        if not hasattr(dataset, "file_meta"):
            dataset.file_meta = pydicom.dataset.FileMetaDataset()
        len(list(dataset.keys()))
    except Exception as error:  # pydicom's parsers raise whatever struct and codecs raise
        raise _failure(FailureReason.DICOM_INVALID, type(error).__name__) from error
    if "SOPClassUID" not in dataset and "MediaStorageSOPClassUID" not in dataset.file_meta:
        raise _failure(FailureReason.DICOM_INVALID, "no SOPClassUID")
    return dataset


def _check_kind(sop_class: str | None, has_pixels: bool) -> None:
    name = UID_dictionary.get(sop_class or "", ("unknown SOP class",))[0]
    kind = objects.object_kind(sop_class, sop_class in UID_dictionary, has_pixels)
    if kind == objects.ObjectKind.NON_IMAGE:
        raise NotAnImage(
            NonImageReason.DICOM_OTHER_KIND if has_pixels else NonImageReason.DICOM_WITHOUT_PIXELS,
            name,
        )
    if kind == objects.ObjectKind.TO_A_PERSON:
        raise _failure(
            FailureReason.UNSUPPORTED_SOP_CLASS, "private or unknown SOP class with pixels"
        )


def _jpeg_frame(
    image: DicomImage, index: int, limits: Limits, at_least: int | None, photometric: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    frame = get_frame(image.dataset.PixelData, index, number_of_frames=image.frames)
    header = jpeg.read_header(frame)
    if (header.rows, header.columns) != (image.rows, image.columns):
        raise ImageFailure(
            Stage.DECODE,
            FailureReason.HEADER_CONTRADICTS_PIXELS,
            f"stream {header.columns}x{header.rows}, header {image.columns}x{image.rows}",
        )
    decoded = raster.decode(frame, FileFormat.JPEG, limits, at_least, photometric)
    return decoded.pixels, decoded.flags


def _native_frame(image: DicomImage, index: int) -> tuple[np.ndarray, tuple[str, ...]]:
    dataset = image.dataset
    allocated = _number(dataset, "BitsAllocated")
    expected = (
        image.rows * image.columns * image.frames * _samples_per_pixel(dataset) * allocated / 8
    )
    if len(dataset.PixelData) < expected:
        raise ImageFailure(
            Stage.DECODE,
            FailureReason.HEADER_CONTRADICTS_PIXELS,
            f"{len(dataset.PixelData)} bytes of pixel data; the header needs {int(expected)}",
        )
    pixels, _ = get_decoder(UID(image.transfer_syntax_uid)).as_array(dataset, index=index)
    stored = _number(dataset, "BitsStored", default=allocated)
    if pixels.dtype == np.uint8 and stored == 8:
        return pixels, ()
    scaled = np.clip(pixels.astype(np.float32) * (255.0 / (2**stored - 1)), 0, 255)
    return np.rint(scaled).astype(np.uint8), ("was_16bit",)


def _samples_per_pixel(dataset: Dataset) -> float:
    """Stored samples a pixel; YBR_FULL_422 shares chroma between two pixels (PS3.3 C.7.6.3)."""
    subsampled = _text(dataset, "PhotometricInterpretation") == "YBR_FULL_422"
    return 2 if subsampled else _number(dataset, "SamplesPerPixel")


def _attributes(dataset: Dataset, sop_class: str | None) -> dict[str, str | None]:
    return {
        "study_instance_uid": _text(dataset, "StudyInstanceUID"),
        "series_instance_uid": _text(dataset, "SeriesInstanceUID"),
        "sop_instance_uid": _text(dataset, "SOPInstanceUID"),
        "sop_class_uid": sop_class,
        "modality": _text(dataset, "Modality"),
        "acquisition_datetime": _acquisition_datetime(dataset),
        "anatomic_region": _anatomic_region(dataset),
        "laterality": _text(dataset, "ImageLaterality") or _text(dataset, "Laterality"),
        "lesion_id": _text(dataset, "TrackingUID"),
        "manufacturer": _text(dataset, "Manufacturer"),
        "manufacturer_model_name": _text(dataset, "ManufacturerModelName"),
    }


def _anatomic_region(dataset: Dataset) -> str | None:
    sequence = dataset.get("AnatomicRegionSequence") or []
    meaning = _text(sequence[0], "CodeMeaning") if len(sequence) else None
    return meaning or _text(dataset, "BodyPartExamined")


def _acquisition_datetime(dataset: Dataset) -> str | None:
    for value in _datetime_candidates(dataset):
        if value and (iso := _iso_datetime(value)):
            return iso
    return None


def _datetime_candidates(dataset: Dataset) -> Iterator[str | None]:
    yield _text(dataset, "AcquisitionDateTime")
    for kind in ("Acquisition", "Content", "Study"):
        date, time = _text(dataset, f"{kind}Date"), _text(dataset, f"{kind}Time")
        yield f"{date}{time}" if date and time else date
        yield date


def _iso_datetime(value: str) -> str | None:
    """`YYYYMMDDHHMMSS.FFFFFF&ZZXX` (PS3.5, DT) as ISO 8601, to the precision given; else None."""
    match = _DATETIME.match(value.strip())
    if match is None or not match[1] >= "0001":
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    if not ("01" <= (month or "01") <= "12" and "01" <= (day or "01") <= "31"):
        return None
    if not ((hour or "00") <= "23" and (minute or "00") <= "59" and (second or "00") <= "60"):
        return None
    date = "-".join(part for part in (year, month, day) if part)
    time = ":".join(part for part in (hour, minute, second) if part)
    return date + (f"T{time}" if time else "") + (f".{fraction}" if fraction else "") + (zone or "")


def _text(dataset: Dataset, keyword: str) -> str | None:
    """A value as text; None when absent, empty, or not readable as text."""
    try:
        value = dataset.get(keyword)
        text = "" if value is None else str(value).strip().strip("\x00")
    except Exception:  # a malformed value costs itself, never the image
        return None
    return text or None


def _number(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    try:
        value = dataset.get(keyword)
        if value is not None and str(value) != "":
            return int(value)
    except Exception as error:
        raise _failure(FailureReason.DICOM_INVALID, f"{keyword} is not a number") from error
    if default is None:
        raise _failure(FailureReason.DICOM_INVALID, f"no {keyword}")
    return default


def _failure(reason: FailureReason, detail: str) -> ImageFailure:
    return ImageFailure(Stage.IDENTIFY, reason, detail)
