"""What the last run of REPORTS says of options that decide which images are whose."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batch.commands.settings import Options
from batch.core.errors import BatchError
from batch.core.location import ObjectUrl
from batch.core.privacy import Identifiers

LATEST, RUN_FILE = "latest", "run.json"
_LISTS = ("include", "exclude")


def last_options(options: Options) -> dict[str, Any]:
    """Options of the run that `latest` points to, as the command line has them.

    Only what identifies images and patients is remembered, and only what was given then. Nothing
    is remembered where no run can be read; the run itself says what is wrong with the reports.
    """
    return remembered(_last_run(options.output).get("options"))


def remembered(told: object) -> dict[str, Any]:
    """The options of a run.json that a next run takes up. Pure; odd values are passed over."""
    if not isinstance(told, Mapping):
        return {}
    found: dict[str, Any] = {}
    if told.get("identifiers") in {level.value for level in Identifiers}:
        found["identifiers"] = told["identifiers"]
    if isinstance(key := told.get("patient_key_file"), str) and key:
        found["patient_key_file"] = Path(key)
    for name in _LISTS:
        rules = told.get(name)
        if isinstance(rules, list) and rules and all(isinstance(rule, str) for rule in rules):
            found[name] = tuple(rules)
    return found


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
        found = json.loads(store.get(f"{latest}/{RUN_FILE}").data)
    except (OSError, BatchError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
