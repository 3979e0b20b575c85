"""argv to options, and failures to exit codes. The only place that reads argv or a clock."""

from __future__ import annotations

import argparse
import json
import logging
import os
import secrets
import sys
import time
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from batch.archive.limits import parse_limits
from batch.archive.privacy import IdentifierPolicy, Identifiers, read_key
from batch.archive.rules import ReadingRules
from batch.archive.selection import Selection, parse_rules
from batch.arguments import PROGRAM, parser
from batch.config import JobConfig, whole_path
from batch.errors import BatchError, ExitCode, UsageError
from batch.interrupt import stop_on_signals
from batch.quiet import import_tensorflow


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    own, beam = _split_at_dashes(given)
    options = parser().parse_args(own)
    if beam and options.command != "score":
        print(f"{PROGRAM}: Beam options after `--` belong to `score`.", file=sys.stderr)
        return ExitCode.USAGE
    _quiet_libraries()
    try:
        return _COMMANDS[options.command](options, beam)
    except BatchError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted; nothing was published.", file=sys.stderr)
        return ExitCode.FAILURE
    except Exception as error:  # no traceback for a user; the log has the places
        from batch.console import explain_failure, log_failure

        log_failure(error)
        print(f"{PROGRAM}: {explain_failure(error)}", file=sys.stderr)
        if os.environ.get("MELANOMA_BATCH_DEBUG"):
            raise
        return ExitCode.FAILURE


def _score(options: argparse.Namespace, beam: Sequence[str]) -> int:
    started_at = datetime.now(UTC)
    config = JobConfig(
        archive=whole_path("ARCHIVE", options.archive),
        reports=whole_path("--output", options.output),
        model=options.model,
        run_id=f"{started_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}",
        started_at=started_at,
        operating_point=options.operating_point,
        segment_size=options.segment_size,
        batch_size=options.batch_size,
        decode_threads=options.decode_threads,
        max_unscored_rate=options.max_unscored_rate,
        rules=_reading_rules(options),
        beam_options=tuple(beam),
    )
    return _run(config, options.log_file)


def _reading_rules(options: argparse.Namespace) -> ReadingRules:
    key = read_key(options.patient_key_file) if options.patient_key_file else None
    return ReadingRules(
        limits=parse_limits(options.limit),
        selection=Selection(
            include=parse_rules("--include", options.include),
            exclude=parse_rules("--exclude", options.exclude),
        ),
        identifiers=IdentifierPolicy(Identifiers(options.identifiers), key),
    )


def _run(config: JobConfig, log_file: Path | None) -> int:
    from batch.console import Progress, start_log, summary
    from batch.night import run_night

    option = "--log-file" if log_file else "--output"
    log_file = whole_path(option, log_file or config.reports / "logs" / f"{config.run_id}.log")
    if config.archive in log_file.parents:
        raise UsageError(f"--log-file: {log_file} is in the archive, which is only read.")
    try:
        start_log(log_file)
    except OSError as error:
        raise UsageError(f"{option}: cannot write {log_file} ({error.strerror}).") from error
    with stop_on_signals(), Progress() as progress:
        night = run_night(config, progress, time.monotonic)
    _say(summary(night), sys.stdout)
    if night.counts.unscored_rate > config.max_unscored_rate:
        _say(
            f"{PROGRAM}: {night.counts.unscored_rate:.1%} of the images have no score; allowed: "
            f"{config.max_unscored_rate:.1%} (--max-unscored-rate). The night is published.\n",
            sys.stderr,
        )
        return ExitCode.UNSCORED_RATE
    return ExitCode.COMPLETE


def _say(text: str, stream: TextIO) -> None:
    """Print what a published night has to say; a closed or full terminal does not undo it."""
    try:
        stream.write(text)
        stream.flush()
    except UnicodeEncodeError:
        _say(text.encode("ascii", "backslashreplace").decode(), stream)
    except OSError:  # nobody reads: let the interpreter's own flush at exit not fail either
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())


def _demo(options: argparse.Namespace, beam: Sequence[str]) -> int:
    from batch.demo.archive import prepare_folder, write_archive

    archive = prepare_folder(options.folder)
    write_archive(archive, options.seed)
    reports = options.folder / "reports"
    arguments = ["score", str(archive), "--output", str(reports), "--max-unscored-rate", "0.5"]
    print(f"A generated archive stands in {archive}. Now running:\n")
    print(f"  {PROGRAM} {' '.join(arguments)}")
    code = _score(parser().parse_args(arguments), beam)
    print(
        "Open next:\n"
        f"  {reports / 'latest' / 'alerts.parquet'}      highest melanoma score first\n"
        f"  {reports / 'latest' / 'unscored'}            what a person must look at\n"
        f"  {reports / 'latest' / 'run.json'}            the ledger of this run\n"
        'for example with: python -c "import pandas; '
        f"print(pandas.read_parquet('{reports / 'latest' / 'alerts.parquet'}').T)\""
    )
    return code


def _train(options: argparse.Namespace, beam: Sequence[str]) -> int:
    _need_train_extra()
    import_tensorflow()
    from batch.training.export import export, new_folder
    from batch.training.fit import fit
    from batch.training.recipes import find_recipe

    recipe = find_recipe(options.recipe)
    folder = new_folder(options.output)
    verbose = 1 if sys.stderr.isatty() else 2
    fitted = fit(recipe, options.data, options.seed, options.epochs, verbose)
    command = f"{PROGRAM} train {recipe.name} --data DATA --output FOLDER --seed {options.seed}"
    if options.epochs:
        command += f" --epochs {options.epochs}"
    artifact = export(fitted, options.data, folder, command)
    print((artifact.folder / "MODEL_CARD.md").read_text(encoding="utf-8"))
    print(f"The artifact stands in {artifact.folder} and passed its start-up checks.")
    return ExitCode.COMPLETE


def _evaluate(options: argparse.Namespace, beam: Sequence[str]) -> int:
    _need_train_extra()
    from batch.training.evaluate import evaluate_predictions

    measures = evaluate_predictions(options.predictions, options.labels, options.split)
    print(json.dumps(measures, indent=2))
    return ExitCode.COMPLETE


def _need_train_extra() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("sklearn", "scipy", "imagehash") if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"this command needs {', '.join(missing)}; "
            "install: pip install 'melanoma-batch[train]'."
        )


def _split_at_dashes(arguments: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def _quiet_libraries() -> None:
    """What libraries say may quote what they read, and would stand in every cron mail."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())


_COMMANDS = {"score": _score, "demo": _demo, "train": _train, "evaluate": _evaluate}
