"""Options and handlers of `score`, `inventory` and `demo`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batch.commands.remembered import last_options, last_options_to_show
from batch.commands.settings import Command, Options
from batch.commands.shared import (
    DEFAULT_MODEL,
    PROGRAM,
    Decorator,
    argument,
    command,
    group,
    json_option,
    model_option,
    option,
)
from batch.commands.value_types import (
    FILE,
    FOLDER,
    NUMBER,
    PLACE,
    TEXT,
    Converted,
    OneOf,
    whole_number,
)
from batch.core.config import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_SEGMENT_SIZE,
    PAGE_LANGUAGES,
    REVIEW_BUDGET,
    Listing,
    Order,
)
from batch.core.errors import ExitCode
from batch.core.privacy import Identifiers
from batch.core.rules import LIMIT_NAMES
from batch.runtime.process import CORES_A_PROCESS
from batch.runtime.terminal import print_answer, say

_RULE = Converted("RULE", str)


def review_options() -> tuple[Any, ...]:
    """Options on the worklist, for `score` and `worklist`."""
    return (
        option(
            "--lesion-pattern", metavar="REGEX", type=TEXT,
            help="finds the lesion in the path of an image that names none, by a group "
            "(?P<lesion>...) and, where the path has it, (?P<patient>...); none: without one "
            "(default: as in the last run)",
        ),
        option(
            "--reviewed", metavar="FILE", type=FILE, multiple=True,
            help="marks of what was reviewed, .csv or .parquet; may be repeated (default: all "
            "files named reviewed*.csv or reviewed*.parquet in REPORTS)",
        ),
        option(
            "--pictures/--no-pictures", default=True, show_default=True,
            help="show the listed images on the page; their files lie in REPORTS/pictures",
        ),
        option(
            "--single-file", is_flag=True,
            help="put smaller pictures into the page itself, to be sent as one file",
        ),
        option(
            "--review-budget", metavar="N", type=whole_number(1), default=REVIEW_BUDGET,
            show_default=True, help="how many lesions of the list are the day's work",
        ),
        option(
            "--language", type=OneOf(*PAGE_LANGUAGES),
            help="of the page (default: the reader's browser decides)",
        ),
        option(
            "--explain", metavar="N", type=whole_number(0), default=0, show_default=True,
            help="show for the first N lesions what the model's score hangs on",
        ),
    )  # fmt: skip


def _job_parts(name: str) -> tuple[Decorator, ...]:
    return (
        argument("archive", "ARCHIVE", "folder with the images, or s3://…", PLACE, name),
        group(
            "A first run needs",
            option("--output", metavar="REPORTS", type=PLACE, required=True,
                   help="folder for the reports, or s3://…"),
            model_option(default=DEFAULT_MODEL, show_default=True),
            option("--identifiers", type=OneOf(*(level.value for level in Identifiers)),
                   default=Identifiers.UIDS.value, show_default=True,
                   help="identity in the reports: none, DICOM UIDs, or patient ID and accession "
                   "number too; remembered"),
            option("--patient-key-file", metavar="FILE", type=FILE,
                   help="32 bytes or more, readable by its owner only; gives a pseudonym to each "
                   "patient; remembered"),
            option("--deadline", metavar="HH:MM", type=TEXT,
                   help="local time after which no segment ends; the rest waits for the next run"),
        ),
        group(
            "What is read",
            option("--manifest", metavar="FILE", type=PLACE, multiple=True,
                   help="the hospital's table about the images, .csv, .xlsx or .parquet: patient, "
                   "lesion, site, date and more; may be repeated; none: no table; remembered"),
            option("--map", metavar="THEIRS=OURS", type=TEXT, multiple=True,
                   help="a column of a manifest that has another name, e.g. Bildname=image; may be "
                   "repeated; remembered"),
            option("--include", metavar="RULE", type=_RULE, multiple=True,
                   help="score only DICOM objects that match, e.g. modality=DMS; may be repeated; "
                   "none: no rule; remembered"),
            option("--exclude", metavar="RULE", type=_RULE, multiple=True,
                   help="state DICOM objects that match as non-images; may be repeated; none: no "
                   "rule; remembered"),
            option("--limit", metavar="NAME=NUMBER", type=TEXT, multiple=True,
                   help=f"bound of one file, may be repeated; names: {', '.join(LIMIT_NAMES)}"),
            option("--order", type=OneOf(*(order.value for order in Order)),
                   default=Order.NEWEST.value, show_default=True,
                   help="of reading, by modification time or path"),
            option("--listing", type=OneOf(*(listing.value for listing in Listing)),
                   default=Listing.AUTO.value, show_default=True,
                   help="who lists ARCHIVE: this process, or the workers of the Beam runner; auto: "
                   "workers from a million files on, where there is another runner"),
            option("--settle", metavar="SECONDS", type=whole_number(0), default=0,
                   show_default=True,
                   help="leave files modified less than so long ago for the next run"),
            option("--accept-shrunken-archive", is_flag=True,
                   help="go on although most of the files of the last run are gone"),
        ),
        group(
            "A second model in silence",
            option("--silent-model", metavar="ID_OR_FOLDER", type=TEXT,
                   help="score the same images with this model, too, into a table of its own; it "
                   "raises no alert, and its failure never ends a night"),
            option("--backfill", is_flag=True,
                   help="let it also score unchanged images, which are read again for it"),
        ),
        group(
            "The morning's page",
            *review_options(),
            option("--score-spread/--no-score-spread", default=True, show_default=True,
                   help="score alerts and lesions near the threshold again after harmless changes "
                   "of the picture, and tell how much the score changes"),
        ),
        group(
            "How it runs",
            option("--max-duration", metavar="TIME", type=TEXT,
                   help="as --deadline, after a while: 3h30m, 45m or 90s"),
            option("--processes", metavar="N", type=whole_number(),
                   help="processes of this machine that score segments side by side, each with a "
                   f"model of its own (default: one for each {CORES_A_PROCESS} cores; 1 with Beam "
                   "options)"),
            option("--decode-threads", metavar="N", type=whole_number(),
                   help="threads that read and decode, in each worker (default: one more than the "
                   "cores that this process may use, shared out among --processes)"),
            option("--segment-size", metavar="N", type=whole_number(),
                   default=DEFAULT_SEGMENT_SIZE, show_default=True,
                   help="files in one Beam pipeline; 0 for all in one"),
            option("--batch-size", metavar="N", type=whole_number(), default=DEFAULT_BATCH_SIZE,
                   show_default=True, help="images in one call of the model"),
        ),
        group(
            "What it says of itself",
            option("--operating-point", metavar="NAME", type=TEXT,
                   help="operating point of the model's manifest (default: the manifest's)"),
            option("--max-unscored-rate", metavar="RATE", type=NUMBER, default=0.1,
                   show_default=True,
                   help="exit with 6 when a larger share of the images has no score"),
            option("--log-file", metavar="FILE", type=FILE,
                   help="(default: REPORTS/logs/RUN_ID.log)"),
            option("--log-format", type=OneOf("text", "json"), default="text", show_default=True,
                   help="lines for people or for a log collector"),
            option("--metrics-file", metavar="FILE", type=FILE,
                   help="write figures of the run for Prometheus' textfile collector"),
        ),
    )  # fmt: skip


@command(
    "score",
    "score what is new in an archive and publish a night",
    "Score every image below ARCHIVE that is new or affected by a change, and publish tables of "
    "the whole archive in REPORTS.",
    *_job_parts("score"),
    recall=last_options,
    recall_to_show=last_options_to_show,
    epilog="What stands after `--` goes to Apache Beam, e.g. -- --runner FlinkRunner.",
)
def score(options: Options, beam: Sequence[str]) -> int:
    """One run."""
    from batch.commands.score import score as run

    return run(options, beam)


@command(
    "inventory",
    "say what `score` would do, and how long it would take; writes nothing",
    "List ARCHIVE, compare it with the reports, and say what `score` with the same options would "
    "do. Opens no image and writes nothing; options that have no part in that are taken, too, so "
    "that the word `inventory` can stand in place of `score`. In a file of settings it has "
    "score's table.",
    *_job_parts("inventory"),
    group("What it prints", json_option()),
    recall=last_options,
    recall_to_show=last_options_to_show,
    tables=("inventory", "score"),
)
def inventory(options: Options, beam: Sequence[str]) -> int:
    """A forecast."""
    from batch.commands.job_config import job_config
    from batch.operations.inventory import forecast, forecast_json

    config = job_config(options, beam, datetime.now(UTC), datetime.now())
    print_answer(forecast_json(config) if options.json else forecast(config))
    return ExitCode.COMPLETE


@command(
    "demo",
    "score a small archive of generated images and real photographs",
    "Write an archive of generated images and twelve real photographs, as five invented patients, "
    "and score it in two nights: the second finds a follow-up visit.",
    argument(
        "folder", "[FOLDER]", "where to put archive and reports [default: ./melanoma-batch-demo]",
        FOLDER, "demo", required=False, default=Path("melanoma-batch-demo"),
    ),
    group(
        "Options",
        option("--seed", metavar="N", type=whole_number(0), default=0, show_default=True,
               help="of the generated images"),
        option("--open", is_flag=True, help="open the page in the browser of this machine"),
    ),
)  # fmt: skip
def demo(options: Options, beam: Sequence[str]) -> int:
    """Two nights over the demonstration, each by the command that a user would type."""
    from batch.demo.archive import prepare_folder, write_archive
    from batch.demo.photographs import write_visits

    archive = prepare_folder(options.folder)
    write_archive(archive, options.seed)
    reports = options.folder / "reports"
    words = [str(archive), "--output", str(reports), "--identifiers", "full",
             "--max-unscored-rate", "0.5"]  # fmt: skip
    code = int(ExitCode.COMPLETE)
    for visit in (1, 2):
        photographs = write_visits(archive / "photographs-of-patients", visit)
        say(
            f"{_DEMO_NIGHTS[visit].format(archive=archive, photographs=photographs)} Now running:"
            f"\n\n  {PROGRAM} score {' '.join(words)}\n",
            sys.stdout,
        )
        code = run_command(score, words)
        if code != ExitCode.COMPLETE:
            return code
    page = reports / "latest" / "review_worklist.html"
    say(
        "The patients and visits are invented, and the model may have been trained on these\n"
        "photographs: their scores say nothing about how good it is.\n\n"
        "Open next:\n"
        f"  {page}  the morning's page\n"
        f"  {reports / 'latest' / 'alerts.parquet'}      highest melanoma score first\n"
        f"  {reports / 'latest' / 'unscored'}            what a person must look at\n"
        f"  {reports / 'latest' / 'run.json'}            the ledger of this run\n"
        'for example with: python -c "import pandas; '
        f"print(pandas.read_parquet('{reports / 'latest' / 'alerts.parquet'}').T)\"\n",
        sys.stdout,
    )
    if options.open:
        from batch.operations.rebuild_worklist import show

        if not show(page):
            say(f"{PROGRAM}: no browser was found; open the page by hand.\n", sys.stderr)
    return code


_DEMO_NIGHTS = {
    1: "The first night. {archive} holds generated images, broken files, and {photographs} real "
    "dermoscopy\nphotographs (ISIC UDA-1, CC-0) as three invented patients.",
    2: "\nThe second night. {photographs} lesions of one patient were photographed again.",
}


def run_command(command: Any, words: list[str]) -> int:
    """Run a command with these words, as if somebody had typed them; return its exit code."""
    context = command.make_context(command.name, list(words))
    with context:
        return int(command.invoke(context))


SCORING: tuple[Command, ...] = (score, inventory, demo)
