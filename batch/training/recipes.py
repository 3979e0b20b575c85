"""Recipes: frozen descriptions of what is trained, on what, and how."""

from __future__ import annotations

from dataclasses import dataclass

from batch.errors import UsageError

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


@dataclass(frozen=True)
class Recipe:
    """One way to make a model.

    filters: of the 3x3 convolutions, each followed by 2x2 max pooling. dropout: share, before the
    dense part. dense_units: of the hidden dense layer. flip, rotation (share of a full turn),
    zoom (share): augmentation in the input pipeline. patience: epochs without a better validation
    loss before training stops and the best weights return.
    """

    name: str
    description: str
    class_names: tuple[str, ...]
    melanoma_class: str
    malignant_classes: tuple[str, ...]
    filters: tuple[int, ...]
    dropout: float
    dense_units: int
    flip: str
    rotation: float
    zoom: float
    learning_rate: float
    batch_size: int
    epochs: int
    patience: int


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="isic9-dropout",
            description="three-block CNN over the nine ISIC classes, with dropout and augmentation",
            class_names=ISIC9_CLASSES,
            melanoma_class="melanoma",
            malignant_classes=ISIC9_MALIGNANT,
            filters=(16, 32, 64),
            dropout=0.2,
            dense_units=128,
            flip="horizontal_and_vertical",
            rotation=0.1,
            zoom=0.1,
            learning_rate=1e-3,
            batch_size=32,
            epochs=80,
            patience=12,
        ),
    )
}


def find_recipe(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        UsageError: there is none.
    """
    if name not in RECIPES:
        raise UsageError(f"train: no recipe {name!r}; allowed: {', '.join(sorted(RECIPES))}.")
    return RECIPES[name]
