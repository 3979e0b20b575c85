"""Drop the pictures that no page of a kept night shows any more.

A page names its pictures; what it names is found in its text, whatever version wrote it. A picture
younger than a day stays: a list that is being made just now may show it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from batch.core.errors import UsageError
from batch.reports.local import LocalReports
from batch.reports.picture_folder import PICTURES
from batch.review.inputs import WORKLIST

YOUNG = timedelta(hours=24)
PAGE = f"{WORKLIST}.html"

_NAME = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
_NO_PAGES_HERE = frozenset({"runs", PICTURES, "logs", ".in-progress"})


@dataclass(frozen=True)
class PrunedPictures:
    """files: removed, or to be removed. bytes: their size."""

    files: int
    bytes: int


def prune_pictures(
    reports: LocalReports, kept_nights: Iterable[Path], dry_run: bool = False
) -> PrunedPictures:
    """Remove pictures; call it under the lock of the reports.

    Args:
        reports: with object storage, the copy brought up to date. kept_nights: folders of the
            nights whose pages stay whole. dry_run: tell, and remove nothing.

    Raises:
        UsageError: a page cannot be read, so that it is in doubt what it shows, or the folder of
            the pictures cannot be; nothing was removed then.
    """
    before = datetime.now(UTC) - YOUNG
    try:
        old = reports.pictures_before(before)
        if not old:
            return PrunedPictures(0, 0)
        shown = _shown(reports, kept_nights)
        doomed = {name: size for name, size in old.items() if name not in shown}
        if not dry_run:
            reports.drop_unfinished_pictures(before)
            reports.drop_pictures(doomed)
    except OSError as error:
        raise UsageError(
            f"REPORTS: cannot look through the pages and {PICTURES}/ of {reports.place} "
            f"({error.strerror or error}). Check owner and permissions; prune again then."
        ) from error
    return PrunedPictures(len(doomed), sum(doomed.values()))


def _shown(reports: LocalReports, nights: Iterable[Path]) -> set[str]:
    """Names of the pictures that these nights' pages show, and the lists made anew."""
    pages = [*(night / PAGE for night in nights), *_lists_made_anew(reports.root)]
    found: set[str] = set()
    for page in pages:
        found |= names_in(page)
    stored = reports.list_made_anew(PAGE)
    return found | _names(stored or b"")


def names_in(page: Path) -> set[str]:
    """Names of the pictures in a page; none where there is no page.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return _names(page.read_bytes())
    except FileNotFoundError:
        return set()


def _names(text: bytes) -> set[str]:
    return {f"{digits.decode('ascii')}.jpg" for digits in _NAME.findall(text)}


def _lists_made_anew(root: Path) -> Iterator[Path]:
    """Pages of `worklist` within the reports; no link is followed.

    Raises:
        OSError: a folder cannot be looked into.
    """

    def stop(error: OSError) -> None:
        raise error

    for folder, below, names in os.walk(root, onerror=stop):
        if Path(folder) == root:
            below[:] = [name for name in below if name not in _NO_PAGES_HERE]
        if PAGE in names:
            yield Path(folder) / PAGE
