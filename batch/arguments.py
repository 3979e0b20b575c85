"""The command line's words: every command, option, default and help text. Imports no library."""

from __future__ import annotations

import argparse
from pathlib import Path

from batch import __version__
from batch.artifact_arguments import add_calibrate, add_map_label, add_wrap
from batch.command_parser import CommandParser
from batch.core.location import folder, place
from batch.job_arguments import DEFAULT_MODEL, PROGRAM, add_job, add_outcome, at_least
from batch.review_arguments import add_review, add_worklist


def parser() -> CommandParser:
    """The whole command line."""
    top = CommandParser(PROGRAM, description=_DESCRIPTION, allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_score(commands)
    _add_inventory(commands)
    _add_current(commands)
    _add_runs(commands)
    add_worklist(commands)
    _add_serve(commands)
    _add_prune(commands)
    _add_doctor(commands)
    _add_demo(commands)
    _add_train(commands)
    _add_evaluate(commands)
    add_calibrate(commands)
    add_wrap(commands)
    return top


_DESCRIPTION = (
    "Score an archive of dermoscopy images with a Keras model in an Apache Beam pipeline. "
    "Scores rank images for a person's review; they are no diagnosis."
)


def _add_score(commands: argparse._SubParsersAction) -> None:
    score = commands.add_parser(
        "score",
        help="score what is new in an archive and publish a night",
        description="Score every image below ARCHIVE that is new or affected by a change, and "
        "publish tables of the whole archive in REPORTS.",
        usage=f"{PROGRAM} score ARCHIVE --output REPORTS [options] [-- BEAM OPTIONS]",
        epilog="What stands after `--` goes to Apache Beam, e.g. -- --runner FlinkRunner.",
        allow_abbrev=False,
    )
    add_job(score)
    add_review(score)
    add_outcome(score)


def _add_inventory(commands: argparse._SubParsersAction) -> None:
    inventory = commands.add_parser(
        "inventory",
        help="say what `score` would do, and how long it would take; writes nothing",
        description="List ARCHIVE, compare it with the reports, and say what `score` with the same "
        "options would do. Opens no image and writes nothing; options that have no part in that "
        "are taken, too, so that the word `inventory` can stand in place of `score`.",
        usage=f"{PROGRAM} inventory ARCHIVE --output REPORTS [options of score]",
        allow_abbrev=False,
    )
    add_job(inventory)
    add_review(inventory)
    add_outcome(inventory)


def _add_current(commands: argparse._SubParsersAction) -> None:
    current = commands.add_parser(
        "current",
        help="the newest prediction of every image still in the archive, over all nights",
        allow_abbrev=False,
    )
    _add_reports(current)
    current.add_argument(
        "--output", metavar="FILE", type=Path, help="write it as one Parquet file (.parquet)"
    )


def _add_runs(commands: argparse._SubParsersAction) -> None:
    runs = commands.add_parser("runs", help="the last nights in a table", allow_abbrev=False)
    _add_reports(runs)
    runs.add_argument(
        "--last", metavar="N", type=at_least(1), default=14, help="nights (default: %(default)s)"
    )


def _add_serve(commands: argparse._SubParsersAction) -> None:
    serve = commands.add_parser(
        "serve",
        help="show the latest night's page from a small server that takes marks (extra [desk])",
        description="Serve the page of the latest night. Marks are saved at once in "
        "REPORTS/reviewed-desk.csv, which the next night reads. Only this machine reaches it, "
        "unless --host says otherwise.",
        usage=f"{PROGRAM} serve REPORTS [options]",
        allow_abbrev=False,
    )
    _add_reports(serve)
    serve.add_argument(
        "--archive",
        metavar="ARCHIVE",
        type=place,
        help="where the images are, for originals (default: where the night found them)",
    )
    serve.add_argument(
        "--host",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="listen there; other machines need --url, and --users or --user-header "
        "(default: %(default)s)",
    )
    serve.add_argument(
        "--port", metavar="N", type=at_least(0), default=8787, help="(default: %(default)s)"
    )
    serve.add_argument(
        "--url",
        metavar="URL",
        help="what people type in, where a reverse proxy stands in front (https://…)",
    )
    serve.add_argument(
        "--users", metavar="FILE", type=Path, help="names and passwords, as htpasswd -B writes them"
    )
    serve.add_argument(
        "--user-header", metavar="NAME", help="header in which a reverse proxy says who it is"
    )
    serve.add_argument(
        "--proxy-secret-file",
        metavar="FILE",
        type=Path,
        help="secret that this proxy sends along as X-Desk-Secret",
    )
    serve.add_argument(
        "--viewer",
        metavar="NAME",
        action="append",
        default=[],
        help="this person may look and not mark; may be repeated",
    )
    serve.add_argument("--read-only", action="store_true", help="take no marks from anybody")
    serve.add_argument(
        "--open", action="store_true", help="open the page in the browser of this machine"
    )


def _add_prune(commands: argparse._SubParsersAction) -> None:
    prune = commands.add_parser(
        "prune",
        help="free the disk of old nights' snapshots; predictions and ledgers stay",
        allow_abbrev=False,
    )
    _add_reports(prune)
    prune.add_argument(
        "--keep",
        metavar="N",
        type=at_least(1),
        default=30,
        help="nights whose snapshots stay; the latest always does (default: %(default)s)",
    )
    prune.add_argument("--dry-run", action="store_true", help="only say what would be removed")


def _add_doctor(commands: argparse._SubParsersAction) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="check libraries, decoders, model, disk and permissions",
        allow_abbrev=False,
    )
    doctor.add_argument("--archive", metavar="ARCHIVE", type=place, help="check this archive, too")
    doctor.add_argument("--output", metavar="REPORTS", type=place, help="check these reports, too")
    doctor.add_argument(
        "--model",
        metavar="ID_OR_FOLDER",
        default=DEFAULT_MODEL,
        help="bundled model or artifact folder (default: %(default)s)",
    )


def _add_reports(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "reports", metavar="REPORTS", type=place, help="folder with the reports, or s3://…"
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
        "--seed",
        metavar="N",
        type=at_least(0),
        default=0,
        help="of the images (default: %(default)s)",
    )


def _add_train(commands: argparse._SubParsersAction) -> None:
    train = commands.add_parser(
        "train",
        help="train a model and write its artifact (needs the extra [train])",
        allow_abbrev=False,
    )
    train.add_argument("recipe", metavar="RECIPE", help="see README, 'Training'")
    train.add_argument(
        "--data", metavar="FOLDER", type=Path, required=True, help="folder with isic9/ and tables"
    )
    train.add_argument(
        "--output", metavar="FOLDER", type=Path, required=True, help="new folder of the artifact"
    )
    train.add_argument(
        "--seed",
        metavar="N",
        type=at_least(0),
        default=17,
        help="of split, weights (default: 17)",
    )
    train.add_argument(
        "--epochs", metavar="N", type=at_least(1), help="at most so many (default: the recipe's)"
    )
    train.add_argument(
        "--weights", metavar="NPZ", type=Path, help="ImageNet weights of a recipe's backbone"
    )
    train.add_argument(
        "--hold-out",
        metavar="SOURCE",
        action="append",
        default=[],
        help="do not train on this source, judge by it; may be repeated",
    )
    train.add_argument(
        "--held-out-run",
        metavar="FOLDER",
        type=Path,
        action="append",
        default=[],
        help="an artifact of this recipe with --hold-out, whose figures go on the card; may be "
        "repeated",
    )
    train.add_argument(
        "--resume",
        metavar="FOLDER",
        type=Path,
        help="keep checkpoints there, and go on from the last whole epoch",
    )
    train.add_argument(
        "--cache",
        metavar="FOLDER",
        type=Path,
        help="keep the decoded images there (97 KB each), for recipes over described sources",
    )


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="measure a published night against labels",
        allow_abbrev=False,
    )
    evaluate.add_argument(
        "predictions",
        metavar="PREDICTIONS",
        type=folder,
        help="reports folder, one night, or a file of `current --output`",
    )
    evaluate.add_argument(
        "--labels",
        metavar="CSV",
        type=Path,
        required=True,
        help="columns label, and image_id, content_sha256 or image; group, split, site, sex, age, "
        "source where known",
    )
    add_map_label(evaluate)
    evaluate.add_argument("--split", metavar="NAME", help="take only these rows of the labels")
    evaluate.add_argument(
        "--model",
        metavar="ID_OR_FOLDER",
        help="measure at the operating points of this model's manifest, too; it must be the one "
        "that made the predictions",
    )
    evaluate.add_argument(
        "--min-cell",
        metavar="N",
        type=at_least(1),
        default=10,
        help="no figure of subgroups with fewer melanomas or others (default: %(default)s)",
    )
    evaluate.add_argument(
        "--missed", metavar="FILE", type=Path, help="list the missed melanomas in a CSV"
    )
    evaluate.add_argument(
        "--isic-csv",
        metavar="FILE",
        type=Path,
        help="write the predictions of the judged images as the ISIC challenges take them",
    )
    evaluate.add_argument(
        "--isic-format",
        choices=["2018", "2019"],
        default="2019",
        help="whose columns --isic-csv has (default: %(default)s)",
    )
    evaluate.add_argument(
        "--json", metavar="FILE", help="write the figures for a machine; - for standard output"
    )
