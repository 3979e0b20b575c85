"""The files that a run writes besides its reports, log and metrics: proved before the first file of
the archive is read, since nobody wants to learn in the morning that the night left no word.
"""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

from batch.core.errors import UsageError
from batch.core.location import Place, whole_path
from batch.reports.attempts import LOGS, SUFFIX


@dataclass(frozen=True)
class RunFiles:
    """log: given or of the run's own name. metrics: None where none are wanted."""

    log: Path
    log_option: str
    metrics: Path | None


def run_files(options: SimpleNamespace, archive: Place, reports: Path, run_id: str) -> RunFiles:
    """Where log and metrics go; both can be written there.

    Raises:
        UsageError: says option, path, what is wrong, what to do.
    """
    log = _checked("--log-file", options.log_file, options, archive, reports)
    metrics = _checked("--metrics-file", options.metrics_file, options, archive, reports)
    if log is not None and log == metrics:
        _refuse("--metrics-file", log, "it is the --log-file", "Name another.")
    usual = usual_files(reports, run_id)
    return RunFiles(log, "--log-file", metrics) if log else replace(usual, metrics=metrics)


def usual_files(reports: Path, run_id: str) -> RunFiles:
    """Where the log goes when no option says so."""
    return RunFiles(reports / LOGS / f"{run_id}.log", "--output", None)


def _checked(
    option: str, given: Path | None, options: SimpleNamespace, archive: Place, reports: Path
) -> Path | None:
    if given is None:
        return None
    path = whole_path(option, given)
    if isinstance(archive, Path) and archive in (path, *path.parents):
        _refuse(option, path, "it is in the archive, which is only read", "Choose another folder.")
    if reports in (path, *path.parents) and not _is_free(path.relative_to(reports)):
        _refuse(
            option, path, f"this name in {reports} is the job's own", f"Choose {reports / LOGS}."
        )
    for read in (options.patient_key_file, *options.reviewed):
        if read is not None and path == whole_path(option, read):
            _refuse(option, path, "the run reads this file", "Name another.")
    try:
        _prove(option, path)
    except OSError as error:
        _refuse(option, path, str(error.strerror), "Check the folder and the permissions there.")
    return path


def _is_free(name: Path) -> bool:
    """Whether a name in REPORTS is nobody's: a file beside what is ours, or in `logs/`."""
    first = name.parts[:1]
    if first == (LOGS,):
        return len(name.parts) > 1 and name.suffix != SUFFIX
    return len(name.parts) == 1 and not name.name.startswith((".", "latest", "runs", "reviewed",
                                                              "worklist", "marks", "outcomes",
                                                              "pictures"))  # fmt: skip


def _prove(option: str, path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    if stat.S_ISDIR(mode):
        _refuse(option, path, "it is a folder", "Give the name of a file.")
    if not stat.S_ISREG(mode) and not (option == "--log-file" and stat.S_ISCHR(mode)):
        # metrics take their place by a rename, which would replace /dev/null for everybody
        _refuse(option, path, "it is no regular file", "Give the name of a file.")
    if not path.parent.is_dir():
        kind = "is no folder" if os.path.lexists(path.parent) else "is not there"
        _refuse(option, path, f"{path.parent} {kind}", "Make the folder, or correct the name.")
    if option == "--log-file":
        path.open("ab").close()
    else:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name[:100]}."):
            pass


def _refuse(option: str, path: Path, why: str, remedy: str) -> NoReturn:
    raise UsageError(f"{option}: cannot write {path}: {why}. {remedy}")
