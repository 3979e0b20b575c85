"""The generated archive: deterministic, varied, and valid where it means to be."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from batch.core.errors import UsageError
from batch.demo.archive import MARKER, prepare_folder, write_archive
from batch.demo.lesions import lesion_image


def digests(root):
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    write_archive(tmp_path / "one", seed=7)
    write_archive(tmp_path / "two", seed=7)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert len(digests(tmp_path / "one")) == 23


def test_another_seed_gives_other_images(tmp_path):
    write_archive(tmp_path / "one", seed=7)
    write_archive(tmp_path / "two", seed=8)
    one, two = digests(tmp_path / "one"), digests(tmp_path / "two")
    assert one.keys() == two.keys()
    assert one["photographs/lesion-0.jpg"] != two["photographs/lesion-0.jpg"]


@pytest.mark.parametrize(("height", "width"), [(180, 180), (37, 211)])
def test_an_image_has_the_size_asked_for_and_is_in_colour(height, width):
    pixels = lesion_image(1, height, width)
    assert pixels.shape == (height, width, 3)
    assert pixels.dtype == np.uint8
    assert np.ptp(pixels.astype(int), axis=2).mean() > 10


def test_a_folder_with_somebody_elses_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UsageError, match="is not empty"):
        prepare_folder(tmp_path)


def test_the_demonstration_may_be_repeated(tmp_path):
    write_archive(prepare_folder(tmp_path / "demo"))
    write_archive(prepare_folder(tmp_path / "demo"))
    assert (tmp_path / "demo" / MARKER).exists()


def test_the_second_visit_shows_the_same_lesion(tmp_path):
    import pydicom

    write_archive(tmp_path)
    first, second = (
        pydicom.dcmread(tmp_path / f"dicom/patient-1/visit-{visit}/lesion-1.dcm")
        for visit in (1, 2)
    )
    assert first.TrackingUID == second.TrackingUID
    assert first.StudyInstanceUID != second.StudyInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
