"""Nights of the review made by hand, in memory: images, unscored rows, and the list they give."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pandas as pd

from batch.core.records import KEPT_ATTRIBUTES
from batch.review.worklist.build import (
    DETAIL_COLUMNS,
    GROUPING_COLUMNS,
    NightTables,
    build_worklist,
)
from batch.review.worklist.contract import ReviewFacts, ReviewWorklist
from batch.review.worklist.frames import records
from batch.review.worklist.lesion_images import EarlierScore
from batch.review.worklist.marks import Mark, Marks
from batch.review.worklist.previous_list import PreviousList
from batch.review.worklist.tiers import near_from
from tests.support.archives import POINT

FIRST = datetime(2026, 11, 1, 2, tzinfo=UTC)


def night_start(number: int) -> datetime:
    """Start of a night, from 1."""
    return FIRST + timedelta(days=number - 1)


def image(score: float, name: str = "a", **changes: object) -> dict[str, object]:
    """A scored image. name: of its file, and by default of its content."""
    row: dict[str, object] = dict.fromkeys((*GROUPING_COLUMNS, *DETAIL_COLUMNS))
    row |= {
        "image_id": f"sha256:{name.encode().hex()}", "path": f"{name}.jpg", "melanoma_score": score,
        "threshold": 0.5, "model_id": "m", "model_version": "1", "model_sha256": "1" * 64,
        "file_format": "jpeg", "rows": 180, "columns": 180, "flags": [], "class_scores":
        [("melanoma", score), ("nevus", 1 - score)], "predicted_class": "melanoma",
    }  # fmt: skip
    assert changes.keys() <= row.keys() | {"night"}, changes
    return row | changes


def unreadable(name: str = "u", **changes: object) -> dict[str, object]:
    """A file that could not be read."""
    row: dict[str, object] = {
        "path": f"{name}.jpg", "path_bytes": None, "image_id": None, "frame_number": None,
        "content_sha256": name.encode().hex(), "stage": "decode", "reason": "decode_failed",
        "detail": "", **dict.fromkeys(KEPT_ATTRIBUTES),
    }  # fmt: skip
    return row | changes


def mark(number: float, **changes: object) -> Mark:
    """A mark made so many days after the start of the first night. number: 1.25 is 8 a.m. then."""
    when = FIRST + timedelta(days=number - 1)
    values = {"lesion_key": None, "image_id": None, "decision": "seen", "reviewer": "R"}
    return Mark(**{**values, "reviewed_at": when, **changes})  # type: ignore[arg-type]


@dataclass
class Mornings:
    """Nights one after another; each remembers the one before, as the reports do."""

    pattern: re.Pattern[str] | None = None
    remembered: PreviousList = field(default_factory=PreviousList)
    scores: list[dict[str, object]] = field(default_factory=list)
    number: int = 0

    def night(
        self,
        images: Sequence[dict[str, object]],
        unscored: Sequence[dict[str, object]] = (),
        marks: Iterable[Mark] = (),
        again: bool = False,
    ) -> ReviewWorklist:
        """The next night. An image is scored in it when it is new or its score or model is.

        Args:
            again: rebuild the last night from what came before it.
        """
        before = self.previous if again else self.remembered
        if not again:
            self.number += 1
        run_id = f"run-{self.number:03d}"
        known = {
            (row["image_id"], row["melanoma_score"], row["model_sha256"]): row
            for row in self.scores
        }
        rows = []
        for row in images:
            key = row["image_id"], row["melanoma_score"], row["model_sha256"]
            then = known.get(key, {"run_id": run_id, "scored_at": night_start(self.number)})
            rows.append({**row, "run_id": then["run_id"], "scored_at": then["scored_at"]})
        self.rows = rows
        frame = pd.DataFrame(rows, columns=[*GROUPING_COLUMNS, *DETAIL_COLUMNS])
        frame = frame.astype({"melanoma_score": float, "threshold": float})
        frame["scored_at"] = pd.to_datetime(frame["scored_at"], utc=True)
        self.frame = frame
        threshold = float(frame["threshold"].iloc[0]) if len(frame) else 0.5
        facts = ReviewFacts(
            run_id, night_start(self.number).isoformat(), "m", "1", "1" * 64, None, POINT,
            near_from(threshold), {"files": len(rows) + len(unscored)},
        )  # fmt: skip
        nothing = pd.DataFrame([unreadable()]).iloc[:0]
        tonight = NightTables(
            frame[list(GROUPING_COLUMNS)],
            pd.DataFrame(list(unscored)) if unscored else nothing,
            {},
            facts,
        )
        worklist = build_worklist(tonight, before, Marks(tuple(marks)), self, self.pattern)
        if not again:
            self.previous = before
            self.scores += [row for row in rows if row["run_id"] == run_id]
            self.remembered = PreviousList(facts.night, tuple(records(worklist.lesions)))
        return worklist

    def details(self, rows):
        return self.frame.loc[rows, list(DETAIL_COLUMNS)]

    def history(self, image_ids):
        for row in self.scores:
            if row["image_id"] in image_ids and row["run_id"] < f"run-{self.number:03d}":
                model = f"{row['model_id']} {row['model_version']} {row['model_sha256'][:8]}"
                place = row["path"], row["lesion_id"]
                yield (
                    row["image_id"],
                    EarlierScore(row["scored_at"], row["melanoma_score"], model, place),
                )


def standings(worklist: ReviewWorklist) -> dict[str, tuple[str, str]]:
    """lesion_key to tier and status."""
    lesions = worklist.lesions
    return {
        row.lesion_key: (str(row.tier), str(row.status)) for row in lesions.itertuples(index=False)
    }


def lesion(worklist: ReviewWorklist, key: str) -> dict:
    """One lesion's row."""
    (row,) = records(worklist.lesions[worklist.lesions["lesion_key"] == key])
    return row


def key_of(name: str) -> str:
    """Lesion of an image that is one by itself."""
    return f"sha256:{name.encode().hex()}"
