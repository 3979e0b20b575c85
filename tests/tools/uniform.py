"""What `nearly_uniform` costs: `python -m tests.tools.uniform FOLDER...`. Counts in folders of
pictures.

Prints, for each folder, how many pictures are flagged or unscored as one colour, and their names.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from batch.archive.reader import read_image
from batch.core.errors import FailureReason, ImageFailure
from batch.demo.lesions import lesion_image
from batch.images.uniform import NEARLY_UNIFORM, uniformity_flags

THREADS, ROUNDS = 2, 1000


def judge(path: Path) -> str | None:
    """The flag or the reason; None for an ordinary picture, or one that cannot be read at all."""
    try:
        flags = read_image(path).record.flags
    except ImageFailure as failure:
        return failure.reason if failure.reason == FailureReason.ONE_COLOUR else None
    return NEARLY_UNIFORM if NEARLY_UNIFORM in flags else None


def microseconds() -> float:
    """Of processor time that the rule takes for an ordinary picture, median."""
    pixels, found = lesion_image(1, 180, 180), []
    for _ in range(ROUNDS):
        start = time.thread_time()
        uniformity_flags(pixels)
        found.append(time.thread_time() - start)
    return float(np.median(found)) * 1e6


def main(folders: Iterable[str]) -> int:
    for folder in folders:
        paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        with ThreadPoolExecutor(THREADS) as pool:
            judged = dict(zip(paths, pool.map(judge, paths), strict=True))
        told = {path: word for path, word in judged.items() if word}
        print(f"{folder}: {len(told)} of {len(paths)}")
        for path, word in told.items():
            print(f"  {word}: {path.name}")
    print(f"the rule takes {microseconds():.0f} microseconds an image")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
