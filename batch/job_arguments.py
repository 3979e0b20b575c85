"""The options of the job itself, which `score` and `inventory` share. Imports no library."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from batch.core.config import DEFAULT_BATCH_SIZE, DEFAULT_SEGMENT_SIZE, Listing, Order
from batch.core.location import place
from batch.core.privacy import Identifiers
from batch.core.rules import LIMIT_NAMES
from batch.runtime.process import CORES_A_PROCESS

PROGRAM = "melanoma-batch"
DEFAULT_MODEL = "dermoscopy-lite0"


def at_least(low: int) -> Callable[[str], int]:
    """A whole number not below `low`, for argparse."""

    def number(word: str) -> int:
        if (value := int(word)) < low:
            raise argparse.ArgumentTypeError(f"found {value}; allowed: {low} or more")
        return value

    number.__name__ = "int"  # argparse names it in its message
    return number


def add_job(command: argparse.ArgumentParser) -> None:
    """What decides which files are read, how, and in which order."""
    command.add_argument(
        "archive", metavar="ARCHIVE", type=place, help="folder with the images, or s3://…"
    )
    command.add_argument(
        "--output",
        metavar="REPORTS",
        type=place,
        required=True,
        help="folder for the reports, or s3://…",
    )
    command.add_argument(
        "--model",
        metavar="ID_OR_FOLDER",
        default=DEFAULT_MODEL,
        help="bundled model or artifact folder (default: %(default)s)",
    )
    command.add_argument(
        "--operating-point",
        metavar="NAME",
        help="operating point of the model's manifest (default: the manifest's)",
    )
    command.add_argument(
        "--segment-size",
        metavar="N",
        type=int,
        default=DEFAULT_SEGMENT_SIZE,
        help="files in one Beam pipeline; 0 for all in one (default: %(default)s)",
    )
    command.add_argument(
        "--batch-size",
        metavar="N",
        type=int,
        default=DEFAULT_BATCH_SIZE,
        help="images in one call of the model (default: %(default)s)",
    )
    command.add_argument(
        "--decode-threads",
        metavar="N",
        type=int,
        help="threads that read and decode, in each worker (default: one more than the cores that "
        "this process may use, shared out among --processes)",
    )
    command.add_argument(
        "--processes",
        metavar="N",
        type=int,
        help="processes of this machine that score segments side by side, each with a model of its "
        f"own (default: one for each {CORES_A_PROCESS} cores; 1 with Beam options)",
    )
    command.add_argument(
        "--identifiers",
        choices=[level.value for level in Identifiers],
        default=Identifiers.UIDS.value,
        help="identity in the reports: none, DICOM UIDs, or patient ID and accession number too "
        "(default: %(default)s)",
    )
    command.add_argument(
        "--patient-key-file",
        metavar="FILE",
        type=Path,
        help="32 bytes or more, readable by its owner only; gives a pseudonym to each patient",
    )
    command.add_argument(
        "--include",
        metavar="RULE",
        action="append",
        default=[],
        help="score only DICOM objects that match, e.g. modality=DMS; may be repeated",
    )
    command.add_argument(
        "--exclude",
        metavar="RULE",
        action="append",
        default=[],
        help="state DICOM objects that match as non-images; may be repeated",
    )
    command.add_argument(
        "--limit",
        metavar="NAME=NUMBER",
        action="append",
        default=[],
        help=f"bound of one file, may be repeated; names: {', '.join(LIMIT_NAMES)}",
    )
    command.add_argument(
        "--order",
        choices=[order.value for order in Order],
        default=Order.NEWEST.value,
        help="of reading, by modification time or path (default: %(default)s)",
    )
    command.add_argument(
        "--listing",
        choices=[listing.value for listing in Listing],
        default=Listing.AUTO.value,
        help="who lists ARCHIVE: this process, or the workers of the Beam runner; auto: workers "
        "from a million files on, where there is another runner (default: %(default)s)",
    )
    command.add_argument(
        "--settle",
        metavar="SECONDS",
        type=at_least(0),
        default=0,
        help="leave files modified less than so long ago for the next run (default: %(default)s)",
    )
    command.add_argument(
        "--deadline",
        metavar="HH:MM",
        help="local time after which no segment ends; the rest waits for the next run",
    )
    command.add_argument(
        "--max-duration", metavar="TIME", help="the same after a while, e.g. 3h30m, 45m or 90s"
    )
    command.add_argument(
        "--accept-shrunken-archive",
        action="store_true",
        help="go on although most of the files of the last night are gone",
    )


def add_outcome(command: argparse.ArgumentParser) -> None:
    """What a run says of itself, and where."""
    command.add_argument(
        "--max-unscored-rate",
        metavar="RATE",
        type=float,
        default=0.1,
        help="exit with 6 when a larger share of the images has no score (default: %(default)s)",
    )
    command.add_argument(
        "--log-file", metavar="FILE", type=Path, help="(default: REPORTS/logs/RUN_ID.log)"
    )
    command.add_argument(
        "--log-format",
        choices=["text", "json"],
        default="text",
        help="lines for people or for a log collector (default: %(default)s)",
    )
    command.add_argument(
        "--metrics-file",
        metavar="FILE",
        type=Path,
        help="write figures of the run for Prometheus' textfile collector",
    )
