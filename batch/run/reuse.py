"""Known content at a new place: a file that was moved, copied or renamed keeps its scores."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.core.errors import LedgerImbalance
from batch.core.records import FileState
from batch.reports import parquet
from batch.run.memory import keys_of
from batch.run.plan import Plan

_OF_CONTENT = ("file_format", "frames", "frames_scored", "frames_unscored")


class Reuse:
    """Completes tonight's reused files, and then gives their predictions.

    Of all remembered files with the same content the first one lends its rows.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lenders = plan.reusable_rows()
        self._digests: pa.ChunkedArray | None = None
        self._moved: list[pa.Table] = []
        self._lent: list[np.ndarray] = []
        self._index: tuple[pa.Table, np.ndarray, pa.Array] | None = None

    def complete(self, files: pa.Table) -> pa.Table:
        """Rows of `files`, those of reused files completed with what is known of their content.

        Raises:
            LedgerImbalance: content that should be known is not.
        """
        is_reused = pc.equal(files["state"], FileState.REUSED.value)
        reused = files.filter(is_reused)
        if not len(reused):
            return files
        known = self._plan.memory.files
        if self._digests is None:
            self._digests = known["content_sha256"].take(pa.array(self._lenders))
        found = pc.index_in(reused["content_sha256"], value_set=self._digests)
        if found.null_count:
            raise LedgerImbalance(f"{found.null_count} reused files have no known content.")
        rows = self._lenders[found.to_numpy()]
        for column in _OF_CONTENT:
            reused = parquet.with_column(reused, column, known[column].take(pa.array(rows)))
        self._moved.append(reused.select(["path", "path_bytes", "content_sha256"]))
        self._lent.append(np.unique(rows))
        return pa.concat_tables([files.filter(pc.invert(is_reused)), reused])

    def moved(self, predictions: pa.Table) -> pa.Table:
        """Of remembered predictions those of tonight's reused files, at their new places."""
        if not self._moved:
            return predictions.slice(0, 0)
        places, digests, lenders = self._places()
        lent = predictions.filter(pc.is_in(keys_of(predictions), value_set=lenders))
        wanted = lent["content_sha256"].to_numpy().astype("S64")
        first, last = (np.searchsorted(digests, wanted, side) for side in ("left", "right"))
        times = last - first
        source = np.repeat(np.arange(len(lent)), times)
        offset = np.arange(len(source)) - np.repeat(np.cumsum(times) - times, times)
        target = places.take(pa.array(np.repeat(first, times) + offset))
        copies = lent.take(pa.array(source))
        for column in ("path", "path_bytes"):
            copies = parquet.with_column(copies, column, target[column])
        return copies

    def _places(self) -> tuple[pa.Table, np.ndarray, pa.Array]:
        """New places in the order of their digests, these digests, and the lenders' keys."""
        if self._index is None:
            places = pa.concat_tables(self._moved).sort_by("content_sha256").combine_chunks()
            digests = places["content_sha256"].to_numpy().astype("S64")
            rows = np.unique(np.concatenate(self._lent))
            keys = self._plan.memory.files["key"].take(pa.array(rows))
            self._index = places, digests, keys
        return self._index
