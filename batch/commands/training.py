"""Options and handlers of `train` and `wrap`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from batch.commands.settings import Command, Options
from batch.commands.shared import PROGRAM, argument, command, group, option
from batch.commands.value_types import FILE, FOLDER, RANGE, TEXT, OneOf, share, whole_number
from batch.core.errors import ExitCode
from batch.runtime.process import import_tensorflow
from batch.runtime.terminal import say


@command(
    "train",
    "train a model and write its artifact (needs the extra [train])",
    "",
    argument("recipe", "RECIPE", "see batch/training/README.md", TEXT, "train"),
    group(
        "Data",
        option("--data", metavar="FOLDER", type=FOLDER, required=True,
               help="folder with isic9/ and tables"),
        option("--weights", metavar="NPZ", type=FILE,
               help="ImageNet weights of a recipe's backbone"),
        option("--cache", metavar="FOLDER", type=FOLDER,
               help="keep the decoded images there (97 KB each), for recipes over described "
               "sources"),
        option("--hold-out", metavar="SOURCE", type=TEXT, multiple=True,
               help="do not train on this source, judge by it; may be repeated"),
    ),
    group(
        "The artifact",
        option("--output", metavar="FOLDER", type=FOLDER, required=True,
               help="new folder of the artifact"),
        option("--held-out-run", metavar="FOLDER", type=FOLDER, multiple=True,
               help="an artifact of this recipe with --hold-out, whose figures go on the card; "
               "may be repeated"),
    ),
    group(
        "The course",
        option("--seed", metavar="N", type=whole_number(0), default=17, show_default=True,
               help="of split, weights"),
        option("--epochs", metavar="N", type=whole_number(1),
               help="at most so many (default: the recipe's)"),
        option("--resume", metavar="FOLDER", type=FOLDER,
               help="keep checkpoints there, and go on from the last whole epoch"),
    ),
)  # fmt: skip
def train(options: Options, beam: Sequence[str]) -> int:
    """Train, judge, write the artifact."""
    from batch.training.extra import need_train_extra

    need_train_extra()
    import_tensorflow()
    from batch.storage.files import new_folder
    from batch.training.export import export
    from batch.training.fit import fit
    from batch.training.held_out_runs import held_out_runs
    from batch.training.recipes import find_recipe

    recipe = find_recipe(options.recipe, list(options.hold_out))
    siblings = held_out_runs(recipe, options.seed, list(options.held_out_run))
    folder = new_folder(options.output)
    fitted = fit(
        recipe, options.data, options.seed, options.epochs, 1 if sys.stderr.isatty() else 2,
        options.weights, options.resume, options.cache,
    )  # fmt: skip
    command = f"{PROGRAM} train {recipe.name} --data DATA --output FOLDER --seed {options.seed}"
    if options.weights:
        command += f" --weights {options.weights.name}"
    command += "".join(f" --hold-out {source}" for source in recipe.hold_out)
    command += "".join(f" --held-out-run {run.name}" for run in options.held_out_run)
    if options.epochs:
        command += f" --epochs {options.epochs}"
    artifact = export(fitted, options.data, folder, command, siblings)
    say(
        f"{(artifact.folder / 'MODEL_CARD.md').read_text(encoding='utf-8')}\n"
        f"The artifact stands in {artifact.folder} and passed its start-up checks.\n",
        sys.stdout,
    )
    return ExitCode.COMPLETE


@command(
    "wrap",
    "make an artifact of a Keras 3 model from elsewhere",
    "Write the artifact of a Keras 3 image classifier. Nothing is measured: `calibrate` does that.",
    argument("model_file", "MODEL.keras", "read in safe mode", FILE, "wrap"),
    group(
        "Classes",
        option("--classes", metavar="A,B,...", type=TEXT, required=True,
               help="class names in the model's order"),
        option("--melanoma", metavar="A", type=TEXT, required=True,
               help="the class whose score raises alerts"),
        option("--malignant", metavar="A,B", type=TEXT,
               help="malignant classes (default: --melanoma)"),
        option("--threshold", metavar="X", type=share(True), required=True,
               help="alert from this melanoma score on; stated as not validated"),
    ),
    group(
        "Input and output",
        option("--kind", type=OneOf("softmax", "logits", "sigmoid"),
               help="of the output (default: by the last activation)"),
        option("--value-range", metavar="LOW,HIGH", type=RANGE,
               help="values that the model takes; needed where it has no Rescaling layer"),
        option("--colour-order", type=OneOf("RGB", "BGR"), default="RGB", show_default=True,
               help="that the model takes"),
        option("--input-dtype", type=OneOf("float32", "uint8"),
               help="(default: of the model's input layer)"),
    ),
    group(
        "The artifact",
        option("--output", metavar="FOLDER", type=FOLDER, required=True,
               help="new folder of the artifact"),
        option("--id", metavar="NAME", type=TEXT, help="model id (default: the file's name)"),
        option("--version", metavar="N.N.N", type=TEXT, default="1.0.0", show_default=True,
               help="of the model"),
        option("--licence", metavar="TEXT", type=TEXT,
               help="of the weights, for manifest and card (default: not stated)"),
        option("--description", metavar="TEXT", type=TEXT, default="",
               help="one line for the card"),
    ),
)  # fmt: skip
def wrap(options: Options, beam: Sequence[str]) -> int:
    """Write the artifact of a model from elsewhere."""
    import_tensorflow()
    from batch.training.foreign_model import WrapOptions, names_of
    from batch.training.wrap import wrap as make_artifact

    melanoma = options.melanoma.strip()
    words = ["--classes", options.classes, "--melanoma", melanoma]
    words += ["--threshold", f"{options.threshold:g}", "--output", "FOLDER"]
    for name in ("malignant", "kind", "input_dtype", "id", "description", "licence"):
        if given := getattr(options, name):
            words += [f"--{name.replace('_', '-')}", given]
    if options.value_range is not None:
        words += ["--value-range", "{:g},{:g}".format(*options.value_range)]
    words += ["--colour-order", options.colour_order, "--version", options.version]
    wrap_options = WrapOptions(
        classes=names_of(options.classes),
        melanoma=melanoma,
        malignant=(melanoma,) if options.malignant is None else names_of(options.malignant),
        threshold=options.threshold,
        kind=options.kind,
        value_range=options.value_range,
        colour_order=options.colour_order,
        input_dtype=options.input_dtype,
        model_id=options.id if options.id is not None else options.model_file.stem,
        model_version=options.version,
        description=options.description,
        command=f"{PROGRAM} wrap {shlex.join([options.model_file.name, *words])}",
        licence=options.licence,
    )
    artifact = make_artifact(options.model_file, wrap_options, options.output)
    say(
        f"{(artifact.folder / 'MODEL_CARD.md').read_text(encoding='utf-8')}\n"
        f"The artifact stands in {artifact.folder} and passed its start-up checks. Nothing was "
        f"measured; next: {PROGRAM} score ... --model {artifact.folder}, then {PROGRAM} "
        "calibrate.\n",
        sys.stdout,
    )
    return ExitCode.COMPLETE


TRAINING: tuple[Command, ...] = (train, wrap)
