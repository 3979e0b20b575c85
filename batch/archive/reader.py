"""Reads a file once: bytes, digest, recognition, frames. A bad file raises nothing.

The digest is taken from the same bytes that are decoded, so a score belongs to its content even if
the file changes meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from batch.archive.local import ArchiveStorage, LocalArchive, storable_mtime_ns
from batch.core.errors import (
    BatchError,
    DecoderNotStarted,
    FailureReason,
    ImageFailure,
    NonImageReason,
    NotAnImage,
    PendingReason,
    Stage,
)
from batch.core.records import (
    KEPT_ATTRIBUTES,
    FileReading,
    FileState,
    ImageLocation,
    ImageRecord,
    ModelInput,
    Unscored,
    device_name,
)
from batch.core.rules import ReadingRules
from batch.images import dicom_image, formats, raster, sandbox, tiff_directory
from batch.images.colour_profiles import conversion_to_srgb
from batch.images.dicom_frames import decode_frame, frame_profile
from batch.images.dicom_kinds import CODECS
from batch.images.formats import FileFormat, is_in_system_folder
from batch.images.preprocess import DECODE_AT_LEAST, HEIGHT, mean_colour, preprocess
from batch.images.quality import is_reliable, measure_quality, quality_flags
from batch.images.sandbox import call_in_sandbox
from batch.images.uniform import uniformity_flags

FrameResult = ModelInput | Unscored


@dataclass(frozen=True, eq=False)
class FileContent:
    """A file that was read.

    path: in the archive.
    data: its bytes.
    sha256: hex digest of data.
    file_format: by content.
    rules: for reading it.
    """

    path: str
    data: bytes
    sha256: str
    file_format: FileFormat
    rules: ReadingRules


def frames_of(content: FileContent) -> tuple[FrameResult, ...]:
    """Decode every frame of a file.

    Raises:
        ImageFailure: the file fails as a whole. NotAnImage: it is a non-image.
        DecoderNotStarted: no process could be started for a decoder or an embedded profile.
    """
    if content.file_format in formats.RASTER_FORMATS:
        raster.check_before_opening(content.data, content.file_format, content.rules.limits)
        if content.file_format == FileFormat.TIFF and formats.name_claims_camera_raw(content.path):
            tiff_directory.refuse_preview(content.data)
        if sandbox.raster_needs_sandbox(content.data, content.file_format):
            return _in_sandbox(raster_frames, content)
        return raster_frames(content)
    image = _identified(content)
    pixel_data = image.dataset.get("PixelData") or b""
    codec = CODECS.get(image.transfer_syntax_uid)
    if not sandbox.object_needs_sandbox(codec, pixel_data, image.rows, image.columns):
        return _frames_of_object(image, content)
    try:
        return _in_sandbox(dicom_frames, content)
    except ImageFailure as failure:  # the process failed, and so every frame
        return tuple(
            _unscored_frame(image, index, content, failure) for index in range(image.frames)
        )


def raster_frames(content: FileContent) -> tuple[FrameResult, ...]:
    """Decode the one image of a photograph. The watched process calls it by its name.

    Raises:
        ImageFailure: stage DECODE; IDENTIFY for a format, or a variant of one, that is not read.
        DecoderNotStarted: no process could be started to try an embedded profile.
    """
    limits = content.rules.limits
    decoded = raster.decode(content.data, content.file_format, limits, DECODE_AT_LEAST)
    colours = conversion_to_srgb(decoded.icc_profile, limits)
    model_input = preprocess(decoded.pixels, decoded.rows, decoded.columns, colours)
    flags = (*decoded.flags, *colours.flags, *uniformity_flags(model_input))
    record = ImageRecord(
        image_id=f"sha256:{content.sha256}",
        path=content.path,
        content_sha256=content.sha256,
        file_format=content.file_format.value,
        rows=decoded.rows,
        columns=decoded.columns,
        flags=_with_size_flag(flags, decoded.rows, decoded.columns),
        acquisition_datetime=decoded.taken_at,
        exif_datetime_original=decoded.taken_at,
        manufacturer=decoded.camera[0],
        manufacturer_model_name=decoded.camera[1],
    )
    record = _with_measures(record, decoded.pixels, model_input, content.rules)
    return (ModelInput(record, model_input),)


def dicom_frames(content: FileContent) -> tuple[FrameResult, ...]:
    """Decode every frame of a DICOM object. The watched process calls it by its name.

    Raises:
        ImageFailure, NotAnImage: for the object as a whole.
        DecoderNotStarted: no process could be started to try an embedded profile.
    """
    return _frames_of_object(_identified(content), content)


def unscored(
    path: str,
    failure: ImageFailure,
    sha256: str | None,
    image_id: str | None = None,
    frame_number: int | None = None,
) -> Unscored:
    """Make the record of a failure, of a whole file or of one frame."""
    kept = {name: failure.attributes.get(name) for name in KEPT_ATTRIBUTES}
    return Unscored(
        path, failure.stage, failure.reason, failure.detail, image_id, frame_number, sha256, **kept
    )


def as_failure(error: Exception) -> ImageFailure:
    """An error as ImageFailure; of an unexpected one only the type is kept, without message."""
    if isinstance(error, ImageFailure):
        return error
    detail = f"unexpected {type(error).__name__}"
    return ImageFailure(Stage.DECODE, FailureReason.DECODE_FAILED, detail)


def _in_sandbox(
    function: Callable[[FileContent], tuple[FrameResult, ...]], content: FileContent
) -> tuple[FrameResult, ...]:
    limits = content.rules.limits
    return call_in_sandbox(function, (content,), limits.decode_seconds, limits.decoder_bytes)


def _identified(content: FileContent) -> dicom_image.DicomImage:
    return dicom_image.identify(
        content.data, content.rules, content.file_format == FileFormat.DICOM
    )


def _frames_of_object(
    image: dicom_image.DicomImage, content: FileContent
) -> tuple[FrameResult, ...]:
    return tuple(_dicom_frame(image, index, content) for index in range(image.frames))


def _dicom_frame(image: dicom_image.DicomImage, index: int, content: FileContent) -> FrameResult:
    """Decode one frame of a DICOM object; an error costs this frame only."""
    image_id, frame_number = _frame_identity(image, index, content)
    limits = content.rules.limits
    try:
        pixels, flags = decode_frame(image, index, limits, DECODE_AT_LEAST)
        profile, colour_flags = frame_profile(image, index)
        colours = conversion_to_srgb(profile, limits)
        model_input = preprocess(pixels, image.rows, image.columns, colours)
        flags = (*image.flags, *flags, *colour_flags, *colours.flags)
        flags += uniformity_flags(model_input)
    except DecoderNotStarted:  # not the file's fault
        raise
    except Exception as error:  # whatever a codec raises, the other frames must not be lost
        return _unscored_frame(image, index, content, as_failure(error))
    attributes: dict[str, Any] = image.attributes
    record = ImageRecord(
        image_id=image_id,
        path=content.path,
        content_sha256=content.sha256,
        file_format=FileFormat.DICOM.value,
        rows=image.rows,
        columns=image.columns,
        frame_number=frame_number,
        flags=_with_size_flag(flags, image.rows, image.columns),
        **attributes,
    )
    return ModelInput(_with_measures(record, pixels, model_input, content.rules), model_input)


def _unscored_frame(
    image: dicom_image.DicomImage, index: int, content: FileContent, failure: ImageFailure
) -> Unscored:
    failure.attributes = image.attributes
    identity = _frame_identity(image, index, content)
    return unscored(content.path, failure, content.sha256, *identity)


def _frame_identity(
    image: dicom_image.DicomImage, index: int, content: FileContent
) -> tuple[str, int | None]:
    """Image id and frame number of a frame; the number is None if there is only one frame."""
    image_id = image.attributes["sop_instance_uid"] or f"sha256:{content.sha256}"
    if image.frames == 1:
        return image_id, None
    return f"{image_id}#{index + 1}", index + 1


def _with_measures(
    record: ImageRecord, pixels: np.ndarray, model_input: np.ndarray, rules: ReadingRules
) -> ImageRecord:
    """The record with what is measured of its picture, and the flags that this gives."""
    red, green, blue = mean_colour(model_input)
    quality = measure_quality(pixels, model_input)
    bounds = rules.quality.of_device(
        device_name(record.manufacturer, record.manufacturer_model_name, record.file_format)
    )
    flags = {*record.flags, *quality_flags(quality, bounds)}
    return replace(
        record,
        mean_red=red,
        mean_green=green,
        mean_blue=blue,
        **vars(quality),
        is_reliable=is_reliable(flags),
        flags=tuple(sorted(flags)),
    )


def _with_size_flag(flags: tuple[str, ...], rows: int, columns: int) -> tuple[str, ...]:
    upscaled = {"upscaled"} if min(rows, columns) < HEIGHT else set()
    return tuple(sorted({*flags, *upscaled}))


def read_file(
    archive: ArchiveStorage,
    location: ImageLocation,
    rules: ReadingRules,
    known: Container[str] = (),
) -> tuple[FileReading, tuple[FrameResult, ...]]:
    """Read a file of the archive and prepare every frame in it.

    Args:
        location: as listed.
        rules: for reading it.
        known: digests (hex SHA-256) of contents that were scored before under the same rules. A
            file with one of them is `reused` and not decoded.

    Returns:
        what the file is, and exactly `FileReading.frames` results, each a ModelInput with pixels
        (180, 180, 3), uint8, or an Unscored. A file in a folder of the operating system or of the
        storage is a non-image and is not opened.
    """
    if is_in_system_folder(location.path):
        return _reading(location, FileState.NON_IMAGE, NonImageReason.SYSTEM_FOLDER.value), ()
    digest, file_format = None, None
    try:
        data = archive.read(location, rules.limits.file_bytes)
        if data is None:
            return _pending(location, PendingReason.CHANGED_WHILE_READ), ()
        digest = hashlib.sha256(data).hexdigest()
        if digest in known:
            return _reading(location, FileState.REUSED, None, "", digest), ()
        file_format = _recognise(data, location.path)
        results = frames_of(FileContent(location.path, data, digest, file_format, rules))
    except NotAnImage as non_image:
        reading = _reading(
            location, FileState.NON_IMAGE, non_image.reason.value, non_image.detail, digest
        )
        return reading, ()
    except DecoderNotStarted as error:  # the machine's fault, not the file's: it waits
        return _pending(location, PendingReason.DECODER_NOT_STARTED, error.detail), ()
    except Exception as error:  # whatever a codec raises, a file must not end the night
        results = (unscored(location.path, as_failure(error), digest),)
    if rules.is_young(location) and any(_may_be_incomplete(result) for result in results):
        return _pending(location, PendingReason.UNREADABLE_AND_YOUNG), ()
    if file_format == FileFormat.DICOM_WITHOUT_PREAMBLE:
        file_format = FileFormat.DICOM
    return FileReading(location, len(results), digest, file_format), results


def read_image(path: Path) -> ModelInput:
    """Read a file that holds one image, with the same code as the job.

    Training, evaluation and the check of the golden images use it.

    Raises:
        ImageFailure: it holds no single image that can be scored. BatchError: no watched process
            could be started to decode it.
    """
    status = path.lstat()
    location = ImageLocation(path.name, status.st_size, storable_mtime_ns(status))
    reading, results = read_file(LocalArchive(path.parent), location, ReadingRules())
    if len(results) == 1 and isinstance(results[0], ModelInput):
        return results[0]
    if reading.reason == PendingReason.DECODER_NOT_STARTED:
        raise BatchError(
            f"a watched process for decoding could not be started ({reading.detail}). "
            "`melanoma-batch doctor` shows whether it works; then start again."
        )
    if len(results) == 1 and isinstance(results[0], Unscored):
        raise ImageFailure(results[0].stage, results[0].reason, results[0].detail)
    raise ImageFailure(
        Stage.IDENTIFY, FailureReason.CONTENT_NOT_AN_IMAGE, f"{reading.frames} images in the file"
    )


def _may_be_incomplete(result: FrameResult) -> bool:
    """Whether a result may come from a file that is still being written."""
    return isinstance(result, Unscored) and result.reason != FailureReason.NOT_A_REGULAR_FILE


def _pending(location: ImageLocation, reason: PendingReason, detail: str = "") -> FileReading:
    return _reading(location, FileState.PENDING, reason.value, detail)


def _reading(
    location: ImageLocation,
    state: FileState,
    reason: str | None,
    detail: str = "",
    digest: str | None = None,
) -> FileReading:
    return FileReading(location, 0, digest, None, state, reason, detail)


def _recognise(data: bytes, path: str) -> FileFormat:
    """The format by content. A file whose name claims an image becomes unscored, not non-image."""
    claims_image = formats.name_claims_image(path)
    if not data:
        if claims_image:
            raise ImageFailure(Stage.IDENTIFY, FailureReason.EMPTY_FILE)
        raise NotAnImage(NonImageReason.OTHER_FILE_TYPE, "empty")
    file_format = formats.sniff(data[: formats.HEAD_BYTES])
    if file_format == FileFormat.UNSUPPORTED_IMAGE:
        raise ImageFailure(Stage.IDENTIFY, FailureReason.UNSUPPORTED_FORMAT)
    if file_format not in (FileFormat.OTHER, FileFormat.TEXT, FileFormat.UNKNOWN):
        return file_format
    has_ending = "." in path.rsplit("/", 1)[-1]
    if claims_image and (has_ending or file_format == FileFormat.UNKNOWN):
        raise ImageFailure(Stage.IDENTIFY, FailureReason.CONTENT_NOT_AN_IMAGE, file_format.value)
    raise NotAnImage(NonImageReason.OTHER_FILE_TYPE, file_format.value)
