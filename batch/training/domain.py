"""Fits the domain reference of an artifact and stores it there.

    python -m batch.training.domain ARTIFACT --data DATA
    python -m batch.training.domain ARTIFACT --dermoscopy FOLDER … --other FOLDER …

Any artifact may have one, also of a wrapped model: it needs sample pictures of the kind that the
model is for, and, to tell what is no dermoscopy, pictures of other kinds. A reference that is there
is replaced. Weights, scores and thresholds stay what they are.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batch.archive.reader import read_image
from batch.core.errors import ArtifactRefused, ImageFailure, NotAnImage, UsageError
from batch.images.preprocess import PREPROCESSING_VERSION
from batch.model.artifact import ModelArtifact, find_artifact, open_model, verify_artifact
from batch.model.classifier import KerasClassifier, feature_layers
from batch.model.domain import DOMAIN_FILE, MOST_BYTES, DomainReference, written
from batch.model.manifest import DomainContract, read_manifest, scoring_fingerprint, write_manifest
from batch.training.answers import answer
from batch.training.descriptions import described
from batch.training.domain_reference import FeatureSet, fit_reference

MOST_IMAGES = 350
"""Of a set. With eight sets and two of other kinds: 3,500 images, on two cores some minutes."""
OTHERS = ("milk10k_clinical", "not_skin")
"""Folders below --data whose pictures are no dermoscopy, where they are there."""
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".dcm"})
_TABLES = ("metadata.csv", "HAM10000_metadata.csv")
_BATCH = 64

Features = Callable[[np.ndarray], np.ndarray]
"""(N, 180, 180, 3) uint8 to (N, F) float32."""


def fit_into(
    artifact: ModelArtifact,
    dermoscopy: Sequence[Path],
    others: Sequence[Path],
    most: int = MOST_IMAGES,
    cache: Path | None = None,
) -> dict[str, Any]:
    """Fit the reference and write it into the artifact, which is checked before and after.

    Args:
        dermoscopy, others: folders of pictures, each a set.
        most: images of a set that are looked at.
        cache: folder that keeps the features of each set; None to keep none.

    Returns:
        facts for the provenance.

    Raises:
        UsageError: a folder without pictures, or too few. ArtifactRefused: the model has no layer
            that gives features, or a check failed.
    """
    verify_artifact(artifact)
    layers, features = feature_function(artifact)
    sets = [
        [feature_set(folder, features, (*layers, artifact.manifest.model_sha256), most, cache)
         for folder in folders]
        for folders in (dermoscopy, others)
    ]  # fmt: skip
    reference = fit_reference(sets[0], sets[1])
    facts = {
        "dermoscopy": {part.name: len(part.lesions) for part in sets[0]},
        "others": {part.name: len(part.lesions) for part in sets[1]},
        "least_score": round(reference.least_score, 4),
        "farthest": round(reference.farthest, 4),
    }
    store(artifact.folder, reference, layers, facts)
    return facts


def store(
    folder: Path, reference: DomainReference, layers: Sequence[str], facts: dict[str, Any]
) -> None:
    """Write `domain.npz` and the manifest that names it, and check the artifact as the job will.

    Raises:
        ArtifactRefused: a check failed. OSError: a file cannot be written.
    """
    data = written(reference)
    if len(data) > MOST_BYTES:
        raise ArtifactRefused(
            DOMAIN_FILE, f"{len(data)} bytes", f"at most {MOST_BYTES}",
            "The model has too many features for a reference.",
        )  # fmt: skip
    manifest = read_manifest(folder)
    contract = DomainContract(tuple(layers), reference.width, hashlib.sha256(data).hexdigest())
    (folder / DOMAIN_FILE).write_bytes(data)
    fresh = dataclasses.replace(manifest, domain=contract)
    provenance = {**manifest.provenance, "domain": facts}
    if isinstance(told := provenance.get("reference"), dict):  # scores stay, so its figures do
        provenance["reference"] = {**told, "scoring_fingerprint": scoring_fingerprint(fresh)}
    write_manifest(dataclasses.replace(fresh, provenance=provenance), folder)
    verify_artifact(ModelArtifact(folder, read_manifest(folder)))


def feature_function(artifact: ModelArtifact) -> tuple[tuple[str, ...], Features]:
    """Names of the layers that give an artifact's features, and a function that computes them.

    Raises:
        ArtifactRefused: the model has no such layer.
    """
    model = open_model(artifact.read_file, artifact.manifest)
    layers = feature_layers(model)
    if not layers:
        raise ArtifactRefused(
            "model.keras", "no layer that gives features", "layers with one output each",
            "A model within a model has none at its top; this artifact goes without a reference.",
        )  # fmt: skip
    classifier = KerasClassifier(model, artifact.manifest, _BATCH, layers=layers)
    return layers, lambda pixels: classifier.scores_and_features(pixels)[1]


def feature_set(
    folder: Path,
    features: Features,
    key: Sequence[str] = (),
    most: int = MOST_IMAGES,
    cache: Path | None = None,
) -> FeatureSet:
    """Features of a folder's pictures, at most so many, the same ones every time.

    Args:
        key: what the features depend on besides the pictures; for the cache.

    Raises:
        UsageError: the folder has no picture that can be read.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    lesions = _lesions(folder)
    named = sorted((_digest(lesion), lesion, path) for path in files
                   for lesion in [lesions.get(path.stem, path.stem)])[:most]  # fmt: skip
    kept = None if cache is None else _kept_file(cache, folder, [*key, *(p for _, p, _ in named)])
    if kept is not None and kept.is_file():
        with np.load(kept, allow_pickle=False) as file:
            return FeatureSet(folder.name, file["features"], file["lesions"].tolist())
    parts, names = [], []
    for start in range(0, len(named), _BATCH):
        read = list(_readable(named[start : start + _BATCH]))
        if read:
            parts.append(features(np.stack([pixels for pixels, _ in read])))
            names += [lesion for _, lesion in read]
    if not parts:
        raise UsageError(f"{folder}: found no picture that can be read; needed: images.")
    found = np.concatenate(parts)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, features=found, lesions=np.array(names))
    return FeatureSet(folder.name, found, names)


def _readable(named: Sequence[tuple[str, str, Path]]) -> Iterator[tuple[np.ndarray, str]]:
    for _, lesion, path in named:
        try:
            yield read_image(path).pixels, lesion
        except (ImageFailure, NotAnImage, OSError):
            continue  # a night would list it without a score, so no bound is for it


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _kept_file(cache: Path, folder: Path, key: Sequence[str]) -> Path:
    named = json.dumps([PREPROCESSING_VERSION, str(folder), *key])
    return cache / f"{folder.name}-{_digest(named)[:16]}.npz"


def _lesions(folder: Path) -> dict[str, str]:
    """Image name to lesion, where a table of the folder knows it."""
    for name in _TABLES:
        if (folder / name).is_file():
            table = pd.read_csv(folder / name, dtype=str)
            image = "image" if "image" in table else "image_id"
            lesion = "lesion" if "lesion" in table else "lesion_id"
            if image in table and lesion in table:
                known = table.dropna(subset=[image, lesion])
                return dict(zip(known[image], known[lesion], strict=True))
    return {}


def folders_of(options: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """Folders of dermoscopy and of other pictures, that the command line names.

    Raises:
        UsageError: there is none, or one is no folder.
    """
    dermoscopy, others = list(options.dermoscopy), list(options.other)
    if options.data is not None:
        dermoscopy += [options.data / name for name in described(options.data)]
        others += [options.data / name for name in OTHERS if (options.data / name).is_dir()]
    for folder in (*dermoscopy, *others):
        if not folder.is_dir():
            raise UsageError(f"found no folder {folder}; needed: a folder of pictures.")
    if not dermoscopy:
        raise UsageError("--dermoscopy or --data: missing; needed: folders of sound dermoscopy.")
    return dermoscopy, others


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that say which pictures."""
    parser.add_argument("artifact", metavar="ARTIFACT", help="bundled id or folder")
    parser.add_argument("--data", type=Path, metavar="DATA", help="folder of the described sources")
    for name, what in (("dermoscopy", "sound dermoscopy"), ("other", "pictures of other kinds")):
        parser.add_argument(
            f"--{name}", type=Path, action="append", default=[], metavar="FOLDER",
            help=f"{what}; may be repeated",
        )  # fmt: skip
    parser.add_argument(
        "--most", type=int, default=MOST_IMAGES, metavar="N", help="images of a set (%(default)s)"
    )
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="keeps features")


def main(words: Sequence[str] | None = None) -> int:
    """One JSON object: pictures by set, and the bounds."""
    parser = argparse.ArgumentParser(prog="python -m batch.training.domain")
    add_options(parser)
    options = parser.parse_args(words)

    def find() -> str:
        dermoscopy, others = folders_of(options)
        artifact = find_artifact(options.artifact)
        return json.dumps(fit_into(artifact, dermoscopy, others, options.most, options.cache))

    return answer(find)


if __name__ == "__main__":
    from batch.runtime.process import import_tensorflow

    import_tensorflow()
    raise SystemExit(main())
