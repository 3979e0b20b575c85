"""The options of `calibrate` and `wrap`. Imports no library."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path

from batch.job_arguments import PROGRAM

PREVALENCES = (0.01, 0.05, 0.2)
TARGET_SENSITIVITY = 0.95


def share(lowest_allowed: bool) -> Callable[[str], float]:
    """A number from 0 to 1 for argparse; 0 itself only where that is said."""

    def number(word: str) -> float:
        value = float(word)
        if not (0 < value <= 1 or (value == 0 and lowest_allowed)):
            lowest = "0 to 1" if lowest_allowed else "above 0, up to 1"
            raise argparse.ArgumentTypeError(f"found {word}; allowed: {lowest}")
        return value

    number.__name__ = "number"  # argparse names it in its message
    return number


def value_range(word: str) -> tuple[float, float]:
    """`LOW,HIGH` for argparse."""
    numbers = [float(part) for part in word.split(",")]
    if len(numbers) != 2 or not -1e6 < numbers[0] < numbers[1] < 1e6:
        raise argparse.ArgumentTypeError(f"found {word}; allowed: low,high, e.g. 0,255 or 0,1")
    return numbers[0], numbers[1]


def add_map_label(command: argparse.ArgumentParser) -> None:
    """`--map-label`, of every command that reads labels."""
    command.add_argument(
        "--map-label",
        metavar="LABEL=CLASS",
        action="append",
        default=[],
        help="what a label means: a class of the model, or 'not melanoma'; nothing after = leaves "
        "such rows out; may be repeated",
    )


def add_calibrate(commands: argparse._SubParsersAction) -> None:
    """`melanoma-batch calibrate`."""
    calibrate = commands.add_parser(
        "calibrate",
        help="fit temperature and thresholds to your own labels",
        description="From labelled predictions of a model, fit a temperature and choose an "
        "operating point for each target sensitivity; write the artifact with both to a new "
        "folder.",
        usage=f"{PROGRAM} calibrate PREDICTIONS --labels CSV --model ID_OR_FOLDER "
        "--output FOLDER [options]",
        allow_abbrev=False,
    )
    calibrate.add_argument(
        "predictions",
        metavar="PREDICTIONS",
        type=Path,
        help="reports folder, one night, a folder of Parquet, or a file of `current --output`",
    )
    calibrate.add_argument(
        "--labels",
        metavar="CSV",
        type=Path,
        required=True,
        help="as for `evaluate`: columns label, and image_id, content_sha256 or image",
    )
    calibrate.add_argument(
        "--model",
        metavar="ID_OR_FOLDER",
        required=True,
        help="the model that made the predictions: bundled, or an artifact folder",
    )
    calibrate.add_argument(
        "--output", metavar="FOLDER", type=Path, required=True, help="new folder of the artifact"
    )
    calibrate.add_argument(
        "--target-sensitivity",
        metavar="S",
        type=share(False),
        action="append",
        help=f"of an operating point; may be repeated, the first is the default one "
        f"(default: {TARGET_SENSITIVITY})",
    )
    add_map_label(calibrate)
    calibrate.add_argument("--split", metavar="NAME", help="take only these rows of the labels")
    calibrate.add_argument(
        "--prevalence",
        metavar="P",
        type=share(True),
        action="append",
        help="share of melanomas to tell the alerts for; may be repeated "
        f"(default: {', '.join(f'{share:g}' for share in PREVALENCES)})",
    )
    calibrate.add_argument(
        "--no-temperature", action="store_true", help="choose thresholds only; keep the scores"
    )


def add_wrap(commands: argparse._SubParsersAction) -> None:
    """`melanoma-batch wrap`."""
    wrap = commands.add_parser(
        "wrap",
        help="make an artifact of a Keras 3 model from elsewhere",
        description="Write the artifact of a Keras 3 image classifier. Nothing is measured: "
        "`calibrate` does that.",
        usage=f"{PROGRAM} wrap MODEL.keras --classes A,B,... --melanoma A --threshold X "
        "--output FOLDER [options]",
        allow_abbrev=False,
    )
    # `--value-range -1,1` is a value, though it begins as an option does
    wrap._negative_number_matcher = re.compile(r"^-\d")
    wrap.add_argument("model_file", metavar="MODEL.keras", type=Path, help="read in safe mode")
    wrap.add_argument(
        "--classes", metavar="A,B,...", required=True, help="class names in the model's order"
    )
    wrap.add_argument(
        "--melanoma", metavar="A", required=True, help="the class whose score raises alerts"
    )
    wrap.add_argument("--malignant", metavar="A,B", help="malignant classes (default: --melanoma)")
    wrap.add_argument(
        "--threshold",
        metavar="X",
        type=share(True),
        required=True,
        help="alert from this melanoma score on; stated as not validated",
    )
    wrap.add_argument(
        "--output", metavar="FOLDER", type=Path, required=True, help="new folder of the artifact"
    )
    wrap.add_argument(
        "--kind",
        choices=("softmax", "logits", "sigmoid"),
        help="of the output (default: by the last activation)",
    )
    wrap.add_argument(
        "--value-range",
        metavar="LOW,HIGH",
        type=value_range,
        help="values that the model takes; needed where it has no Rescaling layer",
    )
    wrap.add_argument(
        "--colour-order",
        choices=("RGB", "BGR"),
        default="RGB",
        help="that the model takes (default: %(default)s)",
    )
    wrap.add_argument(
        "--input-dtype", choices=("float32", "uint8"), help="(default: of the model's input layer)"
    )
    wrap.add_argument("--id", metavar="NAME", help="model id (default: the file's name)")
    wrap.add_argument(
        "--version", metavar="N.N.N", default="1.0.0", help="of the model (default: %(default)s)"
    )
    wrap.add_argument(
        "--licence",
        metavar="TEXT",
        help="of the weights, for manifest and card (default: not stated)",
    )
    wrap.add_argument("--description", metavar="TEXT", default="", help="one line for the card")
