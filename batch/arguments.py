"""The command line's words: every command, option, default and help text. Imports no library."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from batch import __version__
from batch.archive.limits import LIMIT_NAMES
from batch.archive.privacy import Identifiers
from batch.config import DEFAULT_SEGMENT_SIZE

PROGRAM = "melanoma-batch"
DEFAULT_MODEL = "isic9-dropout"


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(PROGRAM, description=_DESCRIPTION, allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_score(commands)
    _add_demo(commands)
    _add_train(commands)
    _add_evaluate(commands)
    return top


_DESCRIPTION = (
    "Score an archive of dermoscopy images with a Keras model in an Apache Beam pipeline. "
    "Scores rank images for a person's review; they are no diagnosis."
)


def _from(low: int) -> Callable[[str], int]:
    """A whole number not below `low`, for argparse."""

    def number(word: str) -> int:
        if (value := int(word)) < low:
            raise argparse.ArgumentTypeError(f"found {value}; allowed: {low} or more")
        return value

    number.__name__ = "int"  # argparse names it in its message
    return number


def _add_score(commands: argparse._SubParsersAction) -> None:
    score = commands.add_parser(
        "score",
        help="score an archive and publish a night",
        description="Score every image below ARCHIVE and publish tables in REPORTS.",
        usage=f"{PROGRAM} score ARCHIVE --output REPORTS [options] [-- BEAM OPTIONS]",
        epilog="What stands after `--` goes to Apache Beam, e.g. -- --runner FlinkRunner.",
        allow_abbrev=False,
    )
    score.add_argument("archive", metavar="ARCHIVE", type=Path, help="folder with the images")
    score.add_argument(
        "--output", metavar="REPORTS", type=Path, required=True, help="folder for the reports"
    )
    score.add_argument(
        "--model",
        metavar="ID_OR_FOLDER",
        default=DEFAULT_MODEL,
        help="bundled model or artifact folder (default: %(default)s)",
    )
    score.add_argument(
        "--operating-point",
        metavar="NAME",
        help="operating point of the model's manifest (default: the manifest's)",
    )
    score.add_argument(
        "--max-unscored-rate",
        metavar="RATE",
        type=float,
        default=0.1,
        help="exit with 6 when a larger share of the images has no score (default: %(default)s)",
    )
    score.add_argument(
        "--segment-size",
        metavar="N",
        type=int,
        default=DEFAULT_SEGMENT_SIZE,
        help="files in one Beam pipeline; 0 for all in one (default: %(default)s)",
    )
    score.add_argument(
        "--batch-size",
        metavar="N",
        type=int,
        default=32,
        help="images in one call of the model (default: %(default)s)",
    )
    score.add_argument(
        "--decode-threads",
        metavar="N",
        type=int,
        default=os.cpu_count() or 1,
        help="threads that read and decode, in each worker (default: number of cores)",
    )
    score.add_argument(
        "--identifiers",
        choices=[level.value for level in Identifiers],
        default=Identifiers.UIDS.value,
        help="identity in the reports: none, DICOM UIDs, or patient ID and accession number too "
        "(default: %(default)s)",
    )
    score.add_argument(
        "--patient-key-file",
        metavar="FILE",
        type=Path,
        help="32 bytes or more, readable by its owner only; gives a pseudonym to each patient",
    )
    score.add_argument(
        "--include",
        metavar="RULE",
        action="append",
        default=[],
        help="score only DICOM objects that match, e.g. modality=DMS; may be repeated",
    )
    score.add_argument(
        "--exclude",
        metavar="RULE",
        action="append",
        default=[],
        help="state DICOM objects that match as non-images; may be repeated",
    )
    score.add_argument(
        "--limit",
        metavar="NAME=NUMBER",
        action="append",
        default=[],
        help=f"bound of one file, may be repeated; names: {', '.join(LIMIT_NAMES)}",
    )
    score.add_argument(
        "--log-file", metavar="FILE", type=Path, help="(default: REPORTS/logs/RUN_ID.log)"
    )


def _add_demo(commands: argparse._SubParsersAction) -> None:
    demo = commands.add_parser(
        "demo", help="generate a small archive and score it for real", allow_abbrev=False
    )
    demo.add_argument(
        "folder",
        metavar="FOLDER",
        type=Path,
        nargs="?",
        default=Path("melanoma-batch-demo"),
        help="where to put archive and reports (default: ./%(default)s)",
    )
    demo.add_argument(
        "--seed", metavar="N", type=_from(0), default=0, help="of the images (default: %(default)s)"
    )


def _add_train(commands: argparse._SubParsersAction) -> None:
    train = commands.add_parser(
        "train",
        help="train a model and write its artifact (needs the extra [train])",
        allow_abbrev=False,
    )
    train.add_argument("recipe", metavar="RECIPE", help="isic9-dropout")
    train.add_argument(
        "--data", metavar="FOLDER", type=Path, required=True, help="folder with isic9/ and tables"
    )
    train.add_argument(
        "--output", metavar="FOLDER", type=Path, required=True, help="new folder of the artifact"
    )
    train.add_argument(
        "--seed", metavar="N", type=_from(0), default=17, help="of split and weights (default: 17)"
    )
    train.add_argument(
        "--epochs", metavar="N", type=_from(1), help="at most so many (default: the recipe's)"
    )


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="measure a published night against labels (needs the extra [train])",
        allow_abbrev=False,
    )
    evaluate.add_argument(
        "predictions", metavar="PREDICTIONS", type=Path, help="reports folder or one night"
    )
    evaluate.add_argument(
        "--labels",
        metavar="CSV",
        type=Path,
        required=True,
        help="columns label, and content_sha256 or image; group and split where known",
    )
    evaluate.add_argument("--split", metavar="NAME", help="take only these rows of the labels")
