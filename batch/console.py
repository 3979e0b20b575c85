"""What a person and a log file see of a run: progress, lines without patient data, a summary."""

from __future__ import annotations

import errno
import logging
import os
import sys
import textwrap
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tqdm import tqdm

from batch.failures import STORE_REFUSED, causes, places
from batch.night import Night
from batch.objects.store import store_code
from batch.operations.log_json import JsonFormatter
from batch.progress import FILES_READ
from batch.records import FileState, OperatingPoint
from batch.reports.identity import identity_lines
from batch.reports.review_said import marks_lines

logger = logging.getLogger(__name__)
BAR_SECONDS = 0.5
_STORAGE_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.EACCES, errno.EPERM}
)
LOG_EVERY = 60
"""Bar refreshes between two progress lines in the log: one line in half a minute."""


def start_log(path: Path, json_run_id: str | None = None) -> None:
    """Send this program's log lines to a file, and nobody else's anywhere.

    Args:
        json_run_id: write JSON lines that name this run; None: lines for people.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    plain = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    handler.setFormatter(JsonFormatter(json_run_id) if json_run_id else plain)
    ours = logging.getLogger("batch")
    ours.handlers = [handler]
    ours.setLevel(logging.INFO)
    ours.propagate = False
    logging.raiseExceptions = False  # a full disk of the log is no reason to shout
    # libraries may quote what they were working on, file names and attributes included
    for library in ("apache_beam", "tensorflow", "absl", "pydicom", "PIL", "root"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
    logging.getLogger().handlers = [logging.NullHandler()]


def log_failure(error: BaseException) -> None:
    """Log where an unexpected error came from, without its message: messages quote values."""
    for line in places(error):
        logger.error("%s", line)


def explain_failure(error: BaseException) -> str:
    """One line for the person at the terminal: a failing disk by its name, the rest by the log.

    A storage error can only be of the reports: what fails in the archive is a row of the report.
    """
    for cause in causes(error):
        if isinstance(cause, OSError) and (code := store_code(cause)):
            return STORE_REFUSED.format(code)
        if isinstance(cause, OSError) and cause.errno in _STORAGE_ERRORS:
            return (
                f"the reports cannot be written ({os.strerror(cause.errno)}); nothing was "
                "published. Free space or check the disk, then start again."
            )
    where = (
        "The log file says where."
        if logging.getLogger("batch").handlers
        else "MELANOMA_BATCH_DEBUG=1 shows where."
    )
    return f"unexpected failure ({type(error).__name__}); nothing was published. {where}"


class Progress:
    """A bar on a terminal; on anything else silence, and lines in the log in both cases."""

    def __init__(self, visible: bool | None = None) -> None:
        self._visible = sys.stderr.isatty() if visible is None else visible
        self._before = FILES_READ.value
        self._settled, self._files = 0, 0
        self._bar: tqdm | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._bar is not None:
            self._thread.join()
            self._bar.close()

    def found(self, files: int) -> None:
        """The inventory is complete: the bar's length is known."""
        self._files = files
        self._bar = tqdm(total=files, unit="file", disable=not self._visible, smoothing=0.05)
        self._before = FILES_READ.value
        self._thread.start()

    def done(self, files: int) -> None:
        """So many files are settled since the start, at a segment's end."""
        self._settled = files

    def _follow(self) -> None:
        assert self._bar is not None
        ticks, shown = 0, 0
        while True:
            ended = self._stop.wait(BAR_SECONDS)
            done = max(self._settled, FILES_READ.value - self._before)
            done = min(done, self._files)  # an engine may read a file twice
            self._bar.update(done - shown)
            shown = done
            ticks += 1
            if ticks % LOG_EVERY == 0:
                logger.info("%d of %d files read", done, self._files)
            if ended:
                return


def summary(night: Night) -> str:
    """The closing summary: what was found, what became of it, where to look."""
    counts, facts = night.counts, night.settings.facts
    point = facts.operating_point
    lines = [
        "",
        f"Found      {counts.files_found:>8} files, {counts.frames} images in them",
        f"Scored     {counts.predictions:>8} images in {counts.state(FileState.SCORED)} files"
        + _rate(night),
        *_remembered(night),
        f"Alerts     {counts.alerts:>8} at {point.name}: score {point.threshold:.3f} or more"
        " (no alert does not mean cleared)",
        *_worklist(night.run.get("review", {})),
        *marks_lines(night.run.get("review", {})),
        *identity_lines(night.run),
        f"Unscored   {counts.unscored_rows:>8} for a person to look at"
        + (f", {counts.new_unscored} of them new" if counts.unscored_rows else "")
        + _reasons(counts.unscored_reasons),
        f"Non-image  {counts.state(FileState.NON_IMAGE):>8}" + _reasons(counts.non_image_reasons),
    ]
    if counts.state(FileState.PENDING):
        lines.append(
            f"Pending    {counts.state(FileState.PENDING):>8} until the next run"
            + _reasons(counts.pending_reasons)
        )
    lines += [
        f"Model      {facts.model_id} {facts.model_version}, {_evidence(point)}",
        *_caution(night.settings.artifact.manifest.caution),
        *_stopped(night),
        f"Reports    {night.where}",
        "",
    ]
    return "\n".join(lines)


def _evidence(point: OperatingPoint) -> str:
    """What was measured of an operating point; nothing, for a wrapped model."""
    if not point.melanomas:
        return "sensitivity and specificity not measured"
    return (
        f"sensitivity {point.sensitivity:.2f} and specificity {point.specificity:.2f} on "
        f"{point.validation_set}" + (" (provisional: few melanomas)" if point.provisional else "")
    )


def _worklist(review: Mapping[str, Any]) -> list[str]:
    """What the morning's list holds, and what of it could not be made."""
    lines, made = [], review.get("worklist")
    if made is not None:
        lines = [
            f"Worklist   {sum(made['lesions'].values()):>8} lesions ask for a look, "
            f"{made['new_alerts']} of them by a new alert; {made['open_alerts']} alerts are open"
        ]
    failed = review.get("failed", {})
    return lines + [f"Left out   {name} of the review: {why}" for name, why in failed.items()]


def _remembered(night: Night) -> list[str]:
    """What earlier nights had to say; nothing on the first."""
    counts, run = night.counts, night.run
    memory, lines = run["memory"], []
    if memory["run_id"] is not None:
        lines = [
            f"Unchanged  {counts.state(FileState.UNCHANGED):>8} files, not opened; "
            f"{counts.state(FileState.REUSED)} more have known content at a new place",
            f"Current    {counts.current:>8} images have a score, over all nights"
            f"; {run['left_archive']} files left the archive",
        ]
    if run["taken_up"]:
        lines.append(f"Taken up   {run['taken_up']:>8} files of a run that did not end")
    if counts.turned:
        lines.append(f"           {counts.turned:>8} alerts by the operating point alone")
    lines += [f"Damaged    night {night_id}: not used as memory" for night_id in memory["damaged"]]
    return lines


def _stopped(night: Night) -> list[str]:
    return [f"Stopped    by {night.run['stopped']}: the next run goes on"] if night.stopped else []


def _caution(text: str) -> list[str]:
    return textwrap.wrap(
        text, 88, initial_indent="Caution    ", subsequent_indent=" " * len("Caution    ")
    )


def _rate(night: Night) -> str:
    """The pace of reading and scoring; nothing where nothing was scored."""
    rate = night.run["images_per_second"]
    return "" if rate is None else f"  ({rate:.1f} images/s)"


def _reasons(reasons: object) -> str:
    items = sorted(dict(reasons).items())  # type: ignore[call-overload]
    return "".join(f"\n           {count:>8}   {reason}" for reason, count in items)
