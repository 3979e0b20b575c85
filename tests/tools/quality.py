"""How many pictures are flagged as they are, and again blurred, darkened and lightened.

    python -m tests.tools.quality FOLDER … [--most 300]

Of every folder so many pictures are drawn by a fixed seed, at any depth. A blur's radius is the
standard deviation of a Gaussian, in pixels of a picture whose longest side is 512. A stop halves or
doubles the light, in linear light. One line of JSON a folder: the share of pictures with each flag,
and the 1st, 2nd and 50th percentile of the sharpness.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from batch.core.rules import Limits, QualityBounds
from batch.evaluation.stress_changes import blurred, exposed
from batch.images import raster
from batch.images.formats import FileFormat
from batch.images.preprocess import DECODE_AT_LEAST, preprocess
from batch.images.quality import Quality, measure_quality, quality_flags

CHANGES = {"as it is": 0, "blur 2": 2, "blur 4": 4, "blur 8": 8, "-2 stops": -2, "-1 stop": -1,
           "+1 stop": 1, "+2 stops": 2}  # fmt: skip


def qualities(path: Path) -> Iterator[Quality]:
    """Of one JPEG, as it is and changed, in the order of `CHANGES`."""
    image = raster.decode(path.read_bytes(), FileFormat.JPEG, Limits(), DECODE_AT_LEAST)
    for name, amount in CHANGES.items():
        pixels = image.pixels
        if name.startswith("blur"):
            pixels = blurred(pixels, amount)
        elif amount:
            pixels = exposed(pixels, amount)
        yield measure_quality(pixels, preprocess(pixels, image.rows, image.columns))


def table_of(paths: list[Path], bounds: QualityBounds) -> dict[str, Any]:
    """Shares of flags by change, and percentiles of the sharpness of what was not changed."""
    with ThreadPoolExecutor(2) as pool:
        rows = list(pool.map(lambda path: list(qualities(path)), paths))
    sharpness = [row[0].sharpness for row in rows]
    flags = {
        name: [quality_flags(row[at], bounds) for row in rows] for at, name in enumerate(CHANGES)
    }
    return {
        "images": len(rows),
        "sharpness": np.percentile(sharpness, [1, 2, 50]).round(2).tolist(),
        "flagged": {
            name: {
                flag: round(sum(flag in one for one in found) / len(found), 4)
                for flag in sorted({flag for one in found for flag in one})
            }
            for name, found in flags.items()
        },
    }


def main() -> int:
    """One line of JSON a folder."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.quality")
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--most", type=int, default=300, metavar="N")
    options = parser.parse_args()
    for folder in options.folders:
        paths = sorted(path for path in folder.rglob("*.jpg") if path.is_file())
        random.Random(1).shuffle(paths)
        found = table_of(paths[: options.most], QualityBounds())
        sys.stdout.write(json.dumps({"folder": folder.name, **found}) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
