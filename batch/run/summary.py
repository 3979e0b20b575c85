"""The summary that a person reads at the end of a run, and its exit code."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from batch.core.errors import ExitCode
from batch.core.records import FileState, OperatingPoint
from batch.model.manifest import ModelManifest
from batch.reports.run_record import printable, record_of, review_of
from batch.review.identity import identity_lines
from batch.review.inputs import WORKLIST
from batch.run.hospital_tables import manifest_lines
from batch.run.score_run import Night
from batch.run.silent import silent_lines

_MOST_ROWS = 5


def marks_not_understood(run: Mapping[str, Any]) -> int:
    """Number of rows in files with marks that do not count."""
    review = record_of(run).review
    worklist = review.worklist if review else None
    return (worklist.marks_not_understood or 0) if worklist else 0


def marks_complaint(run: Mapping[str, Any]) -> str | None:
    """What to do about marks that do not count; None if every row was understood."""
    if not (lost := marks_not_understood(run)):
        return None
    rows = "1 row" if lost == 1 else f"{lost} rows"
    return (
        f"{rows} of the files with marks cannot be understood and close nothing; the summary and "
        "the page name file and row. Mend them and run `worklist`; the list is there"
    )


def marks_lines(review: Mapping[str, Any]) -> list[str]:
    """Lines on marks: how many have an effect, how many have none, and which are not understood.

    Args:
        review: of run.json.

    Returns:
        nothing if there are no marks.
    """
    worklist = review_of(review).worklist
    counts = worklist.marks if worklist else {}
    if worklist is None or not any(counts.values()):
        return []
    lost = counts.get("not_understood", 0)
    lines = [
        f"Marks      {counts.get('taken', 0):>8} taken, {counts.get('without_effect', 0)} without "
        f"effect, {f'{lost} NOT UNDERSTOOD' if lost else 'all understood'}"
    ]
    for rows in (worklist.marks_problems, worklist.marks_of_nobody):
        lines += [f"           {row}" for row in rows[:_MOST_ROWS]]
        if len(rows) > _MOST_ROWS:
            lines.append("           and more; the page names them")
    return lines


def outcome_of(night: Night, max_unscored_rate: float) -> tuple[ExitCode, str]:
    """Exit code and reason of a published night."""
    counts, reasons, code = night.counts, ["published"], ExitCode.COMPLETE
    if night.stopped:
        code = ExitCode.STOPPED_EARLY
        reasons += [f"stopped early by {night.run['stopped']}"]
    if (complaint := marks_complaint(night.run)) is not None:
        code = ExitCode.MARKS_NOT_UNDERSTOOD
        reasons += [complaint]
    if counts.unscored_rate > max_unscored_rate:
        code = ExitCode.UNSCORED_RATE
        reasons += [
            f"{counts.unscored_rate:.1%} of tonight's images have no score; "
            f"allowed: {max_unscored_rate:.1%} (--max-unscored-rate)"
        ]
    if counts.not_started:
        code = ExitCode.NOT_STARTED
        reasons += [f"{_files_wait(counts.not_started)}: the decoder's process did not start"]
    return code, "; ".join(reasons)


def summary(night: Night) -> str:
    """The summary: what was found, what became of it, and where the reports are."""
    counts, facts = night.counts, night.settings.facts
    point = facts.operating_point
    lines = [
        "",
        f"Found      {counts.files_found:>8} files, {counts.frames} images in them",
        f"Scored     {counts.predictions:>8} images in {counts.state(FileState.SCORED)} files"
        + _rate(night),
        *_remembered(night),
        *_unusual(night.run),
        f"Alerts     {counts.alerts:>8} at {point.name}: score {point.threshold:.3f} or more"
        " (no alert does not mean cleared)",
        *_worklist(night.run.get("review", {})),
        *marks_lines(night.run.get("review", {})),
        *identity_lines(night.run),
        *manifest_lines(night.run),
        *silent_lines(night.run),
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
        *_domain(night.settings.artifact.manifest),
        *_caution(night.settings.artifact.manifest.caution),
        *_stopped(night),
        *_machine(night),
        f"Reports    {night.where}",
        *_page(night),
        "",
    ]
    return "\n".join(lines)


def _evidence(point: OperatingPoint) -> str:
    """Sensitivity and specificity of an operating point, if they were measured."""
    if not point.melanomas:
        return "sensitivity and specificity not measured"
    return (
        f"sensitivity {point.sensitivity:.2f} and specificity {point.specificity:.2f} on "
        f"{point.validation_set}" + (" (provisional: few melanomas)" if point.provisional else "")
    )


def _worklist(review: Mapping[str, Any]) -> list[str]:
    """Lines on the worklist, and on parts of the review that could not be made."""
    lines, worklist = [], review.get("worklist")
    if worklist is not None:
        lines = [
            f"Worklist   {sum(worklist['lesions'].values()):>8} lesions ask for a look, "
            f"{worklist['new_alerts']} of them by a new alert; "
            f"{worklist['open_alerts']} alerts are open"
        ]
    failed = review.get("failed", {})
    return lines + [f"Left out   {name} of the review: {why}" for name, why in failed.items()]


def _remembered(night: Night) -> list[str]:
    """Lines on what came from earlier nights; none in the first night."""
    counts, run = night.counts, night.run
    memory, lines = run["memory"], []
    if memory["run_id"] is not None:
        lines = [
            f"Unchanged  {counts.state(FileState.UNCHANGED):>8} files, not opened; "
            f"{counts.state(FileState.REUSED)} more have known content at a new path",
            f"Current    {counts.current:>8} images have a score, over all nights"
            f"; {run['left_archive']} files left the archive",
        ]
    if run["taken_up"]:
        lines.append(f"Taken up   {run['taken_up']:>8} files of a run that did not end")
    if counts.turned:
        lines.append(f"           {counts.turned:>8} alerts by the operating point alone")
    lines += [f"Damaged    night {night_id}: not used as memory" for night_id in memory["damaged"]]
    return lines


def _unusual(run: Mapping[str, Any]) -> list[str]:
    """Lines that say in what the night differs from earlier nights."""
    if record_of(run).unusual_by is None:
        return []
    sentences = run["review"].get("sentences") or ["Unusual night."]
    return [line for text in sentences[:1] for line in _wrapped("Unusual", printable(str(text)))]


def _machine(night: Night) -> list[str]:
    """Lines on decoders that could not be started on this machine."""
    if not night.counts.not_started:
        return []
    return _wrapped(
        "Machine",
        f"{_files_wait(night.counts.not_started)}, since no process could be started for the "
        "decoder; the next run tries again. `melanoma-batch doctor` tries it now; the column "
        "`detail` of the table `files` says what the system answered.",
    )


def _files_wait(files: int) -> str:
    return "1 file waits" if files == 1 else f"{files} files wait"


def _page(night: Night) -> list[str]:
    """The line with the page's path, if there is a page."""
    review = night.run.get("review", {})
    if "worklist" not in review or "page" in review.get("failed", {}):
        return []
    return [f"Page       {night.where / f'{WORKLIST}.html'}"]


def _stopped(night: Night) -> list[str]:
    return [f"Stopped    by {night.run['stopped']}: the next run goes on"] if night.stopped else []


def _domain(manifest: ModelManifest) -> list[str]:
    """A line where nobody checks whether an image is one that the model can judge."""
    if manifest.domain is not None:
        return []
    return _wrapped(
        "Domain",
        "not checked: this model has no domain reference, so a picture that is not dermoscopic "
        "is scored without a flag.",
    )


def _caution(text: str) -> list[str]:
    return _wrapped("Caution", text)


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(text, 88, initial_indent=f"{head:11}", subsequent_indent=" " * 11)


def _rate(night: Night) -> str:
    """Images a second; empty if nothing was scored."""
    rate = night.run["images_per_second"]
    return "" if rate is None else f"  ({rate:.1f} images/s)"


def _reasons(reasons: object) -> str:
    items = sorted(dict(reasons).items())  # type: ignore[call-overload]
    return "".join(f"\n           {count:>8}   {reason}" for reason, count in items)
