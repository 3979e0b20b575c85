"""An artifact on disk: found by id or folder, and checked before the first file is read.

The digest is compared before the model is opened; everything else that could make the score of
tonight another score than the one that was evaluated is compared after.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from batch.core.config import DEFAULT_BATCH_SIZE
from batch.core.errors import ArtifactRefused, UsageError
from batch.core.records import Canary
from batch.core.text import did_you_mean
from batch.model.classifier import KerasClassifier, load_model
from batch.model.golden import check_golden
from batch.model.manifest import (
    MANIFEST_FILE,
    MODEL_FILE,
    TRAIN_AGAIN,
    ModelManifest,
    check_manifest,
    contract_digest,
    read_manifest,
)
from batch.runtime.process import freeze_imports

ReadModel = Callable[[], bytes]
"""Gives the content of a model file, or raises OSError."""


@dataclass(frozen=True)
class ModelArtifact:
    """A folder with model.keras, manifest.json, MODEL_CARD.md and golden/."""

    folder: Path
    manifest: ModelManifest

    def read_model(self) -> bytes:
        """The model file's bytes.

        Raises:
            OSError: it cannot be read.
        """
        return (self.folder / MODEL_FILE).read_bytes()


def bundled_model_ids() -> list[str]:
    """Ids of the artifacts that this installation ships."""
    root = Path(str(files("model_artifacts")))
    return sorted(path.parent.name for path in root.glob(f"*/{MANIFEST_FILE}"))


def find_artifact(id_or_folder: str) -> ModelArtifact:
    """Locate an artifact by bundled id or by folder, and check what needs no model.

    Raises:
        UsageError: neither an id nor a folder. ArtifactRefused: the manifest breaks the contract.
    """
    bundled = Path(str(files("model_artifacts"))) / id_or_folder
    is_bundled = id_or_folder in bundled_model_ids()
    folder = bundled if is_bundled else Path(id_or_folder)
    if not folder.is_dir():
        raise UsageError(
            f"--model: no model {id_or_folder!r}; allowed: a folder with {MANIFEST_FILE}, or "
            f"{', '.join(bundled_model_ids())}.{did_you_mean(id_or_folder, bundled_model_ids())}"
        )
    manifest = read_manifest(folder)
    check_manifest(manifest)
    return ModelArtifact(folder.resolve(), manifest)


def open_model(read: ReadModel, manifest: ModelManifest) -> Any:
    """Load the model file after its digest was compared, and check its shapes.

    Raises:
        ArtifactRefused: digest, input shape, output width or rescaling differ from the manifest.
    """
    # what is opened are the bytes that were compared, whatever happens to the file meanwhile
    data = _judged_model(read, manifest)
    try:
        with tempfile.TemporaryDirectory(prefix="melanoma-batch-") as private:
            path = Path(private) / MODEL_FILE
            path.write_bytes(data)
            model = load_model(path)
    except OSError as error:
        raise UsageError(
            f"TMPDIR: cannot copy the model ({len(data)} bytes) to {tempfile.gettempdir()} "
            f"({error.strerror}). Free space, or set TMPDIR to another folder."
        ) from error
    _check_shapes(model, manifest)
    _check_rescaling(model, manifest)
    return model


def _judged_model(read: ReadModel, manifest: ModelManifest) -> bytes:
    """The model file's bytes, if they are those that were judged."""
    try:
        data = read()
    except OSError as error:
        raise ArtifactRefused(MODEL_FILE, "no readable file", "a file", TRAIN_AGAIN) from error
    if (digest := hashlib.sha256(data).hexdigest()) != manifest.model_sha256:
        raise ArtifactRefused(
            "model_sha256",
            digest,
            manifest.model_sha256,
            "The file is not the one that was judged.",
        )
    return data


_LOADED: dict[tuple[str, str, int], KerasClassifier] = {}
_LOADING = threading.Lock()


def shared_classifier(read: ReadModel, manifest: ModelManifest, batch_size: int) -> KerasClassifier:
    """The classifier of an artifact, loaded once a process and shared by its threads.

    The digests in the key make a swapped artifact a different one, wherever its file lies.

    Args:
        read: gives the model file; it is asked once, and its answer's digest is compared.
    """
    return _shared_classifier(read, manifest, batch_size)[0]


def _shared_classifier(
    read: ReadModel, manifest: ModelManifest, batch_size: int
) -> tuple[KerasClassifier, bool]:
    """And whether it was opened just now."""
    key = (manifest.model_sha256, contract_digest(manifest), batch_size)
    with _LOADING:
        if key in _LOADED:
            return _LOADED[key], False
        with freeze_imports():
            _LOADED[key] = KerasClassifier(open_model(read, manifest), manifest, batch_size)
        return _LOADED[key], True


def verify_artifact(
    artifact: ModelArtifact, batch_size: int = DEFAULT_BATCH_SIZE
) -> KerasClassifier:
    """All start-up checks, golden self-test included; the classifier that passed them.

    Raises:
        ArtifactRefused: names the field.
    """
    return self_test(artifact, batch_size)[0]


def self_test(artifact: ModelArtifact, batch_size: int) -> tuple[KerasClassifier, Canary]:
    """As `verify_artifact`, and what the golden images measured."""
    read, manifest = artifact.read_model, artifact.manifest
    classifier, is_new = _shared_classifier(read, manifest, batch_size)
    if not is_new:  # one that was opened before says nothing of the file as it is now
        _judged_model(read, manifest)
    canary = check_golden(artifact.folder, classifier)
    _check_seal(artifact.manifest)
    return classifier, canary


def check_files(artifact: ModelArtifact) -> None:
    """What can be checked without opening the model: digests. For a night with nothing to score.

    Raises:
        ArtifactRefused: names the field.
    """
    _judged_model(artifact.read_model, artifact.manifest)
    _check_seal(artifact.manifest)


def _check_seal(manifest: ModelManifest) -> None:
    if contract_digest(manifest) != manifest.contract_sha256:
        raise ArtifactRefused(
            "contract_sha256",
            manifest.contract_sha256,
            contract_digest(manifest),
            "Classes, scaling, thresholds or golden scores were edited after they were measured.",
        )


def _check_shapes(model: Any, manifest: ModelManifest) -> None:
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ArtifactRefused(
            "model.keras",
            f"{len(model.inputs)} inputs and {len(model.outputs)} outputs",
            "one image in, one vector out",
            "Wrap the model so that it takes the image alone.",
        )
    contract = manifest.input
    wanted = (None, contract.height, contract.width, contract.channels)
    found = tuple(model.inputs[0].shape)
    if found != wanted:
        raise ArtifactRefused("input", f"model input {found}", wanted, "Correct the manifest.")
    classes = 1 if manifest.output.kind == "sigmoid" else len(manifest.output.class_names)
    width = tuple(model.outputs[0].shape)
    if width != (None, classes):
        raise ArtifactRefused(
            "output.class_names",
            f"model output {width}",
            (None, classes),
            "Name every output once.",
        )


def _check_rescaling(model: Any, manifest: ModelManifest) -> None:
    """A Rescaling layer that the manifest denies would scale twice, and the reverse not at all."""
    has_layer = any(type(layer).__name__ == "Rescaling" for layer in _layers(model))
    claims = manifest.input.rescaling_in_model
    if has_layer and not claims:
        raise ArtifactRefused(
            "input.rescaling_in_model",
            "false, but the model has a Rescaling layer",
            "true",
            "Values would be scaled twice; correct the manifest.",
        )


def _layers(model: Any) -> Iterator[Any]:
    """Every layer, those of nested models included."""
    for layer in getattr(model, "layers", ()):
        yield layer
        yield from _layers(layer)
