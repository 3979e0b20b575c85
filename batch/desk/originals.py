"""Pictures that the desk hands out: those that were made for the page, and the originals."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from batch.archive.access import open_archive
from batch.archive.pictures import jpeg, read_picture
from batch.core.errors import ImageFailure
from batch.core.location import Place, whole_path
from batch.desk.night import DeskNight

FOLDER = "pictures"
FULL_SIDE = 65535
"""The longest side of a JPEG; an original is not made smaller for less."""
_NAME = re.compile(r"[0-9a-f]{8,64}(-\d{1,6})?\.(jpg|png|webp)")
_KINDS = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
_MOST_BYTES = 64 * 1024**2


class NoPicture(Exception):
    """There is none to show. The message is for a person and quotes no value."""


def stored_picture(reports: Path, name: str) -> tuple[bytes, str]:
    """A picture of `REPORTS/pictures/` and its media type.

    Raises:
        NoPicture: no such name, or no such file.
    """
    if not _NAME.fullmatch(name):
        raise NoPicture("No such picture.")
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(os.open(reports / FOLDER / name, flags), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_BYTES:
                raise NoPicture("No such picture.")
            return file.read(_MOST_BYTES), _KINDS[name.rpartition(".")[2]]
    except OSError as error:
        raise NoPicture("No such picture.") from error


def original(night: DeskNight, image_id: str, archive: Place | None, side: int) -> bytes:
    """An image of a listed lesion as a JPEG, read again from the archive and decoded apart.

    Args:
        archive: None for where the night found it. side: pixels of the longer side, at most.

    Raises:
        NoPicture: not listed, not to be shown, or not to be read any more.
    """
    listed = night.images.get(image_id)
    where = archive or night.archive
    if listed is None or where is None:
        raise NoPicture("No such image on this night's list.")
    if listed.is_burned_in and not night.has_patient_ids:
        raise NoPicture(
            "Text is burned into this image. It is shown only where the night was scored with "
            "--identifiers full."
        )
    place = whole_path("--archive", where) if isinstance(where, Path) else where
    try:
        picture = read_picture(open_archive(place), listed.address, night.limits, side)
        return jpeg(picture.pixels, _MOST_BYTES)
    except ImageFailure as failure:
        words = failure.reason.replace("_", " ")
        raise NoPicture(f"The image cannot be read: {words}.") from failure
