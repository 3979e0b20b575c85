"""The date of a photograph, by EXIF DateTimeOriginal alone, and its camera."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from batch.archive.reader import FileContent, raster_frames
from batch.core.rules import ReadingRules
from batch.images.exif import exif_camera, exif_date
from batch.images.formats import FileFormat

PIXELS = np.random.default_rng(1).integers(0, 256, (200, 200, 3), np.uint8)


def exif_with(value, tag=0x9003) -> Image.Exif:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[tag] = value
    return exif


@pytest.mark.parametrize(
    ("value", "date"),
    [
        ("2025:12:31 08:30:59", "2025-12-31T08:30:59"),
        (" 2025:12:31 08:30:59\0", "2025-12-31T08:30:59"),
        ("1980:01:01 00:00:00", "1980-01-01T00:00:00"),
        ("1979:12:31 23:59:59", None),
        ("0000:00:00 00:00:00", None),
        ("2025:02:30 08:30:59", None),
        ("2025-12-31 08:30:59", None),
        ("    :  :     :  :  ", None),
        ("", None),
    ],
)
def test_a_date_of_the_calendar_is_read(value, date):
    assert exif_date(exif_with(value)) == date


def test_the_day_on_which_a_program_saved_does_not_count():
    exif = exif_with("2025:12:31 08:30:59", 0x9004)
    exif[0x0132] = "2025:12:31 08:30:59"
    assert exif_date(exif) is None


@pytest.mark.parametrize("file_format", [FileFormat.JPEG, FileFormat.PNG, FileFormat.WEBP])
@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_photograph_has_the_date_and_damaged_metadata_cost_nothing(file_format, is_damaged):
    exif = exif_with("2025:12:31 08:30:59").tobytes()
    if is_damaged:
        exif = exif[: len(exif) // 2]
    sink = io.BytesIO()
    Image.fromarray(PIXELS).save(sink, file_format.value, exif=exif)
    content = FileContent("a", sink.getvalue(), "0" * 64, file_format, ReadingRules())
    (result,) = raster_frames(content)
    wanted = None if is_damaged else "2025-12-31T08:30:59"
    assert result.record.acquisition_datetime == result.record.exif_datetime_original == wanted


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "EOS 90D", ("Canon", "EOS 90D")),
        ("Canon", "Canon EOS 90D", ("Canon", "EOS 90D")),
        ("Canon", "Canonet", ("Canon", "Canonet")),
        ("FotoFinder\0\0", " medicam\n800 ", ("FotoFinder", "medicam800")),
        ("", "  ", (None, None)),
        (None, "m" * 65, (None, "m" * 64)),
        (7, "X", (None, "X")),
    ],
)
def test_make_and_model_name_the_camera(make, model, camera):
    exif = Image.Exif()
    for tag, value in ((0x010F, make), (0x0110, model)):
        if value is not None:
            exif[tag] = value
    assert exif_camera(exif) == camera


@pytest.mark.parametrize("file_format", [FileFormat.JPEG, FileFormat.PNG, FileFormat.WEBP])
def test_a_photograph_names_its_camera(file_format):
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Canon", "Canon EOS 90D"
    sink = io.BytesIO()
    Image.fromarray(PIXELS).save(sink, file_format.value, exif=exif.tobytes())
    content = FileContent("a", sink.getvalue(), "0" * 64, file_format, ReadingRules())
    (result,) = raster_frames(content)
    found = result.record.manufacturer, result.record.manufacturer_model_name
    assert found == ("Canon", "EOS 90D")
