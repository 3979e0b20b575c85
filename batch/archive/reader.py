"""One file, read once: bytes, digest, recognition, frames, model inputs. Never raises for a file.

The order matters: the digest is taken from the very bytes that are decoded, so a score belongs to
its content whatever happens to the file meanwhile.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from batch.archive import dicom, formats, raster, suspicion
from batch.archive.dicom_frames import decode_frame
from batch.archive.dicom_objects import CODECS
from batch.archive.formats import FileFormat
from batch.archive.inventory import storable_mtime_ns
from batch.archive.limits import Limits
from batch.archive.preprocess import DECODE_AT_LEAST, HEIGHT, preprocess
from batch.archive.rules import ReadingRules
from batch.archive.watched import call_watched
from batch.errors import (
    FailureReason,
    ImageFailure,
    NonImageReason,
    NotAnImage,
    PendingReason,
    Stage,
)
from batch.records import FileReading, FileState, ImageLocation, ImageRecord, ModelInput, Unscored

FrameResult = ModelInput | Unscored


def read_file(
    root: Path, location: ImageLocation, rules: ReadingRules
) -> tuple[FileReading, tuple[FrameResult, ...]]:
    """Read a file of the archive and prepare every frame in it.

    Returns:
        what the file is, and exactly `FileReading.frames` results, each a ModelInput with pixels
        (180, 180, 3) uint8 or an Unscored.
    """
    digest, file_format = None, None
    try:
        data = _read_bytes(root, location, rules.limits)
        if data is None:
            return _settled(location, FileState.PENDING, PendingReason.CHANGED_WHILE_READ.value), ()
        digest = hashlib.sha256(data).hexdigest()
        file_format = _recognise(data, location.path)
        results = _frames(data, file_format, location, digest, rules)
    except NotAnImage as stated:
        reading = _settled(
            location, FileState.NON_IMAGE, stated.reason.value, stated.detail, digest
        )
        return reading, ()
    except Exception as error:  # a file must not end the night, whatever a codec raises for it
        failure = error if isinstance(error, ImageFailure) else _unexpected(error)
        results = (_unscored(location, failure, digest),)
    if file_format == FileFormat.DICOM_WITHOUT_PREAMBLE:
        file_format = FileFormat.DICOM
    return FileReading(location, len(results), digest, file_format), results


def read_image(path: Path) -> ModelInput:
    """Read a file that holds one image, through the very path that the job takes.

    Training, evaluation and the golden self-test use it.

    Raises:
        ImageFailure: it has no single image that can be scored.
    """
    status = path.lstat()
    location = ImageLocation(path.name, status.st_size, storable_mtime_ns(status))
    reading, results = read_file(path.parent, location, ReadingRules())
    if len(results) == 1 and isinstance(results[0], ModelInput):
        return results[0]
    if len(results) == 1 and isinstance(results[0], Unscored):
        raise ImageFailure(results[0].stage, results[0].reason, results[0].detail)
    raise ImageFailure(
        Stage.IDENTIFY, FailureReason.CONTENT_NOT_AN_IMAGE, f"{reading.frames} images in the file"
    )


def _settled(
    location: ImageLocation,
    state: FileState,
    reason: str,
    detail: str = "",
    digest: str | None = None,
) -> FileReading:
    return FileReading(location, 0, digest, None, state, reason, detail)


def _unexpected(error: Exception) -> ImageFailure:
    detail = f"unexpected {type(error).__name__}"
    return ImageFailure(Stage.DECODE, FailureReason.DECODE_FAILED, detail)


def _unscored(
    location: ImageLocation,
    failure: ImageFailure,
    digest: str | None,
    image_id: str | None = None,
    frame_number: int | None = None,
) -> Unscored:
    return Unscored(
        location.path, failure.stage, failure.reason, failure.detail, image_id, frame_number, digest
    )


def _read_bytes(root: Path, location: ImageLocation, limits: Limits) -> bytes | None:
    """The whole file, or None when it changed since it was listed or while it was read."""
    path = os.path.join(root, location.path)
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise _read_failure(_irregular(location))
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):  # swapped between the two calls
                raise _read_failure(FailureReason.NOT_A_REGULAR_FILE)
            if before.st_size > limits.file_bytes:
                raise _read_failure(
                    FailureReason.FILE_TOO_LARGE,
                    f"{before.st_size} bytes; allowed: {limits.file_bytes}",
                )
            data = file.read(limits.file_bytes + 1)
            after = os.fstat(file.fileno())
    except OSError as error:
        raise _read_failure(*_os_reason(error)) from error
    seen = {(s.st_size, storable_mtime_ns(s)) for s in (before, after)}
    if seen != {(location.size, location.mtime_ns)} or len(data) != location.size:
        return None
    return data


def _irregular(location: ImageLocation) -> FailureReason:
    """A folder (trailing `/`) stands in the inventory only because it could not be listed."""
    is_folder = location.path == "" or location.path.endswith("/")
    return FailureReason.NOT_READABLE if is_folder else FailureReason.NOT_A_REGULAR_FILE


def _os_reason(error: OSError) -> tuple[FailureReason, str]:
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE):
        return FailureReason.VANISHED, ""
    if error.errno == errno.ELOOP:
        return FailureReason.NOT_A_REGULAR_FILE, ""
    return FailureReason.NOT_READABLE, errno.errorcode.get(error.errno or 0, "")


def _read_failure(reason: FailureReason, detail: str = "") -> ImageFailure:
    return ImageFailure(Stage.READ, reason, detail)


def _recognise(data: bytes, path: str) -> FileFormat:
    """The format by content; a name that promises an image is never passed over in silence."""
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
    named = "." in path.rsplit("/", 1)[-1]
    if claims_image and (named or file_format == FileFormat.UNKNOWN):
        raise ImageFailure(Stage.IDENTIFY, FailureReason.CONTENT_NOT_AN_IMAGE, file_format.value)
    raise NotAnImage(NonImageReason.OTHER_FILE_TYPE, file_format.value)


def _frames(
    data: bytes,
    file_format: FileFormat,
    location: ImageLocation,
    digest: str,
    rules: ReadingRules,
) -> tuple[FrameResult, ...]:
    """Every frame's result, from here or from the watched process."""
    arguments = (data, file_format, location, digest, rules)
    if file_format in formats.RASTER_FORMATS:
        raster.check_before_opening(data, file_format, rules.limits)
        if suspicion.is_suspicious_raster(data, file_format):
            return _watched(raster_frames, arguments, rules)
        return raster_frames(*arguments)
    image = dicom.identify(data, rules, file_format == FileFormat.DICOM)
    pixel_data = image.dataset.get("PixelData") or b""
    codec = CODECS.get(image.transfer_syntax_uid)
    if not suspicion.is_suspicious_object(codec, pixel_data, image.rows, image.columns):
        return _object_frames(image, location, digest, rules)
    try:
        return _watched(dicom_frames_of, arguments, rules)
    except ImageFailure as failure:  # of the process itself: every frame shares it
        return tuple(
            _unscored(location, failure, digest, *_frame_identity(image, index, digest))
            for index in range(image.frames)
        )


def _watched(
    function: Callable[..., tuple[FrameResult, ...]],
    arguments: tuple[Any, ...],
    rules: ReadingRules,
) -> tuple[FrameResult, ...]:
    limits = rules.limits
    return call_watched(function, arguments, limits.decode_seconds, limits.decoder_bytes)


def raster_frames(
    data: bytes,
    file_format: FileFormat,
    location: ImageLocation,
    digest: str,
    rules: ReadingRules,
) -> tuple[FrameResult, ...]:
    """The one image of a plain file; public because the watched process finds it by name.

    Raises:
        ImageFailure: stage DECODE.
    """
    decoded = raster.decode(data, file_format, rules.limits, DECODE_AT_LEAST)
    record = ImageRecord(
        image_id=f"sha256:{digest}",
        path=location.path,
        content_sha256=digest,
        file_format=file_format.value,
        rows=decoded.rows,
        columns=decoded.columns,
        flags=_with_size_flag(decoded.flags, decoded.rows, decoded.columns),
    )
    return (ModelInput(record, preprocess(decoded.pixels)),)


def dicom_frames_of(
    data: bytes,
    file_format: FileFormat,
    location: ImageLocation,
    digest: str,
    rules: ReadingRules,
) -> tuple[FrameResult, ...]:
    """Every frame of a DICOM object; public because the watched process finds it by name.

    Raises:
        ImageFailure, NotAnImage: of the object as a whole.
    """
    image = dicom.identify(data, rules, file_format == FileFormat.DICOM)
    return _object_frames(image, location, digest, rules)


def _object_frames(
    image: dicom.DicomImage, location: ImageLocation, digest: str, rules: ReadingRules
) -> tuple[FrameResult, ...]:
    return tuple(
        _dicom_frame(image, index, location, digest, rules.limits) for index in range(image.frames)
    )


def _frame_identity(image: dicom.DicomImage, index: int, digest: str) -> tuple[str, int | None]:
    """(image id, frame number) of a frame; the number only where there are several."""
    image_id = image.attributes["sop_instance_uid"] or f"sha256:{digest}"
    if image.frames == 1:
        return image_id, None
    return f"{image_id}#{index + 1}", index + 1


def _dicom_frame(
    image: dicom.DicomImage, index: int, location: ImageLocation, digest: str, limits: Limits
) -> FrameResult:
    """One frame of a DICOM object; what fails costs this frame only."""
    image_id, frame_number = _frame_identity(image, index, digest)
    try:
        pixels, flags = decode_frame(image, index, limits, DECODE_AT_LEAST)
        model_input = preprocess(pixels)
    except Exception as error:
        failure = error if isinstance(error, ImageFailure) else _unexpected(error)
        return _unscored(location, failure, digest, image_id, frame_number)
    record = ImageRecord(
        image_id=image_id,
        path=location.path,
        content_sha256=digest,
        file_format=FileFormat.DICOM.value,
        rows=image.rows,
        columns=image.columns,
        frame_number=frame_number,
        flags=_with_size_flag((*image.flags, *flags), image.rows, image.columns),
        **image.attributes,
    )
    return ModelInput(record, model_input)


def _with_size_flag(flags: tuple[str, ...], rows: int, columns: int) -> tuple[str, ...]:
    upscaled = {"upscaled"} if min(rows, columns) < HEIGHT else set()
    return tuple(sorted({*flags, *upscaled}))
