"""What colour profiles do to the score: `python -m tests.tools.colour_profiles`. Prints a table.

The full-resolution originals of MELANOMA_BATCH_DATA: as they are; and written as a camera set to
another colour space writes them (`tests.support.icc`, by the spaces' definitions), JPEG of quality
95 with that profile. Each is read with its profile applied, as this version does, and ignored, as
preprocessing version 3 did, and compared with the original without any profile. With every bundled
model.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from batch.core.rules import Limits
from batch.demo.lesions import lesion_image
from batch.images import raster
from batch.images.colour_profiles import UNCHANGED, conversion_to_srgb
from batch.images.formats import FileFormat
from batch.images.preprocess import DECODE_AT_LEAST, preprocess
from batch.model.artifact import bundled_model_ids, find_artifact, verify_artifact
from tests.support import icc

QUALITY, THREADS, ROUNDS = 95, 2, 200


def model_input(data: bytes, applied: bool) -> np.ndarray:
    """(180, 180, 3) uint8 of a JPEG, with its profile applied or ignored."""
    image = raster.decode(data, FileFormat.JPEG, Limits(), DECODE_AT_LEAST)
    colours = conversion_to_srgb(image.icc_profile, Limits()) if applied else UNCHANGED
    return preprocess(image.pixels, image.rows, image.columns, colours)


def has_profile(data: bytes) -> bool:
    return raster.decode(data, FileFormat.JPEG, Limits(), DECODE_AT_LEAST).icc_profile is not None


def as_it_is(data: bytes) -> bytes:
    return data


def written_in(space: icc.Space) -> Callable[[bytes], bytes]:
    """The picture as a camera would have written it in that space, tagged so."""
    profile = icc.profile(space)

    def write(data: bytes) -> bytes:
        pixels = raster.decode(data, FileFormat.JPEG, Limits()).pixels
        buffer = io.BytesIO()
        Image.fromarray(icc.encoded(pixels, space)).save(
            buffer, "JPEG", quality=QUALITY, subsampling=0, icc_profile=profile
        )
        return buffer.getvalue()

    return write


def milliseconds() -> float:
    """Of processor time that the conversion of one picture takes, median."""
    conversion, pixels = conversion_to_srgb(icc.profile(), Limits()), lesion_image(1, 180, 180)
    found = []
    for _ in range(ROUNDS):
        start = time.thread_time()
        conversion.convert(pixels)
        found.append(time.thread_time() - start)
    return float(np.median(found)) * 1e3


def main() -> int:
    folder = os.environ.get("MELANOMA_BATCH_DATA")
    if not folder:
        print("MELANOMA_BATCH_DATA is not set: no originals here", file=sys.stderr)
        return 2
    originals = [
        path.read_bytes() for path in sorted((Path(folder) / "full_resolution/images").iterdir())
    ]
    print(f"{len(originals)} originals, {sum(map(has_profile, originals))} with a profile; "
          f"a conversion takes {milliseconds():.1f} ms\n")  # fmt: skip
    ways = {"as they are": as_it_is, **{n: written_in(space) for n, space in icc.SPACES.items()}}
    inputs: dict[tuple[str, str], np.ndarray] = {}

    def both(write: Callable[[bytes], bytes]) -> Callable[[bytes], list[np.ndarray]]:
        return lambda data: [model_input(write(data), applied) for applied in (False, True)]

    with ThreadPoolExecutor(THREADS) as pool:
        for name, write in ways.items():
            found = np.stack(list(pool.map(both(write), originals)))
            inputs[name, "ignored"], inputs[name, "applied"] = found[:, 0], found[:, 1]
    print("| model | originals | profile | mean difference | at most | alerts lost | gained |")
    print("|---|---|---|---|---|---|---|")
    for model_id in bundled_model_ids():
        classifier = verify_artifact(find_artifact(model_id))
        output = classifier.manifest.output
        melanoma = output.class_names.index(output.melanoma_class)
        threshold = classifier.manifest.operating_point().threshold
        scores = {way: classifier.scores(pixels)[:, melanoma] for way, pixels in inputs.items()}
        plain = scores["as they are", "ignored"]
        alerts = plain >= threshold
        for (name, profile), found in scores.items():
            apart, now = found - plain, found >= threshold
            print(f"| {model_id} | {name} | {profile} | {apart.mean():+.4f} | "
                  f"{np.abs(apart).max():.4f} | {(alerts & ~now).sum()} of {alerts.sum()} | "
                  f"{(now & ~alerts).sum()} |")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
