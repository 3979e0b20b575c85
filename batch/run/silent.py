"""The second model of a run (`--silent-model`): opened, gathered, told; it never fails the night.

A silent score depends on the content of a file, the frame and the model only. So the table of a
night is made by content: each image of `current` gets the newest score of its content, from tonight
or from the last night, and files that moved keep theirs.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch import __version__
from batch.core.config import JobConfig
from batch.core.errors import ArtifactRefused, BatchError
from batch.core.records import Fingerprints, RunFacts
from batch.images.preprocess import PREPROCESSING_VERSION
from batch.model.artifact import ModelArtifact, check_files, find_artifact, self_test
from batch.model.manifest import scoring_fingerprint
from batch.reports import parquet
from batch.reports.local import RUN_FILE, SUCCESS_FILE, Staging, is_intact
from batch.reports.schema import READABLE_VERSIONS, SILENT
from batch.run.memory import Memory, keys_of
from batch.run.silent_match import IMAGE, matched
from batch.runtime.logs import traceback_lines
from batch.storage.files import read_json
from batch.storage.shared_folder import SharedFolder

if TYPE_CHECKING:
    from batch.pipeline.pipelines import SilentJob
    from batch.run.backfill import Backfilled

logger = logging.getLogger(__name__)
_SHARED = "silent-"
"""Begins the names of the silent model's files in the folder that is shared with workers."""


class SilentRun:
    """The second model of a run, and what became of it. Without `--silent-model` it does nothing.

    No method raises because of the model or its table; `problem` then says what happened.
    """

    def __init__(self, config: JobConfig, facts: RunFacts) -> None:
        self.problem: str | None = None
        self.job: SilentJob | None = None
        self._config = config
        self._artifact: ModelArtifact | None = None
        self._facts: RunFacts | None = None
        self._account: dict[str, Any] = {}
        if config.silent_model is not None:
            with _kept_quiet(self):
                self._artifact, self._facts = _resolved(config.silent_model, facts)

    @property
    def is_wanted(self) -> bool:
        """Whether there is a second model that can be used, as far as is known."""
        return self._artifact is not None and self.problem is None

    def start(self, staging: Staging, is_remote: bool) -> SilentJob | None:
        """Open the model and check its golden images; None if that fails.

        Args:
            is_remote: whether workers see the shared folder only.
        """
        if self.job is not None or self._artifact is None or self._facts is None:
            return self.job
        with _kept_quiet(self):
            from batch.model.artifact import shared_classifier
            from batch.model.silent import SilentModel
            from batch.pipeline.pipelines import SilentJob

            artifact, batch_size = self._artifact, self._config.batch_size
            self_test(artifact, batch_size)
            read = artifact.read_file
            if is_remote:
                shared = staging.shared()
                for name in artifact.manifest.model_files:
                    shared.write(_SHARED + name, artifact.read_file(name))
                read = partial(_read_shared, shared)
            load = partial(shared_classifier, read, artifact.manifest, batch_size)
            self.job = SilentJob(SilentModel(load, artifact.manifest.output), self._facts)
        return self.job

    def gather(
        self, staging: Staging, memory: Memory, backfill: Callable[[pa.Table], Backfilled]
    ) -> None:
        """Write the night's `silent_predictions`, after `current` was written.

        Args:
            memory: of the run.
            backfill: gets the images without a score, and scores them.
        """
        if not self.is_wanted or self._facts is None:
            return
        target, facts = staging.night / SILENT, self._facts
        with _kept_quiet(self):
            fingerprint = facts.fingerprints.scoring
            known = [folder / SILENT for folder in _folders(staging, memory)]
            current = parquet.read_columns("current", staging.night / "current", IMAGE)
            found = _scores(known, fingerprint)
            rows = matched(current, found)
            filled, stopped = 0, None
            missing = without_score(current, rows)
            if self._config.backfill and len(missing):
                done = backfill(missing)
                more = _scores([folder / SILENT for folder in done.folders], fingerprint)
                before, stopped = _scored(rows), done.stopped
                rows = matched(current, pa.concat_tables([more, found]))
                filled = _scored(rows) - before
            parquet.write_dataset(SILENT, iter([rows]), target)
            self._account = _account(rows, len(current), facts.run_id, filled)
            self._account["backfill_stopped"] = stopped
        if self.problem is not None:
            shutil.rmtree(target, ignore_errors=True)

    def into(self, run: dict[str, Any]) -> None:
        """Add the account to the content of run.json, if a second model was asked for."""
        if self._config.silent_model is None:
            return
        model = None
        if self._facts is not None:
            facts = self._facts
            model = {
                "model_id": facts.model_id,
                "model_version": facts.model_version,
                "model_sha256": facts.model_sha256,
                "scoring_fingerprint": facts.fingerprints.scoring,
                "operating_point": vars(facts.operating_point),
            }
        run["silent"] = {"model": model, "problem": self.problem, **self._account}


def without_score(current: pa.Table, rows: pa.Table) -> pa.Table:
    """The images of `current` (columns IMAGE) for which `rows` has no score."""
    scored = rows.filter(rows["melanoma_score"].is_valid())
    names = pc.binary_join_element_wise(keys_of(scored), _frames(scored), b"\0")
    here = pc.binary_join_element_wise(keys_of(current), _frames(current), b"\0")
    return current.filter(pc.invert(pc.is_in(here, value_set=names)))


def silent_lines(run: dict[str, Any]) -> list[str]:
    """Lines of the summary on the second model; none without one."""
    silent = run.get("silent")
    if not silent:
        return []
    model = silent.get("model") or {}
    name = f"{model.get('model_id', 'the silent model')} {model.get('model_version', '')}".strip()
    if silent["problem"]:
        return [f"Silent            - {name}: {silent['problem']}"]
    return [
        f"Silent     {silent['scored']:>8} of {silent['images']} images also scored by {name}, "
        f"{silent['scored_tonight']} of them tonight; it raises nothing (`compare` shows it)"
    ]


def _read_shared(shared: SharedFolder, name: str) -> bytes:
    return shared.read(_SHARED + name)


def _resolved(id_or_folder: str, ours: RunFacts) -> tuple[ModelArtifact, RunFacts]:
    artifact = find_artifact(id_or_folder)
    manifest = artifact.manifest
    check_files(artifact)
    return artifact, RunFacts(
        run_id=ours.run_id,
        started_at=ours.started_at,
        model_id=manifest.model_id,
        model_version=manifest.model_version,
        model_sha256=manifest.model_sha256,
        preprocessing_version=PREPROCESSING_VERSION,
        operating_point=manifest.operating_point(None),
        fingerprints=Fingerprints(
            program_version=__version__,
            failure=ours.fingerprints.failure,
            identity=ours.fingerprints.identity,
            scoring=scoring_fingerprint(manifest),
        ),
    )


def _folders(staging: Staging, memory: Memory) -> Iterator[Path]:
    """Folders that may hold silent scores, the newest first."""
    yield from reversed(staging.segments())
    yield from (segment.folder for segment in memory.segments)
    night = last_with_scores(memory.folder) if memory.folder is not None else None
    if night is not None:
        yield night


def last_with_scores(newest: Path) -> Path | None:
    """The newest night with an intact table of silent scores, up to and with this one.

    A night without a silent model has none, nor has one that refused it: a model that was away for
    a night loses no score of the nights before.

    Args:
        newest: folder of the night that is remembered.
    """
    nights = (folder for folder in newest.parent.iterdir() if folder.name <= newest.name)
    for night in sorted(nights, reverse=True):
        if not (night / SUCCESS_FILE).exists() or not (night / SILENT).is_dir():
            continue
        run = read_json(night / RUN_FILE) or {}
        is_readable = run.get("schema_version") in READABLE_VERSIONS
        if is_readable and is_intact(night, run.get("parts"), (SILENT,)):
            return night
        logger.warning("night %s: its silent scores are damaged and are not used", night.name)
    return None


def _scores(folders: list[Path], fingerprint: str) -> pa.Table:
    """Rows of these folders by the model with this fingerprint, in their order."""
    tables = [parquet.schema(SILENT).empty_table()]
    for folder in folders:
        for rows in parquet.stream(SILENT, folder if folder.is_dir() else None):
            tables.append(rows.filter(pc.equal(rows["scoring_fingerprint"], fingerprint)))
    return pa.concat_tables(tables)


def _scored(rows: pa.Table) -> int:
    return len(rows) - rows["melanoma_score"].null_count


def _frames(rows: pa.Table) -> Any:
    return pc.cast(pc.cast(pc.fill_null(rows["frame_number"], 0), pa.string()), pa.binary())


def _account(rows: pa.Table, images: int, run_id: str, filled: int) -> dict[str, Any]:
    scored = rows.filter(rows["melanoma_score"].is_valid())
    failed = rows.filter(rows["melanoma_score"].is_null())
    reasons, counts = np.unique(failed["reason"].to_numpy(zero_copy_only=False), return_counts=True)
    return {
        "images": images,
        "scored": len(scored),
        "scored_tonight": pc.sum(pc.equal(scored["run_id"], run_id)).as_py() or 0,
        "backfilled": filled,
        "not_scored": len(failed),
        "not_scored_by_reason": {
            str(reason): int(count) for reason, count in zip(reasons, counts, strict=True)
        },
        "not_seen": images - len(rows),
        "would_alert": pc.sum(scored["would_alert"]).as_py() or 0,
    }


class _kept_quiet:  # noqa: N801  (a block, as contextlib.suppress)
    """Turns every failure in the block into the run's `problem`; signals pass."""

    def __init__(self, run: SilentRun) -> None:
        self._run = run

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self._run.problem, self._run.job = _in_words(error), None
        logger.warning("the silent model is left out: %s", type(error).__name__)
        for line in traceback_lines(error):
            logger.warning("%s", line)
        return True


def _in_words(error: Exception) -> str:
    if isinstance(error, ArtifactRefused):
        return f"refused: {error}"
    if isinstance(error, BatchError):
        return str(error)
    return f"left out after an unexpected {type(error).__name__}; the log says where"
