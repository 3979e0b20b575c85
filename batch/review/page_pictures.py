"""The pictures of a night's page: which images are shown, which files are made, what is missing.

Files are made once and stay from night to night. What goes wrong here costs pictures and nothing
else: a disk without room for them has room for the page.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from batch.archive.local import ArchiveStorage
from batch.core.config import ReviewOptions
from batch.core.rules import Limits
from batch.model.classifier import Classifier
from batch.reports.local import LocalReports
from batch.reports.picture_folder import NoRoom
from batch.review.page import attention, pictures
from batch.review.page.pictures import PagePicture, PagePictures, Request, Source
from batch.review.parts import part
from batch.review.worklist.contract import ReviewWorklist, Status

STOPPED_EARLY = "left out, since the run was stopped early"
_DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Pictures:
    """Where pictures come from. limits: of a file. model: opens the model that
    scored, and tells its melanoma column; asked only with `explain`. on_phase: told which kind is
    being made. goes_on: asked before each picture, whether there is time for it.
    """

    archive: ArchiveStorage
    limits: Limits
    model: Callable[[], tuple[Classifier, int]]
    on_phase: Callable[[str], None] = lambda _: None
    goes_on: Callable[[], bool] = lambda: True


@dataclass(frozen=True)
class PicturePlace:
    """Where the files are kept, and who asks.

    prefix: from the page to the files. identifiers: level of the night, None where it does not
    tell.
    """

    reports: LocalReports
    prefix: str
    identifiers: str | None


@dataclass
class _Found:
    """by_image: by image_id. made: names of files of this run. unreadable: images without one."""

    by_image: dict[str, PagePicture] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    unreadable: int = 0

    def take(self, results: Iterable[tuple[Request, PagePicture | None]]) -> int:
        """Take pictures as they are made; how many requests were answered."""
        answered = 0
        for request, picture in results:
            answered += 1
            if picture is None:
                self.unreadable += 1
                continue
            self.made.append(picture.name)
            self.by_image |= dict.fromkeys(request.image_ids, picture)
        return answered


def page_pictures(
    place: PicturePlace,
    worklist: ReviewWorklist,
    options: ReviewOptions,
    source: Pictures | None,
    failed: dict[str, str],
    why_none: str = STOPPED_EARLY,
) -> tuple[PagePictures, dict[str, Any]]:
    """What a page shows of its images, and the same in numbers for run.json.

    Args:
        worklist: as the page holds it. source: None where nothing can be read; files that are there
            are shown all the same. failed: takes what is missing and why. why_none: why there is no
            source.
    """
    images = pictures.listed(worklist.lesions, worklist.images)
    hidden = pictures.withheld(images, place.identifiers)
    found, prefix, grids = _Found(), "", dict[str, list[list[float]]]()
    if options.pictures:
        wanted = pictures.requests(images, hidden)
        with part("pictures", failed):
            make = _inside if options.single_file else _as_files
            make(place, wanted, source, found, failed, why_none)
        if found.by_image and not options.single_file:
            prefix = place.prefix
    if options.explain and source is None:
        failed["attention"] = why_none
    elif options.explain and source is not None:
        source.on_phase("attention")
        with part("attention", failed):
            shown = images[~images["image_id"].isin(list(hidden))]
            grids |= dict(_grids(_first(worklist, shown, options.explain), source))
    told = {
        "shown": len(found.by_image),
        "made": len(found.made),
        "unreadable": found.unreadable,
        "withheld": len(hidden),
    }
    shown_hidden = hidden if options.pictures else frozenset()
    return PagePictures(prefix, found.by_image, grids, shown_hidden), told


def _as_files(
    place: PicturePlace,
    wanted: list[Request],
    source: Pictures | None,
    found: _Found,
    failed: dict[str, str],
    why_none: str,
) -> None:
    """Show the files that are there, and make those that are not.

    Raises:
        OSError: a file cannot be kept; those that were kept before are found.
    """
    there, missing = pictures.there_already(wanted, place.reports.picture_names())
    found.by_image |= there
    if not missing:
        return
    if source is None:
        failed["pictures"] = f"{len(missing)} {why_none}"
        return
    source.on_phase("pictures")
    try:
        answered = found.take(pictures.made_as_files(_source(source), missing, place.reports))
    except NoRoom:
        raise
    except OSError as error:
        if error.errno in _DISK_IS_FULL:  # a quota: what was made tonight makes room for the page
            _take_back(place.reports, found)
        raise
    _tell_rest(len(missing) - answered, failed)


def _inside(
    place: PicturePlace,
    wanted: list[Request],
    source: Pictures | None,
    found: _Found,
    failed: dict[str, str],
    why_none: str,
) -> None:
    """Make pictures within the page."""
    if not wanted:
        return
    if source is None:
        failed["pictures"] = f"{len(wanted)} {why_none}"
        return
    source.on_phase("pictures")
    answered = found.take(pictures.made_inside(_source(source), wanted))
    if not source.goes_on():
        _tell_rest(len(wanted) - answered, failed)


def _take_back(reports: LocalReports, found: _Found) -> None:
    made = set(found.made)
    reports.drop_pictures(made)
    found.by_image = {key: each for key, each in found.by_image.items() if each.name not in made}
    found.made.clear()


def _tell_rest(left: int, failed: dict[str, str]) -> None:
    if left:
        failed["pictures"] = f"{left} left out, since no time was left for them"


def _source(given: Pictures) -> Source:
    return Source(given.archive, given.limits, given.goes_on)


def _grids(images: pd.DataFrame, source: Pictures) -> Iterator[tuple[str, list[list[float]]]]:
    classifier, melanoma = source.model()
    addresses = pictures.addresses(images)
    yield from attention.attention_grids(
        source.archive, addresses, source.limits, classifier, melanoma
    )


def _first(worklist: ReviewWorklist, images: pd.DataFrame, lesions: int) -> pd.DataFrame:
    """Images of the first lesions that ask for a look."""
    asked = worklist.lesions[worklist.lesions["status"] != Status.REVIEWED]
    return images[images["lesion_key"].isin(list(asked["lesion_key"].head(lesions)))]
