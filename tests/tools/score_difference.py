"""How much two ways to the model's input change the score: `python -m
tests.tools.score_difference`.

Reduced-scale decoding of JPEG against the full decode, over the full-resolution originals of
MELANOMA_BATCH_DATA; and our resize against Pillow's, over these and every tenth image of HAM10000.
With every bundled model.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from batch.core.rules import Limits
from batch.images import raster
from batch.images.formats import FileFormat
from batch.images.preprocess import DECODE_AT_LEAST, HEIGHT, WIDTH, preprocess
from batch.model.artifact import bundled_model_ids, find_artifact, verify_artifact


def prepared(paths: Sequence[Path], at_least: int | None) -> np.ndarray:
    """(N, 180, 180, 3) uint8, as the job prepares them when it may decode down to at_least."""
    images = [
        raster.decode(path.read_bytes(), FileFormat.JPEG, Limits(), at_least) for path in paths
    ]
    return np.stack([preprocess(image.pixels, image.rows, image.columns) for image in images])


def by_pillow(paths: Sequence[Path]) -> np.ndarray:
    """(N, 180, 180, 3) uint8, decoded in full and resized by Pillow."""
    images = [raster.decode(path.read_bytes(), FileFormat.JPEG, Limits()).pixels for path in paths]
    size, rule = (WIDTH, HEIGHT), Image.Resampling.BILINEAR
    return np.stack([np.asarray(Image.fromarray(pixels).resize(size, rule)) for pixels in images])


def differences(one: np.ndarray, other: np.ndarray, model_id: str) -> tuple[np.ndarray, int]:
    """(N,) absolute differences of the melanoma score, and how many alerts flip."""
    classifier = verify_artifact(find_artifact(model_id))
    output = classifier.manifest.output
    melanoma = output.class_names.index(output.melanoma_class)
    scores = [classifier.scores(pixels)[:, melanoma] for pixels in (one, other)]
    threshold = classifier.manifest.operating_point().threshold
    flips = int(np.sum((scores[0] >= threshold) != (scores[1] >= threshold)))
    return np.abs(scores[0] - scores[1]), flips


def reduced_and_full(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The originals in a folder, decoded at reduced scale and in full."""
    paths = sorted(folder.iterdir())
    return prepared(paths, DECODE_AT_LEAST), prepared(paths, None)


def ours_and_pillows(folder: Path, every: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of a folder, resized by us and by Pillow."""
    paths = sorted(folder.iterdir())[::every]
    return prepared(paths, None), by_pillow(paths)


def main() -> int:
    data = os.environ.get("MELANOMA_BATCH_DATA")
    if not data:
        print("MELANOMA_BATCH_DATA is not set: no originals here", file=sys.stderr)
        return 2
    originals, ham = Path(data) / "full_resolution" / "images", Path(data) / "ham10000" / "images"
    questions: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
        "decoded at reduced scale and in full": partial(reduced_and_full, originals),
        "resized by us and by Pillow": partial(ours_and_pillows, originals, 1),
        "resized by us and by Pillow, HAM10000": partial(ours_and_pillows, ham, 10),
    }
    for question, ask in questions.items():
        one, other = ask()
        apart = np.abs(one.astype(int) - other)
        print(f"{question}: {len(one)} images, {np.mean(apart > 0):.2%} of the samples differ, "
              f"by at most {apart.max()}")  # fmt: skip
        for model_id in bundled_model_ids():
            found, flips = differences(one, other, model_id)
            print(f"  {model_id}: 99th percentile {np.percentile(found, 99):.4f}, at most "
                  f"{found.max():.4f}, alerts that flip: {flips}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
