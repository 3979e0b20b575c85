"""Changes of a made-up worklist: a lesion, its images, files without a score, pictures."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from PIL import Image

from batch.review.page.pictures import PagePicture, PagePictures
from batch.review.worklist.contract import ReviewWorklist


def changed(worklist: ReviewWorklist, row: int = 0, **cells: Any) -> ReviewWorklist:
    """The worklist with other values in one lesion."""
    lesions = worklist.lesions.copy()
    for column, value in cells.items():
        lesions.at[row, column] = value
    return dataclasses.replace(worklist, lesions=lesions)


def with_images(worklist: ReviewWorklist, row: int = 0, **columns: Any) -> ReviewWorklist:
    """The worklist with other values in the images of one lesion, `sha256:0`, `sha256:1` and so on.

    Args:
        columns: lists of one length, which is how many images the lesion then has.
    """
    key = worklist.lesions["lesion_key"][row]
    first = worklist.images[worklist.images["lesion_key"] == key].iloc[0]
    count = len(next(iter(columns.values())))
    mine = worklist.images.loc[[first.name] * count].copy()
    mine["image_id"] = [f"sha256:{number}" for number in range(count)]
    for column, values in columns.items():
        mine[column] = values
    rest = worklist.images[worklist.images["lesion_key"] != key]
    images = pd.concat([mine, rest], ignore_index=True)
    return dataclasses.replace(worklist, images=images)


def with_dates(worklist: ReviewWorklist, scores: Iterable[float], row: int = 0) -> ReviewWorklist:
    """One lesion with an image a month, from January 2026, with these scores."""
    told = list(scores)
    days = [f"2026-{number + 1:02d}-01T10:00:00" for number in range(len(told))]
    found = with_images(worklist, row, melanoma_score=told, acquisition_datetime=days)
    return changed(found, row, max_score=max(told), image_count=len(told))


def with_unread_file(
    worklist: ReviewWorklist, row: int, path: str, reason: str = "decode_failed"
) -> ReviewWorklist:
    """The worklist with a file of one lesion among those that could not be read."""
    file = {
        **worklist.unreadable.iloc[0].to_dict(),
        "path": path, "reason": reason, "lesion_key": worklist.lesions["lesion_key"][row],
    }  # fmt: skip
    files = pd.concat([worklist.unreadable, pd.DataFrame([file])], ignore_index=True)
    return dataclasses.replace(worklist, unreadable=files)


def only(worklist: ReviewWorklist, *tiers: str) -> ReviewWorklist:
    """The worklist with the lesions of these tiers."""
    lesions = worklist.lesions[worklist.lesions["tier"].isin(tiers)].reset_index(drop=True)
    return dataclasses.replace(worklist, lesions=lesions)


def coloured(name: str, width: int = 800, height: int = 600) -> PagePicture:
    """A picture within the page, of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), name).save(buffer, "PNG")
    uri = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return PagePicture("", uri, width, height)


def pictures_of(
    by_image: Mapping[str, PagePicture], prefix: str = "", **named: Any
) -> PagePictures:
    """Pictures of these images, without attention and with none withheld, unless told."""
    return PagePictures(
        prefix, by_image, **{"attention": {}, "withheld": frozenset(), **named}
    )  # fmt: skip
