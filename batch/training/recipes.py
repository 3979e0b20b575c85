"""Recipes: frozen descriptions of what is trained, on what, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from batch.errors import UsageError
from batch.near import did_you_mean

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

ISIC9_MALIGNANT = ("basal cell carcinoma", "melanoma", "squamous cell carcinoma")

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


@dataclass(frozen=True)
class Cnn:
    """Blocks of a 3x3 convolution and 2x2 max pooling, then a dense part.

    dropout: share, before the dense part. batch_norm: after each convolution.
    """

    filters: tuple[int, ...] = (16, 32, 64)
    dropout: float = 0.0
    dense_units: int = 128
    batch_norm: bool = False


@dataclass(frozen=True)
class EfficientNetLite0:
    """The backbone with ImageNet weights (`--weights`).

    dropout: share, before the output. frozen: so many of the first blocks, and the stem, keep
    ImageNet's weights: edges and colours are the same here, and their large images are what costs
    most to train. smooth: average neighbouring pixels first, in the model itself; what is finer
    than two pixels tells the camera. colour_constancy: take the light's colour out, there too.
    both_ways: the finished model's scores are means over the image and itself turned upside down.
    """

    dropout: float = 0.3
    frozen: int = 3
    smooth: bool = True
    colour_constancy: bool = True
    both_ways: bool = True


@dataclass(frozen=True)
class Change:
    """How far an image may be changed in training; zero changes nothing.

    flip: both axes, each half of the time. rotation: share of a full turn, either way. zoom: sides
    shrink or grow by up to this share. shift: of a side. aspect: ratio of sides. gain: of each
    colour channel; contrast, saturation: shares. dark_surround: share of images that get one.
    smallest_side: images are scaled down to a side between this and their own, and up again; 0 for
    never. jpeg_quality: lowest; 0 for never. noise: largest standard deviation, of 0..255.
    """

    flip: bool = False
    rotation: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    aspect: float = 0.0
    gain: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    dark_surround: float = 0.0
    smallest_side: int = 0
    jpeg_quality: int = 0
    noise: float = 0.0


@dataclass(frozen=True)
class Course:
    """How a network is optimised.

    patience: epochs without a better validation loss before training stops and the best weights
    return; 0: all epochs, and the weights' moving average returns (momentum `average`). sides:
    (first epoch, side of the images) where smaller images save time at first. balance: `none`;
    `class`: every class equally often; `source`: every source has the same share of melanoma, so
    that recognising the clinic does not pay.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    batch_size: int = 32
    epochs: int = 80
    patience: int = 12
    average: float = 0.0
    warmup: float = 0.0
    sides: tuple[tuple[int, int], ...] = ()
    balance: str = "none"


@dataclass(frozen=True)
class Recipe:
    """One way to make a model.

    data: `isic9`, or `dermoscopy` for every source that is there. hold_out: sources that are not
    trained on and judge the result.
    """

    name: str
    description: str
    data: str
    class_names: tuple[str, ...]
    network: Cnn | EfficientNetLite0
    melanoma_class: str = "melanoma"
    malignant_classes: tuple[str, ...] = ISIC9_MALIGNANT
    change: Change = field(default_factory=Change)
    course: Course = field(default_factory=Course)
    hold_out: tuple[str, ...] = ()


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
    if hold_out and recipe.data != "dermoscopy":
        raise UsageError(f"--hold-out: {name} has one source only; leave it out.")
    if unknown := sorted(set(hold_out) - set(SOURCES)) or len(set(hold_out)) == len(SOURCES):
        raise UsageError(
            f"--hold-out: found {unknown or list(hold_out)}; allowed: some of {', '.join(SOURCES)}."
            f"{did_you_mean(unknown[0], SOURCES) if isinstance(unknown, list) else ''}"
        )
    return replace(recipe, hold_out=tuple(sorted(set(hold_out))))
