"""Finds judged images that the model was trained on, by its split.csv: by digest and by name.

An archive may hold a training image with other bytes and a longer name. So a training name counts
if it occurs as whole words in the name of a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from batch.core.errors import UsageError
from batch.model.artifact import bundled_model_ids, find_artifact

FEWEST_CHARACTERS = 6
"""A shorter training name, or one without a digit, counts only as the whole name of a file."""

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class OwnImages:
    """The images of an artifact's split.csv.

    trained: digests of training images.
    judging: digests of validation and test images.
    trained_names: names of training images; empty if the table has no names.
    """

    trained: frozenset[str]
    judging: frozenset[str]
    trained_names: frozenset[str]


def own_images(folder: Path) -> OwnImages | None:
    """Read split.csv of an artifact; None if there is none, or it has no digests.

    Raises:
        UsageError: it is no CSV.
    """
    file = folder / "split.csv"
    if not file.is_file():
        return None
    try:
        table = pd.read_csv(file, dtype=str)
    except (OSError, ValueError) as error:  # errors of pandas are subclasses of ValueError
        raise UsageError(
            f"--model: {file} cannot be read; allowed: the CSV that `train` wrote. Copy the "
            "artifact again."
        ) from error
    if not {"content_sha256", "split"} <= set(table):
        return None
    trained = table[table["split"] == "train"]
    judging = table[table["split"].isin(["validation", "test"])]
    return OwnImages(
        frozenset(trained["content_sha256"].dropna()),
        frozenset(judging["content_sha256"].dropna()),
        frozenset(trained["image"].dropna()) if "image" in table else frozenset(),
    )


def own_images_at_hand(model: str | None, model_sha256: str) -> OwnImages | None:
    """The images of `model`, else of the bundled artifact with these weights; None if unknown."""
    if model is not None:
        return own_images(find_artifact(model).folder)
    for name in bundled_model_ids():
        artifact = find_artifact(name)
        if artifact.manifest.model_sha256 == model_sha256:
            return own_images(artifact.folder)
    return None


def named_as_trained(paths: Iterable[str], names: Iterable[str]) -> np.ndarray:
    """Which files have the name of a training image, as their whole name or as words in it.

    Words are runs of letters and digits; other characters and the case of letters do not matter.

    Args:
        paths: N, with `/`.
        names: of training images, without extension.

    Returns:
        (N,) bool.
    """
    training_names = set(names)
    words = {
        tuple(_WORD.findall(name.casefold()))
        for name in training_names
        if len(name) >= FEWEST_CHARACTERS and any(letter.isdigit() for letter in name)
    }
    lengths = sorted({len(name) for name in words} - {0})
    stems = [PurePosixPath(path).stem for path in paths]
    return np.array([stem in training_names or _has(stem, words, lengths) for stem in stems], bool)


def trained_on(judged: pd.DataFrame, own: OwnImages | None) -> dict[str, int] | None:
    """Numbers of judged images that the model was trained on; None if unknown.

    Returns:
        `by_digest`: with the same bytes. `by_name`: named like a training image. `images`: either.
    """
    if own is None:
        return None
    by_digest = judged["content_sha256"].isin(own.trained).to_numpy(bool)
    by_name = named_as_trained(judged["path"], own.trained_names)
    counts = {"by_digest": by_digest, "by_name": by_name, "images": by_digest | by_name}
    return {name: int(is_trained.sum()) for name, is_trained in counts.items()}


def _has(stem: str, names: set[tuple[str, ...]], lengths: list[int]) -> bool:
    words = _WORD.findall(stem.casefold())
    return any(
        tuple(words[start : start + length]) in names
        for length in lengths
        for start in range(len(words) - length + 1)
    )
