"""Which images of a list get pictures, what their files are called, and what is made again."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from batch.archive.local import LocalArchive
from batch.core.rules import Limits
from batch.demo.lesions import lesion_image
from batch.reports.local import LocalReports
from batch.review.page import pictures as module
from batch.review.page.pictures import (
    PagePicture,
    Source,
    listed,
    made_as_files,
    made_inside,
    requests,
    there_already,
    withheld,
)
from tests.support.archives import dermoscopic, dicom_bytes

COLUMNS = ("image_id", "path", "path_bytes", "frame_number", "content_sha256")


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write(archive, files: dict[bytes, bytes]) -> pd.DataFrame:
    """Files into the archive, by name; their rows as the worklist has them."""
    rows = []
    for name, data in files.items():
        (path := archive / os.fsdecode(name)).parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        shown = name.decode("utf-8", "backslashreplace")
        raw = name if shown.encode() != name else None
        sha = hashlib.sha256(data).hexdigest()
        rows.append((f"sha256:{sha}", shown, raw, None, sha))
    return pd.DataFrame(rows, columns=list(COLUMNS))


@pytest.fixture
def images(tmp_path) -> pd.DataFrame:
    return write(
        tmp_path / "archive",
        {
            b"a.png": png(lesion_image(1, 1500, 2100)),
            b"visit/caf\xe9.png": png(lesion_image(2, 100, 80)),
            b"c.dcm": dicom_bytes(dermoscopic(lesion_image(3, 90, 120))),
        },
    )


@pytest.fixture
def source(tmp_path) -> Source:
    return Source(LocalArchive(tmp_path / "archive"), Limits())


@pytest.fixture
def reports(tmp_path) -> LocalReports:
    (tmp_path / "reports").mkdir()
    return LocalReports(tmp_path / "reports")


def opened(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_every_image_has_its_file_and_the_name_tells_its_size(source, reports, images):
    found = [picture for _, picture in made_as_files(source, requests(images), reports)]
    shapes = [(1429, 2000, 3), (100, 80, 3), (90, 120, 3)]
    assert [(each.height, each.width, 3) for each in found] == shapes
    for picture, shape in zip(found, shapes, strict=True):
        assert re.fullmatch(r"[0-9a-f]{32}\.jpg", picture.name)
        assert picture.uri == ""
        data = (reports.root / "pictures" / picture.name).read_bytes()
        assert opened(data).shape == shape
        assert len(data) <= 1_500_000
    again, missing = there_already(requests(images), reports.picture_names())
    assert missing == []
    for request, picture in zip(requests(images), found, strict=True):
        (image_id,) = request.image_ids
        assert vars(again[image_id]) == vars(picture)


def test_what_is_there_is_not_missing_and_what_is_foreign_counts_for_nothing(images):
    wanted = requests(images)
    keys = [request.key for request in wanted]
    assert len({*keys}) == 3
    names = {f"{keys[0]}0a0064.jpg", f"{keys[1]}000000.jpg", f"{'f' * 32}.jpg"}
    found, missing = there_already(wanted, names)
    assert [request.key for request in missing] == keys[1:]
    assert [vars(each) for each in found.values()] == [
        vars(PagePicture(f"{keys[0]}0a0064.jpg", "", 160, 100))
    ]


def test_a_name_is_of_content_frame_and_maker_and_of_nothing_else(images, monkeypatch):
    one = images.iloc[[0]]
    name = requests(one)[0].key
    assert requests(one.assign(path="moved.png", image_id="1.2.3"))[0].key == name
    others = {
        requests(one.assign(content_sha256="0" * 64))[0].key,
        requests(one.assign(frame_number=2))[0].key,
        requests(one.assign(frame_number=3))[0].key,
    }
    monkeypatch.setattr(module, "MAKER", "next")
    others.add(requests(one)[0].key)
    monkeypatch.setattr(module, "AS_FILES", module.INSIDE)
    others.add(requests(one)[0].key)
    assert len(others - {name}) == 5


@pytest.mark.parametrize("dtype", [object, "Int64", "float64"])
def test_a_missing_frame_number_may_be_of_any_kind(images, dtype):
    found = requests(images.astype({"frame_number": dtype}))
    assert [each.address.frame_number for each in found] == [None] * 3
    assert found == requests(images)


def test_copies_of_an_image_are_made_once_and_shown_everywhere(source, reports, images):
    double = pd.concat([images, images.assign(image_id=lambda rows: rows["image_id"] + "b")])
    wanted = requests(double)
    assert [len(request.image_ids) for request in wanted] == [2, 2, 2]
    assert len(list(made_as_files(source, wanted, reports))) == 3
    found, _ = there_already(wanted, reports.picture_names())
    assert found.keys() == set(double["image_id"])


def test_what_cannot_be_read_has_no_picture_and_the_rest_stays(tmp_path, source, reports, images):
    os.truncate(tmp_path / "archive" / "a.png", 5000)
    (tmp_path / "archive" / "c.dcm").unlink()
    found = [picture for _, picture in made_as_files(source, requests(images), reports)]
    assert [picture is None for picture in found] == [True, False, True]
    assert reports.picture_names() == {found[1].name}
    assert list(made_as_files(source, [], reports)) == []


def test_an_image_whose_content_is_not_known_gets_none(images):
    assert requests(images.assign(content_sha256=None)) == []
    assert requests(images.assign(content_sha256=np.nan)) == []


def test_when_time_is_up_the_first_are_made(source, reports, images):
    asked = []

    def goes_on() -> bool:
        asked.append(True)
        return len(asked) <= 2

    bounded = Source(source.archive, source.limits, goes_on)
    made = [request for request, _ in made_as_files(bounded, requests(images), reports)]
    assert made == requests(images)[:2]


def test_within_the_page_they_are_smaller_and_no_file_is_made(source, reports, images):
    found = [picture for _, picture in made_inside(source, requests(images))]
    assert [(each.width, each.height) for each in found] == [(1024, 731), (80, 100), (120, 90)]
    for picture in found:
        head, _, body = picture.uri.partition(",")
        assert (picture.name, head) == ("", "data:image/jpeg;base64")
        shape = picture.height, picture.width, 3
        assert opened(base64.b64decode(body, validate=True)).shape == shape
    assert not list(reports.root.iterdir())


def test_a_page_is_bounded_and_the_first_come_first(source, images):
    whole = [picture.uri for _, picture in made_inside(source, requests(images))]
    for taken in range(len(whole) + 1):
        bound = sum(map(len, whole[:taken]))
        found = [picture.uri for _, picture in made_inside(source, requests(images), bound)]
        assert found == whole[:taken]


@pytest.mark.parametrize(
    ("level", "expected"),
    [("full", set()), ("uids", {"b"}), ("none", {"b"}), (None, {"b"}), ("FULL", {"b"})],
)
def test_burned_in_text_is_shown_only_where_identifiers_are(level, expected):
    images = pd.DataFrame(
        {"image_id": ["a", "b", "c"], "flags": [["lossy"], ["burned_in_annotation"], None]}
    )
    assert withheld(images, level) == expected


def test_hidden_images_are_not_even_asked_for(images):
    hidden = {images["image_id"][1]}
    found = [each.image_ids[0] for each in requests(images, hidden)]
    assert found == [images["image_id"][0], images["image_id"][2]]


def test_only_what_the_page_lists_and_the_archive_has_is_wanted():
    lesions = pd.DataFrame({"lesion_key": ["x", "y", "z"], "tier": ["alert", "below", "alert"]})
    images = pd.DataFrame(
        {"lesion_key": ["x", "x", "y", "z"], "file_format": ["jpeg", None, "jpeg", "png"],
         "image_id": ["1", "2", "3", "4"]}
    )  # fmt: skip
    assert list(listed(lesions, images)["image_id"]) == ["1", "4"]
