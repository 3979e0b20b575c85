"""How fast each kind of file is read: `python -m tests.tools.decoders`. A table of ratios in one
run.

The same pictures in every encoding, read by two threads as the pipeline reads them, from the bytes
on disk to the model's input. The originals of MELANOMA_BATCH_DATA when set, else generated ones.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from batch.archive import reader
from batch.archive.local import LocalArchive, list_archive
from batch.core.rules import Limits, ReadingRules
from batch.demo import dicom_writer
from batch.demo.lesions import lesion_image
from batch.images import raster, sandbox
from batch.images.formats import FileFormat
from tests.support import encoded
from tests.support.archives import dermoscopic, dicom_bytes

IMAGES, ROUNDS, THREADS = 24, 3, 2


def pictures() -> list[np.ndarray]:
    """Some full-resolution images, (h, w, 3) uint8."""
    data = os.environ.get("MELANOMA_BATCH_DATA")
    if not data:
        return [lesion_image(seed, 1200, 1600) for seed in range(IMAGES)]
    paths = sorted((Path(data) / "full_resolution" / "images").iterdir())
    chosen = paths[:: max(1, len(paths) // IMAGES)][:IMAGES]
    decoded = (raster.decode(p.read_bytes(), FileFormat.JPEG, Limits()).pixels for p in chosen)
    return [np.ascontiguousarray(pixels) for pixels in decoded]  # encoders ask for that


def _saved(kind: str, pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def _dicom(make: Callable[[np.ndarray], object], pixels: np.ndarray) -> bytes:
    return dicom_bytes(make(pixels))


KINDS: dict[str, Callable[[np.ndarray], bytes]] = {
    "JPEG": dicom_writer.jpeg_bytes,
    "JPEG in DICOM": partial(_dicom, partial(dermoscopic, jpeg=True)),
    "native DICOM": partial(_dicom, dermoscopic),
    "JPEG 2000 lossless": partial(_dicom, encoded.LOSSLESS["jpeg 2000"]),
    "JPEG 2000 lossy": partial(_dicom, encoded.LOSSY["jpeg 2000 lossy"]),
    "JPEG-LS": partial(_dicom, encoded.LOSSLESS["jpeg-ls"]),
    "JPEG lossless": partial(_dicom, encoded.LOSSLESS["jpeg lossless"]),
    "RLE": partial(_dicom, encoded.LOSSLESS["rle"]),
    "JPEG XL": encoded.jpeg_xl_bytes,
    "PNG": partial(_saved, "PNG"),
    "TIFF": partial(_saved, "TIFF"),
    "WebP": partial(_saved, "WEBP", quality=90),
}


def rate(root: Path) -> float:
    """Images a second, median of some rounds; every file must give an input."""
    rules, archive, found = ReadingRules(), LocalArchive(root), list(list_archive(root))
    rates = []
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(ROUNDS + 1):  # the first one starts watched processes and fills the cache
            start = time.perf_counter()
            results = list(pool.map(lambda item: reader.read_file(archive, item, rules)[1], found))
            rates.append(len(found) / (time.perf_counter() - start))
            assert all(hasattr(result, "pixels") for frames in results for result in frames)
    return float(np.median(rates[1:]))


def main() -> int:
    images = pictures()
    print(f"{len(images)} pictures, {np.mean([i.shape[0] * i.shape[1] for i in images]) / 1e6:.1f} "
          f"megapixels on average, {THREADS} threads, median of {ROUNDS} rounds\n")  # fmt: skip
    print("| kind | images/s | against JPEG | unwatched |\n|---|---|---|---|")
    reference = None
    watched_rule = sandbox.raster_needs_sandbox, sandbox.object_needs_sandbox
    for kind, encode in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            for number, pixels in enumerate(images):
                (Path(folder) / f"{number}.img").write_bytes(encode(pixels))
            found = rate(Path(folder))
            sandbox.raster_needs_sandbox = lambda *_: False
            sandbox.object_needs_sandbox = lambda *_: False
            here = rate(Path(folder))
            sandbox.raster_needs_sandbox, sandbox.object_needs_sandbox = watched_rule
        reference = reference or found
        print(f"| {kind} | {found:.1f} | {found / reference:.2f} | {here:.1f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
