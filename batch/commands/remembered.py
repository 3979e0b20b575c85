"""Options of the last run that the next run takes over: those that identify images and patients."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from batch.commands.settings import Options
from batch.core.errors import BatchError, UsageError
from batch.core.location import ObjectUrl, place, whole_path
from batch.core.privacy import Identifiers

LATEST, RUN_FILE, RUNS, SUCCESS = "latest", "run.json", "runs", "_SUCCESS"
_LISTS = ("include", "exclude", "map")


def last_options(options: Options) -> dict[str, Any]:
    """Options of the last night that can be read, in the form of the command line.

    Only options that identify images and patients count, and only those that were set. Empty where
    there is no night yet.

    Raises:
        UsageError: there are nights, and none can be read. Without their options identifiers that
            were withheld might be published.
    """
    return remembered_options(_last_run(options.output).get("options"))


def last_options_to_show(options: Options) -> dict[str, Any]:
    """As `last_options`, with the lesion pattern, which the run itself takes over."""
    run_options = _last_run(options.output).get("options")
    pattern = run_options.get("lesion_pattern") if isinstance(run_options, Mapping) else None
    shown = remembered_options(run_options)
    return {**shown, "lesion_pattern": pattern} if isinstance(pattern, str) and pattern else shown


def remembered_options(run_options: object) -> dict[str, Any]:
    """The options of a run.json that the next run takes over; invalid values are left out."""
    if not isinstance(run_options, Mapping):
        return {}
    options: dict[str, Any] = {}
    level = run_options.get("identifiers")
    if isinstance(level, str) and level in {known.value for known in Identifiers}:
        options["identifiers"] = level
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
    if not isinstance(reports, Path):
        return {}
    folder = whole_path("--output", reports)
    try:
        (folder / RUNS).stat()
    except PermissionError:
        raise UsageError(
            f"--output: cannot look into {folder} (permission denied), so what its last night "
            "withheld is not known. Run as the user who owns it, or choose another folder."
        ) from None
    except OSError:
        pass  # a first run
    return _last_run_of_folder(folder)


def _last_run_of_folder(folder: Path) -> Mapping[str, Any]:
    from batch.storage.files import read_json

    published = sorted((folder / RUNS).glob(f"*/{SUCCESS}"), reverse=True)
    for file in (folder / LATEST / RUN_FILE, *(night.parent / RUN_FILE for night in published)):
        run = read_json(file)
        if run is not None and isinstance(run.get("options"), Mapping):
            return run
    if published:
        raise UsageError(
            f"--output: {folder} has {len(published)} nights, and no run.json of them can be read; "
            "so what they withheld is not known. Mend the folder, or say --identifiers, and "
            "--patient-key-file, --include, --exclude and --lesion-pattern where they were given."
        )
    return {}


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
