"""Recipes: frozen descriptions of what is trained, on what, and how."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from batch.core.errors import UsageError
from batch.core.text import did_you_mean
from batch.training.parts import (
    Change,
    Cnn,
    Course,
    Disguise,
    EfficientNetLite0,
    EfficientNetLite2,
    LongCourse,
    Recipe,
)

ISIC9_CLASSES = (
    "actinic keratosis",
    "basal cell carcinoma",
    "dermatofibroma",
    "melanoma",
    "nevus",
    "pigmented benign keratosis",
    "seborrheic keratosis",
    "squamous cell carcinoma",
    "vascular lesion",
)
"""The nine folders of the ISIC set that the projects of this family train on, in its order."""

DERMOSCOPY_CLASSES = (
    "actinic keratosis",
    "basal cell carcinoma",
    "benign keratosis",
    "dermatofibroma",
    "melanoma",
    "nevus",
    "squamous cell carcinoma",
    "vascular lesion",
)
"""The eight diagnoses of ISIC 2019."""


_TURNED = Change(flip=True, rotation=0.1, zoom=0.1)
_PLAIN = Recipe(
    name="isic9-plain",
    description="three-block CNN over the nine ISIC classes, without augmentation",
    data="isic9",
    class_names=ISIC9_CLASSES,
    network=Cnn(),
    course=Course(patience=5),
)
_DROPOUT = replace(
    _PLAIN,
    name="isic9-dropout",
    description="three-block CNN over the nine ISIC classes, with dropout and augmentation",
    network=Cnn(dropout=0.2),
    change=_TURNED,
    course=Course(),
)
_FLAGSHIP = Recipe(
    name="dermoscopy-lite0",
    description="EfficientNet-Lite0 over eight diagnoses, fine-tuned on several sources",
    data="dermoscopy",
    class_names=DERMOSCOPY_CLASSES,
    network=EfficientNetLite0(),
    change=Change(
        flip=True,
        rotation=0.5,
        zoom=0.3,
        shift=0.08,
        aspect=0.1,
        gain=0.15,
        contrast=0.2,
        saturation=0.2,
        dark_surround=0.25,
        smallest_side=70,
        jpeg_quality=50,
        noise=10.0,
    ),
    course=Course(
        learning_rate=5e-4,
        weight_decay=1e-4,
        epochs=14,
        patience=0,
        average=0.995,
        warmup=0.05,
        sides=((0, 128), (5, 180)),
        balance="source",
    ),
)
_TRAVELLER = Recipe(
    name="dermoscopy-lite2",
    description="EfficientNet-Lite2 over eight diagnoses, fine-tuned on every described source",
    data="described",
    class_names=DERMOSCOPY_CLASSES,
    network=EfficientNetLite2(),
    change=Disguise(
        flip=True,
        rotation=0.5,
        zoom=0.25,
        shift=0.06,
        aspect=0.1,
        gain=0.15,
        contrast=0.2,
        saturation=0.2,
        dark_surround=0.3,
        smallest_side=84,
        soft_share=0.3,
        jpeg_quality=50,
        jpeg_share=0.5,
        noise=8.0,
    ),
    course=LongCourse(
        learning_rate=7e-4,
        weight_decay=1e-4,
        batch_size=64,
        epochs=40,
        patience=0,
        average=0.996,
        warmup=0.05,
        sides=((0, 128), (28, 160), (34, 180)),
        balance="source",
    ),
)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        _PLAIN,
        _DROPOUT,
        replace(
            _DROPOUT,
            name="isic9-rebalanced",
            description="three-block CNN with dropout, augmentation and every class equally often",
            course=Course(balance="class"),
        ),
        replace(
            _DROPOUT,
            name="isic9-batchnorm",
            description="three-block CNN with batch normalisation, dropout and augmentation",
            network=Cnn(dropout=0.2, batch_norm=True),
        ),
        replace(
            _DROPOUT,
            name="isic-binary",
            description="three-block CNN, melanoma or not, with dropout",
            data="isic9-binary",
            class_names=("melanoma", "not melanoma"),
            malignant_classes=("melanoma",),
            change=Change(),
            course=Course(patience=5),
        ),
        _FLAGSHIP,
        _TRAVELLER,
        replace(
            _TRAVELLER,
            name="dermoscopy-lite0-described",
            description="EfficientNet-Lite0 over eight diagnoses, fine-tuned on every described "
            "source",
            network=EfficientNetLite0(dropout=0.2, frozen=1),
        ),
    )
}


SOURCES = ("ham10000", "isic2017", "isic9")


def find_recipe(name: str, hold_out: Sequence[str] = ()) -> Recipe:
    """The recipe of this name.

    Args:
        hold_out: sources not to train on, for recipes that have several.

    Raises:
        UsageError: there is none, or nothing of it can be held out.
    """
    if name not in RECIPES:
        raise UsageError(
            f"train: no recipe {name!r}; allowed: {', '.join(sorted(RECIPES))}."
            f"{did_you_mean(name, RECIPES)}"
        )
    recipe = RECIPES[name]
    if hold_out and not recipe.has_several_sources:
        raise UsageError(f"--hold-out: {name} has one source only; leave it out.")
    if recipe.data == "described":  # which sources there are, their folder tells
        return replace(recipe, hold_out=tuple(sorted(set(hold_out))))
    if unknown := sorted(set(hold_out) - set(SOURCES)) or len(set(hold_out)) == len(SOURCES):
        raise UsageError(
            f"--hold-out: found {unknown or list(hold_out)}; allowed: some of {', '.join(SOURCES)}."
            f"{did_you_mean(unknown[0], SOURCES) if isinstance(unknown, list) else ''}"
        )
    return replace(recipe, hold_out=tuple(sorted(set(hold_out))))


_PARTS = ("network", "change", "course")


def with_changes(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """A recipe with fields of its network, change or course set anew.

    Args:
        changes: `PART.FIELD=VALUE`, the value as JSON; lists become tuples.

    Raises:
        UsageError: no such field, or a value of another type.
    """
    for words in changes:
        name, is_there, text = words.partition("=")
        part, _, field = name.partition(".")
        fields = {
            f"{one}.{each.name}": each
            for one in _PARTS
            for each in dataclasses.fields(getattr(recipe, one))
        }
        if not is_there or name not in fields:
            raise UsageError(f"--set: found {words!r}; allowed: one of {', '.join(fields)}, =VALUE")
        old = getattr(getattr(recipe, part), field)
        try:
            new = _tuples(json.loads(text))
        except ValueError:
            raise UsageError(
                f"--set: {name}={text}: the value is no JSON; allowed: as "
                f"{json.dumps(old, default=str)} is."
            ) from None
        if isinstance(old, float) and type(new) is int:
            new = float(new)
        if type(new) is not type(old):
            raise UsageError(f"--set: {name}={text}; allowed: {type(old).__name__}, as {old!r} is.")
        changed = dataclasses.replace(getattr(recipe, part), **{field: new})
        recipe = dataclasses.replace(recipe, **{part: changed})
    return recipe


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
