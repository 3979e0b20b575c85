"""run.json: the equation, times, rates, versions, model and options of one run."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from batch import __version__
from batch.core.config import JobConfig
from batch.core.errors import PendingReason
from batch.core.fingerprints import DECODERS, installed_version
from batch.core.records import RunFacts
from batch.core.text import masked
from batch.model.manifest import ModelManifest
from batch.reports.ledger import Counts, equation
from batch.reports.schema import SCHEMA_VERSION
from batch.run.plan import Action, Plan

_LIBRARIES = ("tensorflow", "keras", "apache-beam", "pyarrow", "pandas", "numpy", *DECODERS)
_STOPPED = {PendingReason.OUT_OF_TIME: "deadline", PendingReason.STOPPED: "signal"}


class Stopwatch:
    """Seconds of each part of a run, by a monotonic clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now, self._start = now, now()
        self._last = self._start
        self.seconds: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """End the part that ran since the last lap."""
        now = self._now()
        self.seconds[name] = now - self._last
        self._last = now

    def total(self) -> float:
        """Seconds since the start."""
        return self._now() - self._start


def run_json(
    config: JobConfig,
    manifest: ModelManifest,
    facts: RunFacts,
    plan: Plan,
    counts: Counts,
    clock: Stopwatch,
    stopped: PendingReason | None,
) -> dict[str, Any]:
    """Make the content of run.json."""
    # without predictions there is no pace of scoring
    scoring = clock.seconds["segments"] if counts.predictions else 0.0
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": config.run_id,
        "started_at": config.started_at.isoformat(),
        "finished_at": (config.started_at + timedelta(seconds=clock.total())).isoformat(),
        "seconds": {name: round(value, 3) for name, value in clock.seconds.items()},
        "images_per_second": round(counts.tried / scoring, 2) if scoring else None,
        "stopped": _STOPPED[stopped] if stopped else None,
        "equation": equation(counts),
        "frames": {
            "found": counts.frames,
            "predictions": counts.predictions,
            "unscored": counts.unscored_rows,
            "new_unscored": counts.new_unscored,
        },
        "current": {"images": counts.current},
        "alerts": counts.alerts,
        "alerts_by_operating_point": counts.turned,
        "unscored_rate": round(counts.unscored_rate, 6),
        "unscored_by_reason": dict(sorted(counts.unscored_reasons.items())),
        "non_image_by_reason": dict(sorted(counts.non_image_reasons.items())),
        "pending_by_reason": dict(sorted(counts.pending_reasons.items())),
        "left_archive": plan.left_archive,
        "read_because": plan.causes(),
        "taken_up": plan.count(Action.TAKE_UP),
        "memory": {"run_id": plan.memory.run_id, "damaged": list(plan.memory.damaged)},
        "model": _model(manifest, facts),
        "options": _options(config),
        "versions": _versions(),
    }


def finish(run: dict[str, Any], config: JobConfig, clock: Stopwatch) -> None:
    """Update the times of run.json at the end of the run."""
    run["seconds"] = {name: round(value, 3) for name, value in clock.seconds.items()}
    run["finished_at"] = (config.started_at + timedelta(seconds=clock.total())).isoformat()


def _model(manifest: ModelManifest, facts: RunFacts) -> dict[str, Any]:
    return {
        "model_id": facts.model_id,
        "model_version": facts.model_version,
        "model_sha256": facts.model_sha256,
        "preprocessing_version": facts.preprocessing_version,
        "fingerprints": vars(facts.fingerprints),
        "output": {
            "kind": manifest.output.kind,
            "class_names": list(manifest.output.class_names),
            "temperature": manifest.output.temperature,
            "calibrated": manifest.output.calibrated,
        },
        "domain": None if manifest.domain is None else vars(manifest.domain),
        "caution": manifest.caution,
        "licence": None if manifest.licence is None else vars(manifest.licence),
        "operating_point": vars(facts.operating_point),
    }


def _options(config: JobConfig) -> dict[str, Any]:
    rules = config.rules
    return {
        "archive": str(config.archive),
        "reports": str(config.reports_url or config.reports),
        "model": config.model,
        "operating_point": config.operating_point,
        "segment_size": config.segment_size,
        "batch_size": config.batch_size,
        "processes": config.processes,
        "decode_threads": config.decode_threads,
        "silent_model": config.silent_model,
        "backfill": config.backfill,
        "max_unscored_rate": config.max_unscored_rate,
        "order": config.order,
        "listing": config.listing,
        "settle_seconds": config.settle_seconds,
        "deadline": config.deadline,
        "max_duration": config.max_duration,
        "accept_shrunken_archive": config.accept_shrunken_archive,
        "identifiers": rules.identifiers.level.value,
        "patient_key_id": rules.identifiers.key_id,
        "patient_key_file": str(config.patient_key_file) if config.patient_key_file else None,
        "manifest": [str(place) for place in config.manifests],
        "map": list(config.manifest_map),
        "include": [f"{rule.attribute}={rule.value}" for rule in rules.selection.include],
        "exclude": [f"{rule.attribute}={rule.value}" for rule in rules.selection.exclude],
        "limits": vars(rules.limits),
        "beam_options": masked(config.beam_options),
        "lesion_pattern": config.review.lesion_pattern,
        "reviewed": [str(file) for file in config.review.reviewed],
        "explain": config.review.explain,
        "score_spread": config.review.score_spread,
        "pictures": config.review.pictures,
        "single_file": config.review.single_file,
        "review_budget": config.review.budget,
        "language": config.review.language,
    }


def _versions() -> dict[str, str]:
    found = {"melanoma-batch": __version__, "python": platform.python_version()}
    return found | {library: installed_version(library) for library in _LIBRARIES}


def by_reason(reasons: Mapping[str, int]) -> str:
    """Counts by reason in one line, in the order of their names."""
    return ", ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items()))
