"""Reuses scores of known content at a new path, e.g. of a file that was moved or copied."""

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
    """Completes the rows of tonight's reused files, and then makes their predictions.

    Of all remembered files with the same content, the first lends its rows.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lenders = plan.reusable_rows()
        self._digests: pa.ChunkedArray | None = None
        self._moved: list[pa.Table] = []
        self._lent: list[np.ndarray] = []
        self._index: tuple[pa.Table, np.ndarray, pa.Array] | None = None

    def complete(self, files: pa.Table) -> pa.Table:
        """Complete the rows of reused files in `files` from remembered files.

        Raises:
            LedgerImbalance: no remembered file has the content of a reused file.
        """
        is_reused = pc.equal(files["state"], FileState.REUSED.value)
        reused = files.filter(is_reused)
        if not len(reused):
            return files
        remembered = self._plan.memory.files
        if self._digests is None:
            self._digests = remembered["content_sha256"].take(pa.array(self._lenders))
        lender_numbers = pc.index_in(reused["content_sha256"], value_set=self._digests)
        if lender_numbers.null_count:
            unknown = lender_numbers.null_count
            raise LedgerImbalance(f"{unknown} reused files have no known content.")
        rows = self._lenders[lender_numbers.to_numpy()]
        for column in _OF_CONTENT:
            reused = parquet.with_column(reused, column, remembered[column].take(pa.array(rows)))
        self._moved.append(reused.select(["path", "path_bytes", "content_sha256"]))
        self._lent.append(np.unique(rows))
        return pa.concat_tables([files.filter(pc.invert(is_reused)), reused])

    def moved(self, predictions: pa.Table) -> pa.Table:
        """Predictions of tonight's reused files, copied from these remembered predictions."""
        if not self._moved:
            return predictions.slice(0, 0)
        places, digests, lenders = self._places()
        lent = predictions.filter(pc.is_in(keys_of(predictions), value_set=lenders))
        lent_digests = lent["content_sha256"].to_numpy().astype("S64")
        first, last = (np.searchsorted(digests, lent_digests, side) for side in ("left", "right"))
        copies_of_row = last - first
        source = np.repeat(np.arange(len(lent)), copies_of_row)
        starts = np.cumsum(copies_of_row) - copies_of_row
        offset = np.arange(len(source)) - np.repeat(starts, copies_of_row)
        target = places.take(pa.array(np.repeat(first, copies_of_row) + offset))
        copies = lent.take(pa.array(source))
        for column in ("path", "path_bytes"):
            copies = parquet.with_column(copies, column, target[column])
        return copies

    def _places(self) -> tuple[pa.Table, np.ndarray, pa.Array]:
        """New paths sorted by digest, their digests, and the keys of the lending files."""
        if self._index is None:
            new_paths = pa.concat_tables(self._moved).sort_by("content_sha256").combine_chunks()
            digests = new_paths["content_sha256"].to_numpy().astype("S64")
            rows = np.unique(np.concatenate(self._lent))
            keys = self._plan.memory.files["key"].take(pa.array(rows))
            self._index = new_paths, digests, keys
        return self._index
