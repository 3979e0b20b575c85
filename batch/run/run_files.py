"""The log and the metrics file of a run. Both are tried before the first file of the archive is
read, so that a wrong path is reported at once.
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
    """Files that a run writes besides its reports.

    log: as given, else named by the run.
    log_option: the option that decides where the log is, for messages.
    metrics: None if no metrics are wanted.
    """

    log: Path
    log_option: str
    metrics: Path | None


def run_files(options: SimpleNamespace, archive: Place, reports: Path, run_id: str) -> RunFiles:
    """Choose the log and the metrics file, and make sure that both can be written.

    Raises:
        UsageError: one cannot; the message says option, path, what is wrong and what to do.
    """
    log = _checked_path("--log-file", options.log_file, options, archive, reports)
    metrics = _checked_path("--metrics-file", options.metrics_file, options, archive, reports)
    if log is not None and log == metrics:
        _refuse("--metrics-file", log, "it is the --log-file", "Name another file.")
    defaults = usual_files(reports, run_id)
    return RunFiles(log, "--log-file", metrics) if log else replace(defaults, metrics=metrics)


def usual_files(reports: Path, run_id: str) -> RunFiles:
    """The log of a run without `--log-file`, and no metrics."""
    return RunFiles(reports / LOGS / f"{run_id}.log", "--output", None)


def _checked_path(
    option: str, given: Path | None, options: SimpleNamespace, archive: Place, reports: Path
) -> Path | None:
    if given is None:
        return None
    path = whole_path(option, given)
    if isinstance(archive, Path) and archive in (path, *path.parents):
        _refuse(option, path, "it is in the archive, which is only read", "Choose another folder.")
    if reports in (path, *path.parents) and not _is_free_name(path.relative_to(reports)):
        _refuse(option, path, f"the job uses this name in {reports}", f"Choose {reports / LOGS}.")
    for input_file in (options.patient_key_file, *options.reviewed):
        if input_file is not None and path == whole_path(option, input_file):
            _refuse(option, path, "the run reads this file", "Name another file.")
    try:
        _check_writable(option, path)
    except OSError as error:
        _refuse(option, path, str(error.strerror), "Check the folder and the permissions there.")
    return path


def _is_free_name(name: Path) -> bool:
    """Whether the job does not use a name in REPORTS: another name at its top, or in `logs/`."""
    first = name.parts[:1]
    if first == (LOGS,):
        return len(name.parts) > 1 and name.suffix != SUFFIX
    return len(name.parts) == 1 and not name.name.startswith((".", "latest", "runs", "reviewed",
                                                              "worklist", "marks", "outcomes",
                                                              "pictures"))  # fmt: skip


def _check_writable(option: str, path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    if stat.S_ISDIR(mode):
        _refuse(option, path, "it is a folder", "Give the name of a file.")
    if not stat.S_ISREG(mode) and not (option == "--log-file" and stat.S_ISCHR(mode)):
        # metrics are put in place by a rename, which would replace /dev/null for all programs
        _refuse(option, path, "it is no regular file", "Give the name of a file.")
    if not path.parent.is_dir():
        kind = "is no folder" if os.path.lexists(path.parent) else "does not exist"
        _refuse(option, path, f"{path.parent} {kind}", "Make the folder, or correct the name.")
    if option == "--log-file":
        path.open("ab").close()
    else:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name[:100]}."):
            pass


def _refuse(option: str, path: Path, why: str, remedy: str) -> NoReturn:
    raise UsageError(f"{option}: cannot write {path}: {why}. {remedy}")
