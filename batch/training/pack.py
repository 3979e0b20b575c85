"""The images of a recipe in a few files, to train on a machine that has a GPU and no archive.

    python -m batch.training.pack dermoscopy-lite2 --data DATA --cache CACHE --output FOLDER \
        --hold-out milk10k,acral --hold-out ham10000

FOLDER gets `rows.csv` (source, label, what it allows, split, and a column of splits for every
--hold-out) and `images-*.bin`, the model's inputs as WebP one after another. WebP is lossy: what is
trained on a pack is judged on the files themselves.
"""

from __future__ import annotations

import argparse
import io
import json
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from batch.training.answers import answer
from batch.training.recipes import find_recipe

ROWS, IMAGES = "rows.csv", "images-{}.bin"
SEPARATOR = "|"
"""Between the classes that a label allows."""
_LENGTH = struct.Struct("<I")


def pack(
    table: pd.DataFrame, pixels: np.ndarray, folder: Path, quality: int, most_bytes: int
) -> list[int]:
    """Write rows and images.

    Args:
        table: one row an image, as `prepare_data` gives it, with further columns of splits.
        pixels: (N, 180, 180, 3) uint8. quality: of WebP. most_bytes: of a file of images.

    Returns:
        the sizes of the files of images, in bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    splits = [name for name in table if str(name).startswith("split")]
    rows = table[["source", "label", "group", "judges", "content_sha256", *splits]].assign(
        allowed=table["allowed"].map(SEPARATOR.join)
    )
    rows.to_csv(folder / ROWS, index=False)
    sizes: list[int] = []
    part = io.BytesIO()
    with ThreadPoolExecutor() as pool:
        for data in pool.map(partial(_as_webp, quality=quality), pixels):
            if part.tell() and part.tell() + len(data) + _LENGTH.size > most_bytes:
                sizes.append(_close(part, folder, len(sizes)))
                part = io.BytesIO()
            part.write(_LENGTH.pack(len(data)) + data)
    sizes.append(_close(part, folder, len(sizes)))
    return sizes


def _as_webp(image: np.ndarray, quality: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(image).save(data, "WEBP", quality=quality, method=4)
    return data.getvalue()


def _close(part: io.BytesIO, folder: Path, number: int) -> int:
    (folder / IMAGES.format(number)).write_bytes(part.getvalue())
    return part.tell()


def packed_images(folder: Path) -> Iterator[bytes]:
    """Every image of a pack as WebP, in the order of its rows."""
    number = 0
    while (file := folder / IMAGES.format(number)).exists():
        data = file.read_bytes()
        at = 0
        while at < len(data):
            (length,) = _LENGTH.unpack_from(data, at)
            at += _LENGTH.size
            yield data[at : at + length]
            at += length
        number += 1


def main(words: Sequence[str] | None = None) -> int:
    """One JSON object: images, and the sizes of the files."""
    parser = argparse.ArgumentParser(prog="python -m batch.training.pack")
    parser.add_argument("recipe", metavar="RECIPE")
    parser.add_argument("--data", type=Path, required=True, metavar="DATA")
    parser.add_argument("--cache", type=Path, metavar="FOLDER")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--hold-out", action="append", default=[], metavar="SOURCE,…")
    parser.add_argument("--seed", type=int, default=17, metavar="N")
    parser.add_argument("--quality", type=int, default=80, metavar="N")
    parser.add_argument("--most-megabytes", type=float, default=55, metavar="N")
    options = parser.parse_args(words)

    from batch.training.fit import prepare_data, split_without  # `torch_course` reads packs without

    def made() -> str:
        recipe = find_recipe(options.recipe)
        dataset = prepare_data(recipe, options.data, options.seed, options.cache)
        table = dataset.table
        for sources in options.hold_out:
            held = replace(recipe, hold_out=tuple(sorted(sources.split(","))))
            table[f"split {sources}"] = split_without(held, table, options.seed)
        sizes = pack(
            table, dataset.pixels, options.output, options.quality,
            int(options.most_megabytes * 1e6),
        )  # fmt: skip
        (options.output / "shares.json").write_text(json.dumps(dataset.report["shares"]))
        return json.dumps({"images": len(table), "bytes": sizes})

    return answer(made)


if __name__ == "__main__":
    raise SystemExit(main())
