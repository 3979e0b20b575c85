"""One file, read once: bytes, digest, recognition, frames. Never raises for a file.

The order matters: the digest is taken from the very bytes that are decoded, so a score belongs to
its content whatever happens to the file meanwhile.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

from batch.archive import formats
from batch.archive.formats import FileFormat
from batch.archive.frames import FileContent, FrameResult, as_failure, frames_of, unscored
from batch.archive.inventory import storable_mtime_ns
from batch.archive.limits import Limits
from batch.archive.rules import ReadingRules
from batch.errors import (
    FailureReason,
    ImageFailure,
    NonImageReason,
    NotAnImage,
    PendingReason,
    Stage,
)
from batch.records import FileReading, FileState, ImageLocation, ModelInput, Unscored


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
        results = frames_of(FileContent(location.path, data, digest, file_format, rules))
    except NotAnImage as stated:
        reading = _settled(
            location, FileState.NON_IMAGE, stated.reason.value, stated.detail, digest
        )
        return reading, ()
    except Exception as error:  # a file must not end the night, whatever a codec raises for it
        results = (unscored(location.path, as_failure(error), digest),)
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
