"""The lesions that may choose a local operating point: those that the newest night's model scored.

A lesion whose deciding image the model was trained on says nothing about other lesions. It is left
out and counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from batch.core.errors import UsageError
from batch.evaluation.local_point import FEWEST
from batch.operations.outcome_nights import NightRecords

if TYPE_CHECKING:
    from batch.evaluation.trained_on import OwnImages


@dataclass(frozen=True, eq=False)
class LocalCases:
    """Lesions with an outcome and a score of one model.

    name: id, version and the first digits of the digest of the newest night's model.
    model_id, model_sha256: of it.
    scoring: scoring fingerprint of the newest night; None if unknown.
    is_melanoma: (N,) bool.
    scores: (N,) float64, as they were shown.
    groups: N names of patients, or of lesions where no patient is known.
    months: first and last month of the nights that showed them; "" if there is none.
    trained: lesions that were left out, since the model was trained on their image.
    own: lesions whose image is in the model's own validation or test split.
    learned_names: lesions whose image is named like one that it was trained on.
    by_mark: lesions whose outcome rests on a mark alone.
    """

    name: str
    model_id: str
    model_sha256: str
    scoring: str | None
    is_melanoma: np.ndarray
    scores: np.ndarray
    groups: list[str]
    months: tuple[str, str] = ("", "")
    trained: int = 0
    own: int = 0
    learned_names: int = 0
    by_mark: int = 0


def newest_model(records: NightRecords) -> pd.Series:
    """model_id, model_version and model_sha256 of the newest image with a score."""
    newest = records.images["night"] == records.images["night"].max()
    return records.images[newest].iloc[-1]


def local_cases(
    lesions: pd.DataFrame, records: NightRecords, own: OwnImages | None = None
) -> LocalCases:
    """Choose the lesions of the newest model, by its scoring fingerprint.

    The fingerprint, not the version, decides: after a calibration that only moved the threshold
    the version is another one and the scores are the same.

    Args:
        lesions: of `outcome_join.join`, with `month`.
        own: images of the model's split.csv, if they are at hand.

    Raises:
        UsageError: there are too few melanomas or others; the message says how many are missing.
    """
    newest = newest_model(records)
    images = records.images.loc[lesions["image"].astype(np.int64)]
    code = int(newest["scoring"])
    is_model = (images["model_sha256"] == newest["model_sha256"]).to_numpy(bool)
    same = is_model & (images["scoring"].to_numpy(np.int64) == code)
    from batch.evaluation.trained_on import named_as_trained  # it reads artifacts: slow to import

    digests, paths = images["content_sha256"], images["path"]
    trained = same & digests.isin(own.trained if own else ()).to_numpy(bool)
    judging = digests.isin(own.judging if own else ()).to_numpy(bool)
    used = same & ~trained
    chosen = lesions[used]
    learned = named_as_trained(paths[used], own.trained_names if own else ())
    patients = records.patient_keys
    cases = LocalCases(
        name=f"{newest['model_id']} {newest['model_version']} {newest['model_sha256'][:8]}",
        model_id=str(newest["model_id"]),
        model_sha256=str(newest["model_sha256"]),
        scoring=records.scoring_names[code] if code >= 0 else None,
        is_melanoma=chosen["is_melanoma"].to_numpy(bool),
        scores=chosen["score"].to_numpy(np.float64),
        groups=[
            f"patient {patients.iloc[patient]}" if patient >= 0 else f"lesion {lesion}"
            for patient, lesion in zip(chosen["patient"], chosen["lesion_key"], strict=True)
        ],
        months=(str(chosen["month"].min()), str(chosen["month"].max()))
        if len(chosen)
        else ("", ""),
        trained=int(trained.sum()),
        own=int((used & judging).sum()),
        learned_names=int(learned.sum()),
        by_mark=int(chosen["is_mark"].sum()),
    )
    _check_enough(cases)
    return cases


def _check_enough(cases: LocalCases) -> None:
    melanomas = int(cases.is_melanoma.sum())
    others = len(cases.is_melanoma) - melanomas
    pairs = zip(cases.groups, cases.is_melanoma, strict=True)
    patients = len({group for group, is_one in pairs if is_one})
    if melanomas >= FEWEST and others >= FEWEST and patients > 1:
        return
    missing = [
        f"{FEWEST - count} more {word}"
        for count, word in ((melanomas, "melanomas"), (others, "others"))
        if count < FEWEST
    ] or ["a melanoma of another patient"]
    left_out = (
        f" {cases.trained} lesions do not count, since the model was trained on their image."
        if cases.trained
        else ""
    )
    raise UsageError(
        f"--target-sensitivity: {cases.name} showed {melanomas} melanomas and {others} others that "
        f"have an outcome; needed: {FEWEST} of each, of more than one patient. Missing: "
        f"{' and '.join(missing)}.{left_out} Collect more outcomes."
    )
