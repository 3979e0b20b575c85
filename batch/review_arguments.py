"""The words of the review worklist, which `score` and `worklist` share. Imports no library."""

from __future__ import annotations

import argparse
from pathlib import Path

from batch.core.location import place
from batch.job_arguments import PROGRAM, at_least


def add_review(command: argparse.ArgumentParser) -> None:
    """How the worklist is made."""
    command.add_argument(
        "--lesion-pattern",
        metavar="REGEX",
        help="finds the lesion in the path of an image that names none, by a group (?P<lesion>...) "
        "and, where the path has it, (?P<patient>...); none: without one (default: as in the last "
        "night of REPORTS)",
    )
    command.add_argument(
        "--reviewed",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="marks of what was reviewed, .csv or .parquet; may be repeated (default: all files "
        "named reviewed*.csv or reviewed*.parquet in REPORTS)",
    )
    command.add_argument(
        "--thumbnails",
        action="store_true",
        help="show the listed images on the page, read again from the archive",
    )
    command.add_argument(
        "--explain",
        metavar="N",
        type=at_least(0),
        default=0,
        help="show for the first N lesions what the model's score hangs on (default: %(default)s)",
    )


def add_worklist(commands: argparse._SubParsersAction) -> None:
    """The command that makes the worklist anew."""
    worklist = commands.add_parser(
        "worklist",
        help="make the review worklist of the latest night anew, with today's marks",
        description="Make the review worklist of the latest night anew from the published tables "
        "and the marks there are now. Scores nothing; the published night stays as it is.",
        usage=f"{PROGRAM} worklist REPORTS [options]",
        allow_abbrev=False,
    )
    worklist.add_argument(
        "reports", metavar="REPORTS", type=place, help="folder with the reports, or s3://…"
    )
    worklist.add_argument(
        "--output",
        metavar="FOLDER",
        type=Path,
        help="folder for the worklist, replaced as a whole (default: REPORTS/worklist)",
    )
    worklist.add_argument(
        "--open", action="store_true", help="open the page in the browser of this machine"
    )
    add_review(worklist)
    worklist.add_argument(
        "--archive",
        metavar="ARCHIVE",
        type=place,
        help="where the images are, for pictures (default: where the night found them)",
    )
    worklist.add_argument(
        "--model",
        metavar="ID_OR_FOLDER",
        help="the model that scored, for --explain (default: the night's)",
    )
