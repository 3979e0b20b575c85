"""Options of the last run that the next run takes over: those that identify images and patients."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from batch.commands.settings import Options
from batch.core.errors import BatchError, UsageError
from batch.core.location import ObjectUrl, place
from batch.core.privacy import Identifiers

LATEST, RUN_FILE = "latest", "run.json"
_LISTS = ("include", "exclude", "map")


def last_options(options: Options) -> dict[str, Any]:
    """Options of the run that `latest` points to, in the form of the command line.

    Only options that identify images and patients count, and only those that were set. Empty if no
    run can be read; the new run reports what is wrong.
    """
    return remembered_options(_last_run(options.output).get("options"))


def remembered_options(run_options: object) -> dict[str, Any]:
    """The options of a run.json that the next run takes over; invalid values are left out."""
    if not isinstance(run_options, Mapping):
        return {}
    options: dict[str, Any] = {}
    if run_options.get("identifiers") in {level.value for level in Identifiers}:
        options["identifiers"] = run_options["identifiers"]
    if isinstance(key := run_options.get("patient_key_file"), str) and key:
        options["patient_key_file"] = Path(key)
    manifests = run_options.get("manifest")
    if isinstance(manifests, list) and manifests and all(isinstance(m, str) for m in manifests):
        with suppress(UsageError):  # a damaged run.json
            options["manifest"] = tuple(place(word) for word in manifests)
    for name in _LISTS:
        rules = run_options.get(name)
        if isinstance(rules, list) and rules and all(isinstance(rule, str) for rule in rules):
            options[name] = tuple(rules)
    return options


def _last_run(reports: object) -> Mapping[str, Any]:
    if isinstance(reports, ObjectUrl):
        return _last_run_of_store(reports)
    from batch.storage.files import read_json

    if not isinstance(reports, Path):
        return {}
    return read_json(reports.expanduser() / LATEST / RUN_FILE) or {}


def _last_run_of_store(url: ObjectUrl) -> Mapping[str, Any]:
    import json

    from batch.storage.object_store import ObjectStore

    store = ObjectStore(url)
    try:
        latest = store.get(LATEST).data.decode().strip()
        run = json.loads(store.get(f"{latest}/{RUN_FILE}").data)
    except (OSError, BatchError, ValueError):
        return {}
    return run if isinstance(run, dict) else {}
