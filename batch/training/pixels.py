"""The pixels of many images, decoded once: a file that is mapped, not memory that is filled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from batch.archive.reader import read_image
from batch.images.preprocess import CHANNELS, HEIGHT, PREPROCESSING_VERSION, WIDTH

_PIXELS = "pixels"


def digests(files: Sequence[str], data: Path) -> list[str]:
    """SHA-256 of each file, as the job's `content_sha256`; nothing is decoded."""
    return [hashlib.sha256((data / file).read_bytes()).hexdigest() for file in files]


def read_pixels(
    files: Sequence[str], contents: Sequence[str], data: Path, cache: Path | None = None
) -> np.ndarray:
    """(N, 180, 180, 3) uint8, as the job would see these files.

    Args:
        contents: the files' digests. cache: folder that keeps the pixels. They are used again as
            long as the same contents are wanted under the same preprocessing version; else they
            are written anew.
    """
    shape = (len(files), HEIGHT, WIDTH, CHANNELS)
    if cache is None:
        return _fill(np.empty(shape, np.uint8), files, data)

    def write(file: Path) -> None:
        mapped = np.lib.format.open_memmap(file, "w+", np.uint8, shape)
        _fill(mapped, files, data)
        mapped.flush()

    return _kept(cache, _PIXELS, contents, write)


def kept_array(
    cache: Path | None, name: str, contents: Sequence[str], compute: Callable[[], np.ndarray]
) -> np.ndarray:
    """What was computed of these contents' pixels before, or is now, and kept in `cache`."""
    if cache is None:
        return compute()
    return _kept(cache, name, contents, lambda file: np.save(file, compute()))


def _kept(
    cache: Path, name: str, contents: Sequence[str], write: Callable[[Path], None]
) -> np.ndarray:
    key = {"preprocessing_version": PREPROCESSING_VERSION, "contents": list(contents)}
    file, stated = cache / f"{name}.npy", cache / f"{name}.json"
    if not (stated.exists() and json.loads(stated.read_text(encoding="utf-8")) == key):
        stated.unlink(missing_ok=True)
        cache.mkdir(parents=True, exist_ok=True)
        write(file)
        stated.write_text(json.dumps(key), encoding="utf-8")  # last: it says that all is there
    return np.load(file, mmap_mode="r")


def _fill(pixels: np.ndarray, files: Sequence[str], data: Path) -> np.ndarray:
    for row, file in enumerate(files):
        pixels[row] = read_image(data / file).pixels
    return pixels
