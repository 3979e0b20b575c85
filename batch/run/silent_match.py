"""Gives each image of the archive the silent score of its content."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.reports import parquet
from batch.reports.schema import SILENT

IMAGE = ("path", "path_bytes", "image_id", "frame_number", "content_sha256")
"""Columns of `current` that name an image and its content."""


def matched(current: pa.Table, scores: pa.Table) -> pa.Table:
    """A row for each image whose content has a silent score or a reason, in `current`'s order.

    Args:
        current: columns IMAGE.
        scores: rows of `silent_predictions`, the ones that count first. A row with a score comes
            before one with a reason, wherever it stands.
    """
    usable = scores.filter(scores["content_sha256"].is_valid())
    order = np.argsort(usable["melanoma_score"].is_null().to_numpy(), kind="stable")
    usable = usable.take(pa.array(order))
    positions = pc.index_in(_contents(current), value_set=_contents(usable))  # the first of equals
    is_known = positions.is_valid()
    rows = usable.take(positions.filter(is_known))
    images = current.filter(is_known)
    for name in IMAGE:
        rows = parquet.with_column(rows, name, images[name])
    return rows.cast(parquet.schema(SILENT))


def _contents(rows: pa.Table) -> pa.Array:
    """Digest and frame as one word for each row; null without a digest."""
    frames = pc.cast(pc.fill_null(rows["frame_number"], 0), pa.string())
    joined = pc.binary_join_element_wise(rows["content_sha256"], frames, "/")
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined
