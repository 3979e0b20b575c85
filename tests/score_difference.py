"""How much reduced-scale decoding of JPEG changes the score: `python -m tests.score_difference`.

Over the full-resolution originals of MELANOMA_BATCH_DATA, with every bundled model.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from batch.archive import raster
from batch.archive.formats import FileFormat
from batch.archive.limits import Limits
from batch.archive.preprocess import DECODE_AT_LEAST, preprocess
from batch.model.artifact import bundled_model_ids, find_artifact, verify_artifact


def differences(folder: Path, model_id: str) -> tuple[np.ndarray, int]:
    """(N,) absolute differences of the melanoma score, and how many alerts flip."""
    classifier = verify_artifact(find_artifact(model_id))
    output = classifier.manifest.output
    melanoma = output.class_names.index(output.melanoma_class)
    scores = []
    for at_least in (None, DECODE_AT_LEAST):
        images = [
            raster.decode(path.read_bytes(), FileFormat.JPEG, Limits(), at_least)
            for path in sorted(folder.iterdir())
        ]
        pixels = [preprocess(image.pixels, image.rows, image.columns) for image in images]
        scores.append(classifier.scores(np.stack(pixels))[:, melanoma])
    threshold = classifier.manifest.operating_point().threshold
    flips = int(np.sum((scores[0] >= threshold) != (scores[1] >= threshold)))
    return np.abs(scores[0] - scores[1]), flips


def main() -> int:
    folder = os.environ.get("MELANOMA_BATCH_DATA")
    if not folder:
        print("MELANOMA_BATCH_DATA is not set: no originals here", file=sys.stderr)
        return 2
    for model_id in bundled_model_ids():
        found, flips = differences(Path(folder) / "full_resolution" / "images", model_id)
        print(
            f"{model_id}: {len(found)} images, 99th percentile {np.percentile(found, 99):.4f}, "
            f"at most {found.max():.4f}, alerts that flip: {flips}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
