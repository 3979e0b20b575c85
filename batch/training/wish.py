"""What the caller says of a foreign model, and how that is settled with what the model says."""

from __future__ import annotations

import re
from dataclasses import dataclass

from batch.core.errors import UsageError
from batch.model.artifact import bundled_model_ids


@dataclass(frozen=True)
class Wish:
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


def check_wish(wish: Wish) -> None:
    """Check what needs no model.

    Raises:
        UsageError: names the option.
    """
    names = wish.classes
    if len(names) < 2 or len(set(names)) != len(names) or "" in names:
        raise UsageError(
            f"--classes: found {list(names)}; allowed: two or more different names, in the model's "
            'order, e.g. "melanoma,nevus,other".'
        )
    for option, wanted in (("--melanoma", (wish.melanoma,)), ("--malignant", wish.malignant)):
        if unknown := [name for name in wanted if name not in names]:
            raise UsageError(f"{option}: found {unknown}; allowed: names of --classes, {names}.")
    if wish.melanoma not in wish.malignant:
        raise UsageError(
            f"--malignant: found {list(wish.malignant)}; needed: {wish.melanoma!r} among them."
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", wish.model_id):
        raise UsageError(
            f"--id: found {wish.model_id!r}; allowed: letters, digits, '.', '_' and '-'."
        )
    if wish.model_id in bundled_model_ids():
        raise UsageError(f"--id: {wish.model_id!r} is a bundled model; choose another name.")
    if not re.fullmatch(r"\d+\.\d+\.\d+", wish.model_version):
        raise UsageError(f"--version: found {wish.model_version!r}; allowed: e.g. 1.0.0.")


def settled_kind(wish: Wish, found: str | None) -> str:
    """`softmax`, `logits` or `sigmoid`.

    Args:
        found: what the model's last activation tells, if it does.

    Raises:
        UsageError: neither side tells, or they contradict each other.
    """
    if wish.kind is None and found is None:
        raise UsageError(
            "--kind: the model's last layer does not tell; give softmax, logits or sigmoid."
        )
    if wish.kind is not None and found is not None and wish.kind != found:
        raise UsageError(f"--kind: found {wish.kind}; the model's last activation gives {found}.")
    return str(wish.kind or found)


def settled_value_range(wish: Wish, dtype: str, rescaling: bool) -> tuple[float, float]:
    """What goes in: 0..255 where the model must scale by itself, else what the caller says.

    Raises:
        UsageError: nobody tells, or the caller contradicts the model.
    """
    raw = (0.0, 255.0)
    if rescaling or dtype == "uint8":
        if wish.value_range not in (None, raw):
            why = "has a Rescaling layer" if rescaling else "takes uint8"
            raise UsageError(
                f"--value-range: found {wish.value_range}; the model {why}, so 0..255 goes in. "
                "Leave the option out."
            )
        return raw
    if wish.value_range is None:
        raise UsageError(
            "--value-range: the model has no Rescaling layer, so nothing tells what it was trained "
            "on; give 0,255 or 0,1 or -1,1."
        )
    return wish.value_range
