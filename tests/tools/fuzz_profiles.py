"""Damaged colour profiles by the thousand: `python -m tests.tools.fuzz_profiles --mutants 2000
--seed 0`.

Each mutant of a good profile is tried as an image's profile is: in the watched process, and built
here when it passed. Prints the outcomes counted and the slowest; the exit code is 1 where a profile
ended or held up the watched process. Profiles in the folders named are mutated, too.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from batch.core.errors import ImageFailure
from batch.core.rules import Limits
from batch.demo.lesions import lesion_image
from batch.images.colour_profiles import conversion_to_srgb
from tests.support import icc
from tests.tools.fuzz import mutate

PIXELS = lesion_image(1, 180, 180)
LIMITS = Limits(decode_seconds=20)
BASES = {
    "matrix": icc.profile(icc.ADOBE_RGB),
    "matrix of version 2": icc.profile(icc.DISPLAY_P3, version=2),
    "table": icc.table_profile(b"RGB ", 3),
    "table of inks": icc.table_profile(),
}


def outcome(profile: bytes, mode: str) -> str:
    """The flag, or the reason of a failure; what passed must convert."""
    try:
        conversion = conversion_to_srgb(profile, LIMITS, mode)
    except ImageFailure as failure:
        return failure.reason.value
    if mode == "RGB":
        converted = conversion.convert(PIXELS)
        assert (converted.shape, converted.dtype) == (PIXELS.shape, np.uint8)
    return conversion.flag or "sRGB"


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("folders", metavar="FOLDER", type=Path, nargs="*")
    words.add_argument("--mutants", metavar="N", type=int, default=2000)
    words.add_argument("--seed", metavar="N", type=int, default=0)
    options = words.parse_args()
    bases = dict(BASES)
    for folder in options.folders:
        bases |= {str(path): path.read_bytes() for path in folder.rglob("*.ic[cm]")}
    chance, counts, slowest = random.Random(options.seed), Counter[str](), 0.0
    for _ in range(options.mutants):
        name = chance.choice(sorted(bases))
        mutant = mutate(bases[name], chance)
        mode = "CMYK" if bases[name][16:20] == b"CMYK" else "RGB"
        start = time.monotonic()
        found = outcome(mutant, mode)
        slowest = max(slowest, time.monotonic() - start)
        counts[found] += 1
        if found.startswith("decoder_"):
            print(f"{found}: a mutant of {name}", flush=True)
    for found, count in counts.most_common():
        print(f"{count:8} {found}")
    print(f"{options.mutants} mutants of {len(bases)} profiles, slowest {slowest:.1f} s")
    return int(any(found.startswith("decoder_") for found in counts))


if __name__ == "__main__":
    sys.exit(main())
