"""`melanoma-batch inventory`: what a night would do, by names, sizes and times of files only."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import numpy as np

from batch.archive.access import open_archive
from batch.core.config import JobConfig
from batch.core.records import FileState
from batch.reports.access import open_reports
from batch.reports.local import RUN_FILE, LocalReports
from batch.review.identity import choose_grouping, identity_lines
from batch.run.plan import Action, Plan
from batch.run.score_run import plan_night
from batch.run.settings import resolve_model
from batch.storage.files import read_json

RECENT_NIGHTS = 10


def forecast(config: JobConfig) -> str:
    """What `score` would do now with these options, as lines for a person. Writes nothing.

    Raises:
        BatchError: as `score` would raise before its first file.
    """
    plan, reports, run = _make_plan(config)
    return "\n".join([*_lines(plan), *identity_lines(run), _time(plan, reports, config), ""])


def forecast_json(config: JobConfig) -> str:
    """The same as JSON: counts of files, and the sentences on time and identity.

    Raises:
        BatchError: as `forecast`.
    """
    plan, reports, run = _make_plan(config)
    kept = _kept_states(plan)
    content = {
        "files_found": len(plan),
        "unchanged": int(kept[FileState.UNCHANGED]),
        "non_image": int(kept[FileState.NON_IMAGE]),
        "unscored": int(kept[FileState.UNSCORED]),
        "to_be_read": len(plan.queue),
        "to_be_read_because": {str(cause): int(count) for cause, count in plan.causes().items()},
        "of_known_size": int(plan.known_sizes()),
        "taken_up": int(plan.count(Action.TAKE_UP)),
        "younger_than_settle": int(plan.count(Action.LEAVE_YOUNG)),
        "not_listed": int(plan.count(Action.LEAVE_UNLISTED)),
        "left_archive": int(plan.left_archive),
        "memory": plan.memory.run_id,
        "damaged": list(plan.memory.damaged),
        "identity": identity_lines(run),
        "time": _time(plan, reports, config).strip(),
    }
    return json.dumps(content, indent=2) + "\n"


def _make_plan(config: JobConfig) -> tuple[Plan, LocalReports, dict[str, Any]]:
    reports = open_reports(config.reports, config.reports_url)
    archive = open_archive(config.archive)
    plan = plan_night(config, resolve_model(config), reports, lambda _: archive.list_files())
    run: dict[str, Any] = {"options": {}}
    choose_grouping(config, reports).into(run)
    return plan, reports, run


def _lines(plan: Plan) -> list[str]:
    kept = _kept_states(plan)
    causes = ", ".join(f"{cause} {count}" for cause, count in plan.causes().items())
    known_sizes = plan.known_sizes()
    lines = [
        f"Found        {len(plan):>8} files",
        f"Unchanged    {kept[FileState.UNCHANGED]:>8} not opened",
        f"Non-image    {kept[FileState.NON_IMAGE]:>8} remembered",
        f"Unscored     {kept[FileState.UNSCORED]:>8} remembered, not tried again",
        f"To be read   {len(plan.queue):>8}" + (f" ({causes})" if causes else ""),
        f"             {known_sizes:>8} of these have the size of known content: maybe reused",
        f"Taken up     {plan.count(Action.TAKE_UP):>8} of a run that did not end",
        f"Left alone   {plan.count(Action.LEAVE_YOUNG):>8} younger than --settle",
        f"Not listed   {plan.count(Action.LEAVE_UNLISTED):>8} in folders that cannot be read",
        f"Left archive {plan.left_archive:>8} known last night, gone now",
        f"Memory       {plan.memory.run_id or 'none: this would be the first night'}",
    ]
    return lines + [f"Damaged      night {run_id}: passed over" for run_id in plan.memory.damaged]


def _kept_states(plan: Plan) -> dict[FileState, int]:
    """Number of files that would not be read, by the state that they would have."""
    rows = plan.known[plan.action == Action.KEEP]
    states = plan.memory.files["state"].take(np.sort(rows)).to_pylist()
    kept = dict.fromkeys((FileState.NON_IMAGE, FileState.UNSCORED), 0)
    for state in kept:
        kept[state] = states.count(state.value)
    return kept | {FileState.UNCHANGED: len(states) - sum(kept.values())}


def _time(plan: Plan, reports: LocalReports, config: JobConfig) -> str:
    """An estimate of the time, from the recent night that read most images."""
    if not len(plan.queue):
        return "Time         seconds: nothing is to be read, no model is loaded"
    nights = [read_json(reports.night(n) / RUN_FILE) or {} for n in reports.nights()]
    usable = [night for night in nights[:RECENT_NIGHTS] if night.get("images_per_second")]
    if not usable:
        return "Time         unknown: no night here has measured its pace yet"
    best = max(usable, key=_tried)
    seconds = len(plan.queue) / best["images_per_second"] + best["seconds"].get("model", 0)
    text = (
        f"Time         about {timedelta(seconds=round(seconds))} at {best['images_per_second']} "
        f"images/s, as in {best['run_id']} with {_tried(best)} images"
    )
    if config.seconds_allowed is not None and seconds > config.seconds_allowed:
        text += f"; allowed: {timedelta(seconds=round(config.seconds_allowed))}, the rest will wait"
    return text


def _tried(night: dict[str, Any]) -> int:
    return int(night["frames"]["predictions"] + night["frames"]["new_unscored"])
