"""One file, read once: bytes, digest, recognition, frames. Never raises for a file.

The order matters: the digest is taken from the very bytes that are decoded, so a score belongs to
its content whatever happens to the file meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container
from pathlib import Path

from batch.archive.frames import FileContent, FrameResult, as_failure, frames_of, unscored
from batch.archive.inventory import storable_mtime_ns
from batch.archive.storage import ArchiveStorage, LocalArchive
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
from batch.core.records import FileReading, FileState, ImageLocation, ModelInput, Unscored
from batch.core.rules import ReadingRules
from batch.images import formats
from batch.images.formats import FileFormat, is_in_system_folder


def read_file(
    archive: ArchiveStorage,
    location: ImageLocation,
    rules: ReadingRules,
    known: Container[str] = (),
) -> tuple[FileReading, tuple[FrameResult, ...]]:
    """Read a file of the archive and prepare every frame in it.

    Args:
        known: digests (hex SHA-256) of content that was scored before under these very rules: such
            a file is `reused` and not decoded.

    What lies in a folder of the operating system's or the storage's own is not opened at all.

    Returns:
        what the file is, and exactly `FileReading.frames` results, each a ModelInput with pixels
        (180, 180, 3) uint8 or an Unscored.
    """
    if is_in_system_folder(location.path):
        return _settled(location, FileState.NON_IMAGE, NonImageReason.SYSTEM_FOLDER.value), ()
    digest, file_format = None, None
    try:
        data = archive.read(location, rules.limits.file_bytes)
        if data is None:
            return _pending(location, PendingReason.CHANGED_WHILE_READ), ()
        digest = hashlib.sha256(data).hexdigest()
        if digest in known:
            return _settled(location, FileState.REUSED, None, "", digest), ()
        file_format = _recognise(data, location.path)
        results = frames_of(FileContent(location.path, data, digest, file_format, rules))
    except NotAnImage as stated:
        reading = _settled(
            location, FileState.NON_IMAGE, stated.reason.value, stated.detail, digest
        )
        return reading, ()
    except DecoderNotStarted as error:  # the machine's fault: the file waits, and is not blamed
        return _pending(location, PendingReason.DECODER_NOT_STARTED, error.detail), ()
    except Exception as error:  # a file must not end the night, whatever a codec raises for it
        results = (unscored(location.path, as_failure(error), digest),)
    if rules.is_young(location) and any(_may_be_incomplete(result) for result in results):
        return _pending(location, PendingReason.UNREADABLE_AND_YOUNG), ()
    if file_format == FileFormat.DICOM_WITHOUT_PREAMBLE:
        file_format = FileFormat.DICOM
    return FileReading(location, len(results), digest, file_format), results


def read_image(path: Path) -> ModelInput:
    """Read a file that holds one image, through the very path that the job takes.

    Training, evaluation and the golden self-test use it.

    Raises:
        ImageFailure: it has no single image that can be scored. BatchError: no watched process
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
            "`melanoma-batch doctor` tries it; then start again."
        )
    if len(results) == 1 and isinstance(results[0], Unscored):
        raise ImageFailure(results[0].stage, results[0].reason, results[0].detail)
    raise ImageFailure(
        Stage.IDENTIFY, FailureReason.CONTENT_NOT_AN_IMAGE, f"{reading.frames} images in the file"
    )


def _may_be_incomplete(result: FrameResult) -> bool:
    """Whether a file that is still being written could look like this."""
    return isinstance(result, Unscored) and result.reason != FailureReason.NOT_A_REGULAR_FILE


def _pending(location: ImageLocation, reason: PendingReason, detail: str = "") -> FileReading:
    return _settled(location, FileState.PENDING, reason.value, detail)


def _settled(
    location: ImageLocation,
    state: FileState,
    reason: str | None,
    detail: str = "",
    digest: str | None = None,
) -> FileReading:
    return FileReading(location, 0, digest, None, state, reason, detail)


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
