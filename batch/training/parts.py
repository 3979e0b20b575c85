"""What a recipe is made of: network, change of images, course, and all of it together."""

from __future__ import annotations

from dataclasses import dataclass, field

ISIC9_MALIGNANT = ("basal cell carcinoma", "melanoma", "squamous cell carcinoma")


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
class EfficientNetLite2(EfficientNetLite0):
    """A wider and deeper backbone: 1.57 times the work, 19.6 MB; so one look, not two.

    Its first block alone is frozen: what comes after it learns.
    """

    dropout: float = 0.2
    frozen: int = 1
    both_ways: bool = False


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
class Disguise(Change):
    """A change that hides the camera, at the side that is trained at, in one resampling.

    soft_share: share of images that lose resolution, down to `smallest_side` of 180 at the lowest;
    jpeg_share: share that is saved as JPEG and read again. Both fall on every class and source, so
    that neither sharpness nor compression tells a class.
    """

    soft_share: float = 0.0
    jpeg_share: float = 0.0


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
class LongCourse(Course):
    """A course over many sources, with labels that may allow several classes.

    An epoch draws `images` images. Every source has the share of its description; of each source
    `melanoma_share` are melanomas. smoothing: weight of the mean over all classes in the loss.
    mix: of MixUp, the parameter of its beta distribution; 0 for none. watched: so many validation
    images are looked at after an epoch.
    """

    images: int = 8_000
    melanoma_share: float = 1 / 3
    smoothing: float = 0.0
    mix: float = 0.0
    watched: int = 512


@dataclass(frozen=True)
class Recipe:
    """One way to make a model.

    data: `isic9`; `dermoscopy` for HAM10000, ISIC 2017 and isic9; `described` for every source
    below DATA that has a description. hold_out: sources that are not trained on and judge the
    result.
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

    @property
    def has_several_sources(self) -> bool:
        """Whether a source can be held out, and each judged for itself."""
        return self.data in ("dermoscopy", "described")
