"""Archives to measure on: real originals where MELANOMA_BATCH_DATA is set, else generated ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from batch.demo.dicom_writer import jpeg_bytes
from batch.demo.lesions import lesion_image
from batch.images.preprocess import HEIGHT, WIDTH, preprocess
from tests.tools.decoders import KINDS, pictures

SIZES = ((542, 722), (768, 1024), (1200, 1600), (1424, 2144), (1944, 2592), (2304, 3072))
"""(height, width) of the originals, smallest to largest, for generated ones."""
PER_FOLDER = 500


def originals(folder: Path, count: int) -> Path:
    """Full-resolution JPEG photographs, each file a hard link to one of some."""
    return _linked(folder, _sources("full_resolution/images", folder, _large), count)


def different(folder: Path, count: int) -> Path:
    """As `originals`, but no two files have the same content: a number stands behind each one's
    end, where no decoder looks.
    """
    sources = [path.read_bytes() for path in _sources("full_resolution/images", folder, _large)]
    for number in range(count):
        path = folder / f"{number // PER_FOLDER:04d}" / f"{number:07d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sources[number % len(sources)] + b"%07d" % number)
    return folder


def small(folder: Path, count: int) -> Path:
    """JPEGs of 180×180: the model's own size, so nothing is to be scaled."""
    return _linked(folder, _stored(folder, _small()), count)


def dicom(folder: Path, kind: str, count: int) -> Path:
    """The same pictures in one of the encodings of `tests.tools.decoders`."""
    store = folder.with_name(folder.name + "-store")
    store.mkdir(parents=True)
    paths = []
    for number, pixels in enumerate(pictures()):
        paths.append(store / f"{number}.dcm")
        paths[-1].write_bytes(KINDS[kind](pixels))
    return _linked(folder, paths, count)


def _sources(below: str, folder: Path, generate: Callable[[], list[bytes]]) -> list[Path]:
    data = os.environ.get("MELANOMA_BATCH_DATA")
    if data:
        return sorted((Path(data) / below).rglob("*.jpg"))
    return _stored(folder, generate())


def _stored(folder: Path, contents: Sequence[bytes]) -> list[Path]:
    store = folder.with_name(folder.name + "-store")
    store.mkdir(parents=True)
    for number, content in enumerate(contents):
        (store / f"{number}.jpg").write_bytes(content)
    return sorted(store.iterdir())


def _large() -> list[bytes]:
    return [jpeg_bytes(lesion_image(n, *SIZES[n % len(SIZES)])) for n in range(24)]


def _small() -> list[bytes]:
    data = os.environ.get("MELANOMA_BATCH_DATA")
    if not data:
        return [jpeg_bytes(lesion_image(n, HEIGHT, WIDTH)) for n in range(200)]
    found = sorted((Path(data) / "full_resolution/images").rglob("*.jpg"))
    return [jpeg_bytes(preprocess(_pixels(path))) for path in found]


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _linked(folder: Path, sources: Sequence[Path], count: int) -> Path:
    """`count` files; a link is made where the file system allows it, else a copy of each."""
    for number in range(count):
        source = sources[number % len(sources)]
        path = folder / f"{number // PER_FOLDER:04d}" / f"{number:07d}{source.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, path)
        except OSError:  # another file system, or one that may only be read
            path.write_bytes(source.read_bytes())
    return folder
