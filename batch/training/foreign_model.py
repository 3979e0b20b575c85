"""A Keras model from elsewhere: what it takes and gives, and what the caller says of it."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batch.core.errors import ArtifactRefused, UsageError
from batch.images.preprocess import CHANNELS
from batch.model.artifact import bundled_model_ids
from batch.model.classifier import load_model

_MODEL = "model.keras"


_KINDS = {"softmax": "softmax", "sigmoid": "sigmoid", "linear": "logits"}


_LARGEST_INPUT = 256.0
"""What 255 may become in a Rescaling layer; one that takes 0..1 makes hundreds of it."""


def read_foreign(path: Path) -> Any:
    """Load a `.keras` file in safe mode, after its layers were looked through by name.

    Raises:
        UsageError: not a file. ArtifactRefused: not a `.keras` file, custom code in it, or Keras
            refuses it.
    """
    if not path.is_file():
        raise UsageError(f"MODEL: no file {path}.")
    if path.suffix != ".keras":
        raise ArtifactRefused(
            "model_file",
            path.name,
            "a .keras file of Keras 3",
            "Convert it where you trust it, since reading .h5 may run code: "
            "keras.saving.load_model('x.h5').save('x.keras').",
        )
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ArtifactRefused(
            _MODEL,
            f"{path.name}, which is no archive of Keras 3 ({type(error).__name__})",
            "a .keras file of Keras 3",
            "Save it again with model.save('x.keras').",
        ) from error
    if code := sorted(set(_custom_code(config))):
        raise ArtifactRefused(
            _MODEL,
            ", ".join(code),
            "layers that Keras itself brings",
            "Replace Lambda layers and custom objects by Keras's own, then save it again.",
        )
    return load_model(path)


def _custom_code(config: Any) -> Iterator[str]:
    """Names of Lambda layers and of objects that are not Keras's, anywhere in a model's config."""
    if isinstance(config, list):
        for part in config:
            yield from _custom_code(part)
    if not isinstance(config, dict):
        return
    if "class_name" in config and "config" in config and "module" in config:
        module = str(config["module"])
        ours = module in ("keras", "builtins") or module.startswith("keras.")
        if config["class_name"] == "Lambda" or not ours:
            yield f"{config['class_name']} {_name(config['config'])}".strip()
    for part in config.values():
        yield from _custom_code(part)


def _name(config: Any) -> str:
    return repr(config["name"]) if isinstance(config, dict) and "name" in config else ""


def input_size(model: Any) -> tuple[int, int]:
    """Height and width of the one image that a model takes.

    Raises:
        ArtifactRefused: no input known, several, not a colour image, or of no fixed size.
    """
    try:
        inputs, outputs = model.inputs, model.outputs
    except AttributeError:
        inputs, outputs = None, None
    if not inputs or not outputs:
        raise ArtifactRefused(
            _MODEL,
            "a model that was never built",
            "a known input size",
            "Begin it with keras.Input((height, width, 3)), then save it again.",
        )
    if len(inputs) != 1 or len(outputs) != 1:
        raise ArtifactRefused(
            _MODEL,
            f"{len(inputs)} inputs and {len(outputs)} outputs",
            "one image in, one vector out",
            "Make a keras.Model of the image input and the class output alone.",
        )
    shape = tuple(inputs[0].shape)
    if len(shape) != 4 or shape[-1] != CHANNELS:
        raise ArtifactRefused(
            "input",
            f"model input {shape}",
            f"(None, height, width, {CHANNELS}): colour images, channels last",
            "Greyscale, channels-first and other inputs are not supported.",
        )
    if shape[0] is not None or None in shape[1:3]:
        raise ArtifactRefused(
            "input",
            f"model input {shape}",
            "any number of images, each of one fixed height and width",
            "Call the model on keras.Input((height, width, 3)), and save what that gives.",
        )
    return int(shape[1]), int(shape[2])


def input_dtype(model: Any) -> str:
    """`uint8` or `float32`, as the model's input layer says.

    Raises:
        ArtifactRefused: another one.
    """
    found = str(model.inputs[0].dtype)
    if found not in ("float32", "uint8"):
        raise ArtifactRefused(
            "input.dtype", found, "float32 or uint8", "Give --input-dtype, or save it with one."
        )
    return found


def check_width(model: Any, kind: str, classes: int) -> None:
    """Compare the output's width with the kind and the number of classes.

    Raises:
        ArtifactRefused: they differ.
    """
    shape = tuple(model.outputs[0].shape)
    if kind == "sigmoid" and (shape != (None, 1) or classes != 2):
        raise ArtifactRefused(
            "output.class_names",
            f"model output {shape} and {classes} classes",
            "for a sigmoid one value and two classes, of which it scores the second",
            'Give --classes "other,melanoma"; several independent sigmoids are not supported.',
        )
    if kind != "sigmoid" and shape != (None, classes):
        single = " One value is a sigmoid: give --kind sigmoid." if shape == (None, 1) else ""
        raise ArtifactRefused(
            "output.class_names",
            f"model output {shape} and {classes} classes",
            "one class for each value, in the model's order",
            f"Correct --classes.{single}",
        )


def output_kind(model: Any) -> str | None:
    """`softmax`, `logits` or `sigmoid` by the last activation; None when that does not tell."""
    last = model.outputs[0]._keras_history.operation
    while getattr(last, "layers", None):
        last = last.outputs[0]._keras_history.operation
    name = getattr(getattr(last, "activation", None), "__name__", type(last).__name__.lower())
    # a linear Activation often only casts what a softmax before it gave
    if name == "linear" and type(last).__name__ == "Activation":
        return None
    return _KINDS.get(name)


def rescales(model: Any) -> bool:
    """Whether the model brings 0..255 to its own range by a Rescaling layer.

    Raises:
        ArtifactRefused: it has one that does not begin at 0..255.
    """
    layer = next((one for one in _layers(model) if type(one).__name__ == "Rescaling"), None)
    if layer is None:
        return False
    scales = layer.scale if isinstance(layer.scale, list | tuple) else [layer.scale]
    offsets = layer.offset if isinstance(layer.offset, list | tuple) else [layer.offset]
    largest = max(abs(255 * float(scale)) for scale in scales) + max(map(abs, map(float, offsets)))
    if largest > _LARGEST_INPUT:
        raise ArtifactRefused(
            "input.rescaling_in_model",
            f"a Rescaling layer (scale {layer.scale}, offset {layer.offset}) for 0..1",
            "one that takes 0..255",
            "Put another Rescaling(1/255) before it, and save what that gives.",
        )
    return True


def _layers(model: Any) -> Iterator[Any]:
    """Every layer, those of nested models included, in their order."""
    for layer in getattr(model, "layers", ()):
        yield layer
        yield from _layers(layer)


@dataclass(frozen=True)
class WrapOptions:
    """What the caller says of a model; None where the model itself is asked.

    classes: in output order. value_range: of the numbers that the model expects. licence: of its
    weights.
    """

    classes: tuple[str, ...]
    melanoma: str
    malignant: tuple[str, ...]
    threshold: float
    kind: str | None
    value_range: tuple[float, float] | None
    colour_order: str
    input_dtype: str | None
    model_id: str
    model_version: str
    description: str
    command: str
    licence: str | None = None


def names_of(words: str) -> tuple[str, ...]:
    """Class names of `A,B,...`, without the blanks around them."""
    return tuple(name.strip() for name in words.split(","))


def check_wrap_options(options: WrapOptions) -> None:
    """Check what needs no model.

    Raises:
        UsageError: names the option.
    """
    names = options.classes
    if len(names) < 2 or len(set(names)) != len(names) or "" in names:
        raise UsageError(
            f"--classes: found {list(names)}; allowed: two or more different names, in the model's "
            'order, e.g. "melanoma,nevus,other".'
        )
    for option, wanted in (("--melanoma", (options.melanoma,)), ("--malignant", options.malignant)):
        if unknown := [name for name in wanted if name not in names]:
            raise UsageError(f"{option}: found {unknown}; allowed: names of --classes, {names}.")
    if options.melanoma not in options.malignant:
        raise UsageError(
            f"--malignant: found {list(options.malignant)}; needed: {options.melanoma!r} among "
            "them."
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", options.model_id):
        raise UsageError(
            f"--id: found {options.model_id!r}; allowed: letters, digits, '.', '_' and '-'."
        )
    if options.model_id in bundled_model_ids():
        raise UsageError(f"--id: {options.model_id!r} is a bundled model; choose another name.")
    if not re.fullmatch(r"\d+\.\d+\.\d+", options.model_version):
        raise UsageError(f"--version: found {options.model_version!r}; allowed: e.g. 1.0.0.")


def settled_kind(options: WrapOptions, found: str | None) -> str:
    """`softmax`, `logits` or `sigmoid`.

    Args:
        found: what the model's last activation tells, if it does.

    Raises:
        UsageError: neither side tells, or they contradict each other.
    """
    if options.kind is None and found is None:
        raise UsageError(
            "--kind: the model's last layer does not tell; give softmax, logits or sigmoid."
        )
    if options.kind is not None and found is not None and options.kind != found:
        raise UsageError(
            f"--kind: found {options.kind}; the model's last activation gives {found}."
        )
    return str(options.kind or found)


def settled_value_range(options: WrapOptions, dtype: str, rescaling: bool) -> tuple[float, float]:
    """What goes in: 0..255 where the model must scale by itself, else what the caller says.

    Raises:
        UsageError: nobody tells, or the caller contradicts the model.
    """
    raw = (0.0, 255.0)
    if rescaling or dtype == "uint8":
        if options.value_range not in (None, raw):
            why = "has a Rescaling layer" if rescaling else "takes uint8"
            raise UsageError(
                f"--value-range: found {options.value_range}; the model {why}, so 0..255 goes in. "
                "Leave the option out."
            )
        return raw
    if options.value_range is None:
        raise UsageError(
            "--value-range: the model has no Rescaling layer, so nothing tells what it was trained "
            "on; give 0,255 or 0,1 or -1,1."
        )
    return options.value_range
