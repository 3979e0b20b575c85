"""Another operating point for predictions that are already there: no image is scored again."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.core.records import Alert, RunFacts
from batch.reports import parquet
from batch.reports.memory import keys_of


def apply_operating_point(
    rows: pa.Table, facts: RunFacts, foreign: pa.ChunkedArray
) -> tuple[pa.Table, np.ndarray]:
    """Judge remembered predictions by tonight's operating point.

    Args:
        foreign: keys of files that were scored under another contract (model, temperature, …):
            they wait to be scored again, and keep the operating point that belongs to their score.

    Returns:
        the rows, and (rows,) bool: is an alert now and was none before.
    """
    point = facts.operating_point
    ours = pc.invert(pc.is_in(keys_of(rows), value_set=foreign))
    is_alert = pc.if_else(
        ours, pc.greater_equal(rows["melanoma_score"], point.threshold), rows["is_alert"]
    )
    turned = pc.and_(is_alert, pc.invert(rows["is_alert"]))
    rows = parquet.with_column(rows, "is_alert", is_alert)
    name = pc.if_else(ours, point.name, rows["operating_point"])
    rows = parquet.with_column(rows, "operating_point", name)
    threshold = pc.if_else(ours, point.threshold, rows["threshold"])
    rows = parquet.with_column(rows, "threshold", threshold)
    return rows, np.asarray(turned.to_numpy(zero_copy_only=False), bool)


def alert_rows(predictions: pa.Table, facts: RunFacts) -> pa.Table:
    """Rows of `alerts` for predictions at or above the operating point."""
    point = facts.operating_point
    for column, value in (
        ("sensitivity", point.sensitivity),
        ("specificity", point.specificity),
        ("validation_set", point.validation_set),
        ("review_status", Alert.review_status),
    ):
        predictions = predictions.append_column(column, pa.array([value] * len(predictions)))
    return predictions.cast(parquet.schema("alerts"))
