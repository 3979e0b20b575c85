"""What one image costs in each stage, on one thread: `python -m tests.benchmarks.stages …`.

Prints JSON: CPU milliseconds an image. The whole job's CPU seconds less their sum are everything
else: Beam, rows, the plan, the start.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from batch.archive.local import LocalArchive, list_archive
from batch.archive.reader import read_file
from batch.core.config import DEFAULT_BATCH_SIZE
from batch.core.records import ImageLocation
from batch.core.rules import Limits, ReadingRules
from batch.images import preprocess, raster
from batch.images.formats import FileFormat
from batch.model.artifact import find_artifact, verify_artifact
from batch.model.scoring import score_batch
from batch.reports import parquet, rows
from batch.runtime.process import import_tensorflow
from tests.support.archives import FACTS

SAMPLE = 320


def _timed(work: Callable[[], Any], images: int) -> tuple[float, Any]:
    """CPU milliseconds an image, of all threads."""
    begun = time.process_time()
    result = work()
    return (time.process_time() - begun) / images * 1000, result


def _reading(archive: LocalArchive, found: Sequence[ImageLocation]) -> dict[str, float]:
    """One after the other, as in the job: what is kept would cost fresh memory."""
    spent = dict.fromkeys(("read", "digest", "decode", "resize"), 0.0)
    limits, count = Limits(), len(found)

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        cost, result = _timed(work, count)
        spent[stage] += cost
        return result

    for one in found:
        data = timed("read", partial(archive.read, one, limits.file_bytes))
        timed("digest", lambda data=data: hashlib.sha256(data).hexdigest())
        decode = partial(raster.decode, data, FileFormat.JPEG, limits, preprocess.DECODE_AT_LEAST)
        image = timed("decode", decode)
        timed("resize", partial(preprocess.preprocess, image.pixels, image.rows, image.columns))
    return spent


def measure(root: Path, model: str) -> dict[str, float]:
    """JPEG files only: the stages are called one by one, as the reader calls them."""
    classifier = verify_artifact(find_artifact(model))
    archive, rules = LocalArchive(root), ReadingRules()
    found = list(list_archive(root))
    found = found[:: max(1, len(found) // SAMPLE)][:SAMPLE]
    count = len(found)
    costs = _reading(archive, found)
    whole, readings = _timed(lambda: [read_file(archive, one, rules) for one in found], count)
    costs["rest of reading"] = whole - sum(costs.values())
    inputs = [frame for _, frames in readings for frame in frames]
    pixels = np.stack([one.pixels for one in inputs])
    classifier.scores(pixels[:DEFAULT_BATCH_SIZE])
    costs["inference"], _ = _timed(lambda: classifier.scores(pixels), count)
    output = classifier.manifest.output
    scored, predictions = _timed(lambda: score_batch(classifier, output, inputs), count)
    costs["rest of scoring"] = scored - costs["inference"]
    costs["rows"], written = _timed(
        lambda: [rows.prediction_row(one, FACTS) for one in predictions], count
    )
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "predictions" / "part.parquet"
        costs["Parquet"], _ = _timed(
            lambda: parquet.write_part("predictions", written, part), count
        )
    return costs


if __name__ == "__main__":
    import_tensorflow()
    print(json.dumps(measure(Path(sys.argv[1]), sys.argv[2])))
