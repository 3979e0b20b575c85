"""Content that was scored before, found by its size: what a file may turn out to hold."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pyarrow as pa


class KnownDigests:
    """Digests of content that is known in full, by file size.

    files: the snapshot. usable: (rows,) bool, which of them may be reused.
    """

    def __init__(self, files: pa.Table, usable: np.ndarray) -> None:
        rows = np.flatnonzero(usable)
        sizes = files["size"].to_numpy()[rows]
        by_size = np.argsort(sizes, kind="stable")
        self._sizes, self._rows, self._files = sizes[by_size], rows[by_size], files

    def rows(self) -> np.ndarray:
        """(n,) int64: the rows of `files` that are known in full, in order."""
        return np.sort(self._rows)

    def count_sizes(self, sizes: np.ndarray) -> int:
        """How many of these sizes, in bytes, are those of known content."""
        return int(np.isin(sizes, self._sizes).sum())

    def by_size(self, sizes: set[int]) -> dict[int, tuple[str, ...]]:
        """Size to the digests (hex SHA-256) of known content of that size, sorted, each once."""
        wanted = np.array(sorted(sizes), np.int64)
        first = np.searchsorted(self._sizes, wanted, "left")
        last = np.searchsorted(self._sizes, wanted, "right")
        ranges = [one for one in zip(wanted.tolist(), first, last, strict=True) if one[2] > one[1]]
        if not ranges:
            return {}
        rows = np.concatenate([self._rows[a:b] for _, a, b in ranges])
        digests = iter(self._files["content_sha256"].take(pa.array(rows)).to_pylist())
        return {size: tuple(sorted(set(islice(digests, b - a)))) for size, a, b in ranges}
