"""`melanoma-batch worklist`: makes the review worklist anew from published tables.

It scores nothing and changes no published night; its files are in a folder of their own.
"""

from __future__ import annotations

import os
import shutil
import webbrowser
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batch.archive.access import check_archive, open_archive
from batch.core.config import ReviewOptions
from batch.core.errors import BatchError, UsageError
from batch.core.location import ObjectUrl, Place, place, whole_path
from batch.core.rules import Limits
from batch.model.artifact import ModelArtifact, find_artifact, verify_artifact
from batch.model.classifier import Classifier
from batch.reports.layout import WORKLIST_FOLDER
from batch.reports.local import RUN_FILE, LocalReports
from batch.reports.picture_folder import PICTURES
from batch.review.identity import choose_pattern, identity_lines
from batch.review.inputs import WORKLIST, facts_of
from batch.review.make_review import NightPlace, make_review
from batch.review.page_pictures import Pictures
from batch.run.summary import marks_lines
from batch.storage.files import read_json, replace_folder

FOLDER = WORKLIST_FOLDER
PAGE = f"{WORKLIST}.html"
_WORKLIST_FILES = frozenset(f"{WORKLIST}.{kind}" for kind in ("parquet", "csv", "html"))


@dataclass(frozen=True)
class Rebuilt:
    """folder: of the worklist. said: its figures, as run.json has them of a night. run: run.json
    of the night, as this list goes by it. pictures_went_inside: since no page at that place reaches
    their files.
    """

    folder: Path
    said: Mapping[str, Any]
    run: Mapping[str, Any] = field(default_factory=dict)
    pictures_went_inside: bool = False


def rebuild(
    reports: LocalReports,
    output: Path | None,
    options: ReviewOptions,
    archive: Place | None = None,
    model: str | None = None,
) -> Rebuilt:
    """Make the worklist of the latest night anew.

    Args:
        output: a folder that is not there, or an earlier worklist; None for
            `REPORTS/worklist`. archive, model: None for those of the night. Where the night's
            archive is not there, the pictures that were made before are shown.

    Raises:
        UsageError: there is no night or no archive, `output` holds something else, or the model is
            not the one that scored. BatchError: the worklist or its page could not be made.
    """
    root, run_id = reports.root, reports.latest()
    if run_id is None:
        raise UsageError(
            f"REPORTS: no published night in {reports.place}; run `melanoma-batch score` first."
        )
    folder = reports.whole_night(run_id)
    run = read_json(folder / RUN_FILE) or {}
    facts_of(run)
    target = output or root / FOLDER
    _check_output(target, root)
    identity = choose_pattern(options, run_id, run)
    options = identity.review
    run = {**run, "options": dict(run.get("options", {}))}
    identity.into(run)
    source = _source(run, archive, model, options)
    to_pictures = _way_to_pictures(reports, target)
    goes_inside = options.pictures and not options.single_file and to_pictures is None
    options = replace(options, single_file=options.single_file or to_pictures is None)
    fresh = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        fresh.mkdir(parents=True)
        now = datetime.now(UTC)
        night = NightPlace(reports, folder, run, marked_until=now, to_pictures=to_pictures)
        said = make_review(night, fresh, options, source, _NO_ARCHIVE)
        _check_made(said)
        replace_folder(fresh, target)
    except OSError as error:
        raise UsageError(
            f"--output: cannot write {target} ({error.strerror}). Check the permissions there, or "
            "choose another folder."
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return Rebuilt(target, said, run, goes_inside)


def show(page: Path) -> bool:
    """Open a page in a browser; False if there is no browser."""
    with suppress(webbrowser.Error, OSError):
        return webbrowser.open(page.as_uri())
    return False


def summary(rebuilt: Rebuilt) -> str:
    """Lines for a person on what was made."""
    worklist = rebuilt.said["worklist"]
    status, archive = worklist["by_status"], worklist["archive"]
    tiers = ", ".join(f"{count} {tier}" for tier, count in worklist["lesions"].items()) or "none"
    lines = [
        f"Worklist   {sum(worklist['lesions'].values()):>8} lesions ask for a look: {tiers}",
        f"           {status.get('new', 0):>8} of them new, {status.get('reopened', 0)} reopened; "
        f"{status.get('reviewed', 0)} reviewed",
        f"Not listed {archive['below']:>8} lesions below the band (no alert does not mean cleared)",
        *marks_lines(rebuilt.said),
        *identity_lines(rebuilt.run),
        *(f"Left out   {name}: {why}" for name, why in rebuilt.said["failed"].items()),
        *_pictures_lines(rebuilt),
        f"Page       {rebuilt.folder / PAGE}",
        "",
    ]
    return "\n".join(lines)


_NO_ARCHIVE = "left out, since the archive is not there; --archive says where it is now"


def _pictures_lines(rebuilt: Rebuilt) -> list[str]:
    if not rebuilt.pictures_went_inside:
        return []
    return [
        "Pictures   within the page, as with --single-file: from outside of REPORTS it does not",
        f"           reach REPORTS/{PICTURES}",
    ]


def _way_to_pictures(reports: LocalReports, target: Path) -> str | None:
    """The relative way from a page in a folder to the files of pictures; None where there is none
    that holds wherever REPORTS are moved or served.
    """
    if target == reports.root / FOLDER:
        return f"../{PICTURES}/"
    root, folder = reports.root.resolve(), target.resolve()
    if reports.place != reports.root or root not in folder.parents:
        return None
    return "../" * len(folder.relative_to(root).parts) + f"{PICTURES}/"


def _source(
    run: Mapping[str, Any], archive: Place | None, model: str | None, options: ReviewOptions
) -> Pictures | None:
    """Where pictures come from; None where none are wanted, or the night's archive is not there.

    Raises:
        UsageError: an archive that was named is not there, or one that attention wants; a model
            that was named is not there, or did not score the night.
    """
    if not (options.pictures or options.explain):
        return None
    try:
        return _pictures(run, archive, model)
    except UsageError:
        if archive is not None or model is not None or options.explain:
            raise
        return None


def _check_output(target: Path, root: Path) -> None:
    """Refuse a target that holds something other than a worklist."""
    if target == root or root / "runs" in (target, *target.parents):
        raise UsageError(f"--output: {target} holds published nights; choose another folder.")
    try:
        names = {entry.name for entry in os.scandir(target)}
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(
            f"--output: {target} is no folder that can be listed ({error.strerror}). Choose a new "
            "folder."
        ) from error
    if names - _WORKLIST_FILES or target.is_symlink():
        raise UsageError(
            f"--output: {target} holds other things than a worklist, which would be lost. Choose a "
            "new folder."
        )


def _pictures(run: Mapping[str, Any], archive: Place | None, model: str | None) -> Pictures:
    options = run.get("options", {})
    location = archive or place(str(options.get("archive", "")))
    location = location if isinstance(location, ObjectUrl) else whole_path("--archive", location)
    check_archive(location)
    try:
        limits = Limits(**options["limits"])
    except (KeyError, TypeError):
        limits = Limits()

    def scored_by() -> ModelArtifact:
        artifact = find_artifact(model or str(options.get("model")))
        manifest = artifact.manifest
        if manifest.model_sha256 != run["model"]["model_sha256"]:
            raise UsageError(
                f"--model: found {manifest.model_id} {manifest.model_version}; needed: the model "
                f"that scored this night, {run['model']['model_id']} "
                f"{run['model']['model_version']}. Give its id or folder."
            )
        return artifact

    def classifier() -> tuple[Classifier, int]:
        artifact = scored_by()
        output = artifact.manifest.output
        column = output.class_names.index(output.melanoma_class)
        return verify_artifact(artifact), column

    if model is not None:
        scored_by()
    return Pictures(open_archive(location), limits, classifier)


def _check_made(said: Mapping[str, Any]) -> None:
    broken = [name for name in ("worklist", "page") if name in said["failed"]]
    if broken:
        why = "; ".join(f"{name}: {said['failed'][name]}" for name in broken)
        raise BatchError(
            f"the worklist could not be made ({why}); an earlier one stays as it was. "
            "MELANOMA_BATCH_DEBUG=1 shows where."
        )
