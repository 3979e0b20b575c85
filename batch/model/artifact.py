"""A model artifact on disk: how it is found, opened and checked before the first file is read.

The digest is compared before the model is opened. Everything else that could change a score since
the model was evaluated is checked afterwards.
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
from batch.model.domain import DOMAIN_FILE, FIT_AGAIN, DomainReference, read_reference
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

ReadFile = Callable[[str], bytes]
"""Gives the content of a file of an artifact, by its name, or raises OSError."""


@dataclass(frozen=True)
class ModelArtifact:
    """A folder with model.keras, manifest.json, MODEL_CARD.md, golden/ and perhaps domain.npz."""

    folder: Path
    manifest: ModelManifest

    def read_file(self, name: str) -> bytes:
        """Read a file of the folder, by its name.

        Raises:
            OSError: it cannot be read.
        """
        return (self.folder / name).read_bytes()


def bundled_model_ids() -> list[str]:
    """Ids of the artifacts that are part of this installation."""
    root = Path(str(files("model_artifacts")))
    return sorted(path.parent.name for path in root.glob(f"*/{MANIFEST_FILE}"))


def find_artifact(id_or_folder: str) -> ModelArtifact:
    """Find an artifact by bundled id or folder, and check its manifest.

    Raises:
        UsageError: there is no such id or folder.
        ArtifactRefused: the manifest breaks the contract.
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


def open_model(read: ReadFile, manifest: ModelManifest) -> Any:
    """Compare the digest of the model file, open it, and check its shapes.

    Raises:
        ArtifactRefused: digest, input shape, output width or rescaling differ from the manifest.
        UsageError: there is no space for a temporary copy.
    """
    # open a copy of the compared bytes, since the file may change meanwhile
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


def _judged_model(read: ReadFile, manifest: ModelManifest) -> bytes:
    """The bytes of the model file, if their digest is the manifest's."""
    try:
        data = read(MODEL_FILE)
    except OSError as error:
        raise ArtifactRefused(MODEL_FILE, "no readable file", "a file", TRAIN_AGAIN) from error
    if (digest := hashlib.sha256(data).hexdigest()) != manifest.model_sha256:
        raise ArtifactRefused(
            "model_sha256",
            digest,
            manifest.model_sha256,
            "The file is not the one that was evaluated; restore the artifact.",
        )
    return data


def open_domain(read: ReadFile, manifest: ModelManifest) -> DomainReference | None:
    """The domain reference of an artifact; None if it has none.

    Raises:
        ArtifactRefused: file, digest or shapes differ from the manifest.
    """
    if manifest.domain is None:
        return None
    try:
        data = read(DOMAIN_FILE)
    except OSError as error:
        raise ArtifactRefused(DOMAIN_FILE, "no readable file", "a file", FIT_AGAIN) from error
    if (digest := hashlib.sha256(data).hexdigest()) != manifest.domain.sha256:
        raise ArtifactRefused("domain.sha256", digest, manifest.domain.sha256, FIT_AGAIN)
    reference = read_reference(data)
    if reference.width != manifest.domain.features:
        raise ArtifactRefused(
            "domain.features", manifest.domain.features, reference.width, FIT_AGAIN
        )
    return reference


_LOADED: dict[tuple[str, str, int], KerasClassifier] = {}
_LOADING = threading.Lock()


def shared_classifier(read: ReadFile, manifest: ModelManifest, batch_size: int) -> KerasClassifier:
    """The classifier of an artifact, loaded once in a process and shared by its threads.

    The cache goes by the digests, so a changed artifact in the same folder is another one.

    Args:
        read: gives the bytes of model and domain reference, whose digests are compared.
        manifest: of the artifact.
        batch_size: images in one call.
    """
    return _shared_classifier(read, manifest, batch_size)[0]


def _shared_classifier(
    read: ReadFile, manifest: ModelManifest, batch_size: int
) -> tuple[KerasClassifier, bool]:
    """As `shared_classifier`, and whether it was loaded just now."""
    key = (manifest.model_sha256, contract_digest(manifest), batch_size)
    with _LOADING:
        if key in _LOADED:
            return _LOADED[key], False
        with freeze_imports():
            domain = open_domain(read, manifest)
            _LOADED[key] = KerasClassifier(open_model(read, manifest), manifest, batch_size, domain)
        return _LOADED[key], True


def verify_artifact(
    artifact: ModelArtifact, batch_size: int = DEFAULT_BATCH_SIZE
) -> KerasClassifier:
    """Run all start-up checks, also of the golden images, and return the classifier.

    Raises:
        ArtifactRefused: a check failed; the message names the field.
    """
    return self_test(artifact, batch_size)[0]


def self_test(artifact: ModelArtifact, batch_size: int) -> tuple[KerasClassifier, Canary]:
    """As `verify_artifact`, and return the result of the golden images, too."""
    read, manifest = artifact.read_file, artifact.manifest
    classifier, is_new = _shared_classifier(read, manifest, batch_size)
    if not is_new:  # the file may have changed since the classifier was loaded
        _judged_model(read, manifest)
        open_domain(read, manifest)
    canary = check_golden(artifact.folder, classifier)
    _check_seal(artifact.manifest)
    return classifier, canary


def check_files(artifact: ModelArtifact) -> None:
    """Compare the digests without opening the model, for a night with nothing to score.

    Raises:
        ArtifactRefused: a digest differs; the message names the field.
    """
    _judged_model(artifact.read_file, artifact.manifest)
    open_domain(artifact.read_file, artifact.manifest)
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
    expected = (None, contract.height, contract.width, contract.channels)
    actual = tuple(model.inputs[0].shape)
    if actual != expected:
        raise ArtifactRefused("input", f"model input {actual}", expected, "Correct the manifest.")
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
    """Refuse a model with a Rescaling layer that the manifest denies: values would scale twice."""
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
    """Every layer, also those of nested models."""
    for layer in getattr(model, "layers", ()):
        yield layer
        yield from _layers(layer)
