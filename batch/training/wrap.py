"""`melanoma-batch wrap`: a Keras classifier from elsewhere becomes an artifact of this job.

Nothing is measured here but that the model runs, so the artifact claims nothing: its threshold is
the caller's word until `calibrate` has measured it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from batch import __version__
from batch.core.errors import ArtifactRefused
from batch.core.records import OperatingPoint
from batch.demo.lesions import lesion_image
from batch.images.preprocess import CHANNELS, HEIGHT, PREPROCESSING_VERSION, RESIZE_RULE, WIDTH
from batch.model.artifact import ModelArtifact, verify_artifact
from batch.model.classifier import KerasClassifier
from batch.model.manifest import (
    MODEL_FILE,
    InputContract,
    ModelManifest,
    OutputContract,
    check_manifest,
    read_manifest,
    write_manifest,
)
from batch.storage.files import new_folder
from batch.training import foreign_model
from batch.training.foreign_model import (
    WrapOptions,
    check_wrap_options,
    settled_kind,
    settled_value_range,
)
from batch.training.golden_cases import GOLDEN_TOLERANCE, write_golden
from batch.training.licences import as_stated, licence_section

UNVALIDATED = "unvalidated"
NOT_MEASURED = "none: not measured"
CAUTION = (
    "This model was wrapped as it came and never measured here: nobody knows what its scores and "
    "its threshold are worth. It is not fit to guide review before `melanoma-batch calibrate`."
)


def wrap(model_file: Path, options: WrapOptions, output: Path) -> ModelArtifact:
    """Write the artifact of a foreign model and check it as the job will.

    Raises:
        UsageError: the options contradicts itself. ArtifactRefused: the model cannot be wrapped.
    """
    check_wrap_options(options)
    model = foreign_model.read_foreign(model_file)
    data = model_file.read_bytes()
    manifest = _manifest(model, options, hashlib.sha256(data).hexdigest(), model_file.name)
    _check_values(model, manifest)
    folder = new_folder(output)  # what is refused above leaves nothing behind
    (folder / MODEL_FILE).write_bytes(data)
    golden = write_golden(folder, KerasClassifier(model, manifest))
    manifest = dataclasses.replace(manifest, golden=golden)
    check_manifest(manifest)
    (folder / "MODEL_CARD.md").write_text(wrapped_card(manifest), encoding="utf-8")
    write_manifest(manifest, folder)
    artifact = ModelArtifact(folder, read_manifest(folder))
    verify_artifact(artifact)
    return artifact


def _manifest(model: Any, options: WrapOptions, digest: str, file_name: str) -> ModelManifest:
    """The manifest without golden cases."""
    height, width = foreign_model.input_size(model)
    kind = settled_kind(options, foreign_model.output_kind(model))
    foreign_model.check_width(model, kind, len(options.classes))
    point = unvalidated(options.threshold, digest)
    dtype = options.input_dtype or foreign_model.input_dtype(model)
    rescaling = foreign_model.rescales(model)
    return ModelManifest(
        manifest_version=1,
        model_id=options.model_id,
        model_version=options.model_version,
        description=options.description or f"wrapped from {file_name}",
        caution=CAUTION,
        licence=as_stated(options.licence),
        model_sha256=digest,
        input=InputContract(
            height=height,
            width=width,
            channels=CHANNELS,
            dtype=cast(Literal["uint8", "float32"], dtype),
            value_range=settled_value_range(options, dtype, rescaling),
            colour_order=cast(Literal["RGB", "BGR"], options.colour_order),
            rescaling_in_model=rescaling,
            resize_rule=RESIZE_RULE,
            preprocessing_version=PREPROCESSING_VERSION,
        ),
        output=OutputContract(
            kind=cast(Literal["softmax", "logits", "sigmoid"], kind),
            class_names=options.classes,
            melanoma_class=options.melanoma,
            malignant_classes=options.malignant,
            temperature=1.0,
            calibrated=False,
        ),
        default_operating_point=point.name,
        operating_points=(point,),
        golden_tolerance=GOLDEN_TOLERANCE,
        golden=(),
        contract_sha256="",  # set when it is written
        provenance={
            "command": options.command,
            "wrapped": {"file": file_name},
            "versions": {
                "melanoma-batch": __version__,
                "python": platform.python_version(),
                **{name: version(name) for name in ("tensorflow", "keras", "numpy", "Pillow")},
            },
        },
    )


def unvalidated(threshold: float, model_sha256: str) -> OperatingPoint:
    """A threshold without evidence: nothing was counted, so the least possible is claimed."""
    return OperatingPoint(
        name=UNVALIDATED,
        threshold=threshold,
        target_sensitivity=0.0,
        sensitivity=0.0,
        sensitivity_interval=(0.0, 1.0),
        specificity=0.0,
        specificity_interval=(0.0, 1.0),
        melanomas=0,
        others=0,
        validation_set=NOT_MEASURED,
        model_sha256=model_sha256,
        provisional=True,
    )


def _check_values(model: Any, manifest: ModelManifest) -> None:
    """What comes out must be what `kind` says, before any temperature or softmax of ours."""
    kind = manifest.output.kind
    untouched = dataclasses.replace(manifest.output, kind="softmax")
    pixels = np.stack([lesion_image(seed, HEIGHT, WIDTH) for seed in range(8)])
    try:
        raw = KerasClassifier(
            model, dataclasses.replace(manifest, output=untouched), len(pixels)
        ).scores(pixels)
    except Exception as error:  # TensorFlow raises many kinds for a graph that does not fit
        raise ArtifactRefused(
            "model.keras",
            f"{type(error).__name__} when it is called on images",
            "a model that takes a batch of images and gives one array",
            "Call it on such a batch yourself; inputs and outputs must not be dictionaries.",
        ) from error
    if not np.all(np.isfinite(raw)):
        raise ArtifactRefused("output.kind", "values that are not finite", "numbers", "Retrain it.")
    in_range = bool(raw.min() >= 0 and raw.max() <= 1)
    adds_up = bool(np.allclose(raw.sum(axis=1), 1, atol=1e-3))
    remedies = {
        "softmax": (in_range and adds_up, "give --kind logits if it has no softmax"),
        "sigmoid": (in_range, "give it a sigmoid, or two logits"),
        "logits": (not (in_range and adds_up), "give --kind softmax: these are probabilities"),
    }
    fits, remedy = remedies[kind]
    if not fits:
        raise ArtifactRefused(
            "output.kind",
            f"values {raw.min():.3g}..{raw.max():.3g}, sums {raw.sum(axis=1).min():.3g}"
            f"..{raw.sum(axis=1).max():.3g}",
            kind,
            f"Check the last layer, or {remedy}.",
        )


def wrapped_card(manifest: ModelManifest) -> str:
    """MODEL_CARD.md of a model of which nothing is known but what was said."""
    contract, output = manifest.input, manifest.output
    (point,) = manifest.operating_points
    low, high = contract.value_range
    licence = "\n".join(licence_section(manifest.licence))
    scaling = "it scales by itself" if contract.rescaling_in_model else "scaled by the job"
    return f"""# Model card: {manifest.model_id} {manifest.model_version}

{manifest.description}. Digest of model.keras: `{manifest.model_sha256}`.

**{manifest.caution}**

**Not a medical device, not a diagnosis.** The score ranks images for a person's review.
A low score never means cleared.

```
{manifest.provenance["command"]}
```

## Operating point

`{point.name}`: alert at a melanoma score of {point.threshold:g} or more. This number was given, not
measured: 0 melanomas, 0 others. The manifest's sensitivity and specificity of 0 with an interval
from 0 to 1 mean that nothing is claimed. Next: score labelled images with this artifact, then
`melanoma-batch calibrate`.

## What was said or found of the model

- Input {contract.height}×{contract.width}, {contract.dtype}, {contract.colour_order}, values
  {low:g} to {high:g} ({scaling}). The job hands over 180×180 pixels, squashed to a square, and
  resizes them to this size: a model that was trained on larger or cropped images sees less.
- Output {output.kind}; classes in its order: {", ".join(output.class_names)}. Melanoma is
  `{output.melanoma_class}`; malignant: {", ".join(output.malignant_classes)}.
- Not known here: what it was trained on, whether it was trained on these values and this colour
  order, and how well it ranks melanoma anywhere. Scores are not calibrated probabilities.

{licence}"""
