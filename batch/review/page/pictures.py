"""Pictures of the listed images for the page: files beside it, or data: URIs within it.

Each is upright, sRGB, a JPEG without metadata. A file is named by the content of its image and by
the way it is made, so that it is made once, in whatever night the image is listed. An image that
cannot be read has no picture, and its row stays.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from batch.archive.local import ArchiveStorage
from batch.archive.picture_files import PictureFile, PictureForm, read_picture_file
from batch.archive.pictures import ImageAddress
from batch.core.errors import ImageFailure
from batch.core.privacy import Identifiers
from batch.core.rules import Limits
from batch.review.worklist.contract import Tier
from batch.runtime.process import available_cores
from batch.runtime.threads import work_in_order

if TYPE_CHECKING:
    import pandas as pd

AS_FILES = PictureForm(side=2000, least_side=1600, quality=88, max_bytes=1_500_000)
"""Sharp on a screen of 4K, where the page shows one image over the whole of it."""
INSIDE = PictureForm(side=1024, least_side=1024, quality=80, max_bytes=400_000, copies=False)
PAGE_BYTES = 64 * 1024**2
"""Of all pictures within a page. Browsers open such a page within seconds."""

MAKER = "1"
"""Part of every name: to be raised with every change of what a picture looks like."""
BURNED_IN = "burned_in_annotation"

_DIGITS_OF_DIGEST, _DIGITS_OF_SIDE = 26, 3


@dataclass(frozen=True, eq=False)
class PagePicture:
    """A picture of the page. name: of its file, empty for one within the page. uri: data: URI of
    one within the page, else empty. width, height: in pixels.
    """

    name: str
    uri: str
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class PagePictures:
    """What the page shows of images.

    prefix: from the page to the files, ends in `/`; empty for pictures within the page. by_image:
    by image_id. attention: by image_id, 12 rows of 12 shares (0..1) of the largest fall of the
    score's log odds, from the top of the upright picture; a fall of `attention.LEAST_FALL` counts
    as 1 where all are smaller. withheld: image_ids that are not shown, since text is burned in.
    """

    prefix: str
    by_image: Mapping[str, PagePicture]
    attention: Mapping[str, list[list[float]]]
    withheld: frozenset[str]


NO_PICTURES = PagePictures("", {}, {}, frozenset())


class PictureStore(Protocol):
    """Where picture files are kept: the reports."""

    def picture_names(self) -> set[str]:
        """Names of those there are."""

    def keep_picture(self, name: str, data: bytes) -> None:
        """Keep one."""


@dataclass(frozen=True)
class Request:
    """An image that wants a picture. key: begins the name of its file. image_ids: of all rows that
    show it; copies of one file may have several.
    """

    key: str
    address: ImageAddress
    content_sha256: str
    image_ids: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """Where images are read. goes_on: asked before each picture, whether there is time for it."""

    archive: ArchiveStorage
    limits: Limits
    goes_on: Callable[[], bool] = lambda: True


def listed(worklist_lesions: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """The images that the page lists and that are still in the archive."""
    shown = worklist_lesions["lesion_key"][worklist_lesions["tier"] != Tier.BELOW]
    return images[images["file_format"].notna() & images["lesion_key"].isin(list(shown))]


def withheld(images: pd.DataFrame, level: str | None) -> frozenset[str]:
    """The image_ids that are not shown: their headers say that text is burned in, which may be a
    name, and the night was not scored with patients' identifiers.

    Args:
        level: of `--identifiers`.
    """
    if level == Identifiers.FULL:
        return frozenset()
    columns = images["image_id"], images["flags"]
    return frozenset(
        image_id for image_id, flags in zip(*columns, strict=True) if BURNED_IN in (flags or ())
    )


def requests(images: pd.DataFrame, hidden: Collection[str] = ()) -> list[Request]:
    """One request for each different image, in order of first mention.

    Args:
        images: with image_id, path, path_bytes, frame_number and content_sha256 of `IMAGE_COLUMNS`.
        hidden: image_ids that get none.
    """
    found: dict[str, Request] = {}
    columns = (images[name] for name in ("image_id", "content_sha256"))
    for image_id, content, address in zip(*columns, addresses(images), strict=True):
        if not isinstance(content, str) or image_id in hidden:
            continue
        key = _key(content, address.frame_number)
        request = found.setdefault(key, Request(key, address, content))
        request.image_ids.append(image_id)
    return list(found.values())


def addresses(images: pd.DataFrame) -> list[ImageAddress]:
    """Where each row's image lies."""
    numbered = images["frame_number"].notna()
    columns = (images[name] for name in ("image_id", "path", "path_bytes", "frame_number"))
    return [
        ImageAddress(
            os.fsdecode(raw) if isinstance(raw, bytes) else path,
            image_id,
            int(frame) if has_number else None,
        )
        for image_id, path, raw, frame, has_number in zip(*columns, numbered, strict=True)
    ]


def there_already(
    wanted: Iterable[Request], names: Iterable[str]
) -> tuple[dict[str, PagePicture], list[Request]]:
    """Pictures by image_id whose files are among these names, and the requests that have none."""
    by_key = {name[:_DIGITS_OF_DIGEST]: name for name in sorted(names)}
    found: dict[str, PagePicture] = {}
    missing = []
    for request in wanted:
        picture = _named(by_key.get(request.key))
        if picture is None:
            missing.append(request)
        else:
            found |= dict.fromkeys(request.image_ids, picture)
    return found, missing


def made_as_files(
    source: Source, missing: Iterable[Request], store: PictureStore
) -> Iterator[tuple[Request, PagePicture | None]]:
    """Make and keep files; a request and its picture, None where the image cannot be read.

    Raises:
        OSError: a file cannot be kept. DecoderNotStarted: this machine starts no process.
    """

    def make(request: Request) -> PagePicture | None:
        made = _read(source, request, AS_FILES)
        if made is None:
            return None
        name = f"{request.key}{made.width:0{_DIGITS_OF_SIDE}x}{made.height:0{_DIGITS_OF_SIDE}x}.jpg"
        store.keep_picture(name, made.data)
        return PagePicture(name, "", made.width, made.height)

    yield from work_in_order(make, missing, _threads(), source.goes_on)


def made_inside(
    source: Source, wanted: Iterable[Request], page_bytes: int = PAGE_BYTES
) -> Iterator[tuple[Request, PagePicture | None]]:
    """As `made_as_files`, but within the page, until its pictures have `page_bytes`."""

    def make(request: Request) -> PagePicture | None:
        made = _read(source, request, INSIDE)
        if made is None:
            return None
        uri = "data:image/jpeg;base64," + base64.b64encode(made.data).decode("ascii")
        return PagePicture("", uri, made.width, made.height)

    used = 0
    for request, picture in work_in_order(make, wanted, _threads(), source.goes_on):
        used += len(picture.uri) if picture else 0
        if used > page_bytes:
            return
        yield request, picture


def _read(source: Source, request: Request, form: PictureForm) -> PictureFile | None:
    try:
        return read_picture_file(
            source.archive, request.address, request.content_sha256, source.limits, form
        )
    except ImageFailure:
        return None


def _key(content_sha256: str, frame_number: int | None) -> str:
    """What begins a file's name: a digest of the image and of the way it is made."""
    said = f"{MAKER} {AS_FILES} {content_sha256} {frame_number or ''}"
    return hashlib.sha256(said.encode()).hexdigest()[:_DIGITS_OF_DIGEST]


def _named(name: str | None) -> PagePicture | None:
    """A picture by its file's name, whose last digits are width and height: no file is opened for
    them, neither here nor in an object store.
    """
    if name is None:
        return None
    digits = name[_DIGITS_OF_DIGEST:].removesuffix(".jpg")
    width, height = (int(each, 16) for each in (digits[:_DIGITS_OF_SIDE], digits[_DIGITS_OF_SIDE:]))
    return PagePicture(name, "", width, height) if width and height else None


def _threads() -> int:
    """Each waits for a watched process, which takes one core."""
    return max(2, available_cores())
