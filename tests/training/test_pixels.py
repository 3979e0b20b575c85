"""The cache of decoded images: the job's own pixels, decoded again when anything differs."""

from __future__ import annotations

import json

import numpy as np
import pytest

from batch.archive.reader import read_image
from batch.demo.dicom_writer import jpeg_bytes
from batch.demo.lesions import lesion_image
from batch.training import pixels
from batch.training.pixels import digests, kept_array, read_pixels


@pytest.fixture
def data(tmp_path):
    for seed in range(3):
        (tmp_path / f"{seed}.jpg").write_bytes(jpeg_bytes(lesion_image(seed, 90, 120)))
    return tmp_path


FILES = ["0.jpg", "1.jpg", "2.jpg"]


def test_digests_and_pixels_are_the_jobs(data, tmp_path):
    contents = digests(FILES, data)
    inputs = [read_image(data / file) for file in FILES]
    assert contents == [one.record.content_sha256 for one in inputs]
    for cache in (None, tmp_path / "cache", tmp_path / "cache"):  # the third time from the file
        found = read_pixels(FILES, contents, data, cache)
        np.testing.assert_array_equal(found, [one.pixels for one in inputs])


def test_what_is_kept_is_not_decoded_again(data, tmp_path, monkeypatch):
    contents = digests(FILES, data)
    first = np.array(read_pixels(FILES, contents, data, tmp_path / "cache"))
    monkeypatch.setattr(pixels, "read_image", lambda path: pytest.fail("decoded again"))
    np.testing.assert_array_equal(read_pixels(FILES, contents, data, tmp_path / "cache"), first)


def test_another_content_or_preprocessing_or_a_broken_write_is_decoded_anew(data, tmp_path):
    cache, contents = tmp_path / "cache", digests(FILES, data)
    read_pixels(FILES, contents, data, cache)
    (data / "1.jpg").write_bytes(jpeg_bytes(lesion_image(9, 90, 120)))
    changed = read_pixels(FILES, digests(FILES, data), data, cache)
    np.testing.assert_array_equal(changed[1], read_image(data / "1.jpg").pixels)
    for spoil in (
        lambda stated: stated | {"preprocessing_version": "2"},
        lambda stated: stated | {"contents": stated["contents"][::-1]},
    ):
        file = cache / "pixels.json"
        np.save(cache / "pixels.npy", np.zeros_like(changed))
        file.write_text(json.dumps(spoil(json.loads(file.read_text()))))
        found = read_pixels(FILES, digests(FILES, data), data, cache)
        np.testing.assert_array_equal(found, changed)
    (cache / "pixels.json").unlink()  # the run was killed while it wrote
    np.save(cache / "pixels.npy", np.zeros_like(changed))
    found = read_pixels(FILES, digests(FILES, data), data, cache)
    np.testing.assert_array_equal(found, changed)


def test_what_is_computed_of_them_is_kept_by_their_contents(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return np.arange(3)

    for contents in (["a"], ["a"], ["b"]):
        assert kept_array(tmp_path, "hashes", contents, compute).tolist() == [0, 1, 2]
    assert len(calls) == 2
    kept_array(None, "hashes", ["a"], compute)
    assert len(calls) == 3
