"""What else could score an archive: `python -m tests.benchmarks.contender NAME ARCHIVE MODEL`.

keras: the student projects' way, `image_dataset_from_directory` and `predict`, batch 32.
runinference: Beam's documented pipeline, a TensorFlow model handler, decoding by Pillow.
limit: nothing but the cheapest allowed decode on all cores, and the model's compiled function on
all cores; an image costs the sum of both.

Prints JSON: images and images a second once everything is loaded and compiled.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from batch.archive.local import LocalArchive, list_archive
from batch.archive.reader import read_file
from batch.core.config import DEFAULT_BATCH_SIZE, LOCAL_RUNNER
from batch.core.rules import ReadingRules
from batch.model.artifact import find_artifact, verify_artifact
from batch.runtime.process import import_tensorflow

BEGIN = "begin"
LIMIT_SAMPLE = 600
"""Images that are decoded, and scored, to find the limit; more do not change it."""


def keras_predict(archive: Path, model_file: Path) -> tuple[int, float]:
    """Seconds of `predict` over the whole folder, after one batch."""
    import keras

    model = keras.saving.load_model(model_file, compile=False)
    dataset = keras.utils.image_dataset_from_directory(
        archive, labels=None, shuffle=False, image_size=(180, 180), batch_size=32, verbose=False
    )
    model.predict(dataset.take(1), verbose=0)
    begun = time.perf_counter()
    scores = model.predict(dataset, verbose=0)
    return len(scores), time.perf_counter() - begun


def runinference(archive: Path, model_file: Path) -> tuple[int, float]:
    """Seconds from the first image that is decoded to the last row that is written."""
    import apache_beam as beam
    import tensorflow as tf
    from apache_beam.io import fileio
    from apache_beam.ml.inference.base import KeyedModelHandler, RunInference
    from apache_beam.ml.inference.tensorflow_inference import TFModelHandlerTensor
    from apache_beam.options.pipeline_options import PipelineOptions
    from PIL import Image

    def decode(file: fileio.ReadableFile, folder: str) -> tuple[str, tf.Tensor]:
        _note_begin(Path(folder) / BEGIN)
        image = Image.open(io.BytesIO(file.read())).convert("RGB").resize((180, 180))
        return file.metadata.path, tf.convert_to_tensor(np.asarray(image, np.float32))

    handler = TFModelHandlerTensor(
        str(model_file), load_model_args={"compile": False}, min_batch_size=32, max_batch_size=32
    )
    with tempfile.TemporaryDirectory() as folder:
        options = PipelineOptions(["--runner", LOCAL_RUNNER])
        with beam.Pipeline(options=options) as pipeline:
            _ = (
                pipeline
                | fileio.MatchFiles(f"{archive}/**")
                | fileio.ReadMatches()
                | beam.Map(decode, folder)
                | RunInference(KeyedModelHandler(handler))
                | beam.Map(lambda pair: json.dumps([pair[0], pair[1].inference.numpy().tolist()]))
                | beam.io.WriteToText(f"{folder}/scores")
            )
        seconds = time.time() - float((Path(folder) / BEGIN).read_text())
        written = sum(len(p.read_text().splitlines()) for p in Path(folder).glob("scores*"))
    return written, seconds


def _note_begin(path: Path) -> None:
    """Beam copies what its workers use, so the first of them leaves the time in a file."""
    if not path.exists():
        path.write_text(repr(time.time()))


def limit(archive: Path, model: str) -> tuple[int, float]:
    """Seconds that decoding, and then scoring, some images take, both on all cores."""
    classifier = verify_artifact(find_artifact(model))
    storage, rules = LocalArchive(archive), ReadingRules()
    found = list(list_archive(archive))
    found = found[:: max(1, len(found) // LIMIT_SAMPLE)][:LIMIT_SAMPLE]
    cores = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(lambda one: read_file(storage, one, rules), found[: 4 * cores]))
        begun = time.perf_counter()
        readings = list(pool.map(lambda one: read_file(storage, one, rules)[1], found))
        seconds = time.perf_counter() - begun
    pixels = np.stack([frame.pixels for frames in readings for frame in frames])  # type: ignore[union-attr]
    pixels = pixels[: len(pixels) // DEFAULT_BATCH_SIZE * DEFAULT_BATCH_SIZE]
    classifier.scores(pixels[:DEFAULT_BATCH_SIZE])
    begun = time.perf_counter()
    classifier.scores(pixels)
    per_image = (time.perf_counter() - begun) / len(pixels) + seconds / len(found)
    return len(found), per_image * len(found)


def main() -> int:
    name, archive, model = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    import_tensorflow()
    if name == "limit":
        images, seconds = limit(archive, model)
    else:
        contender = {"keras": keras_predict, "runinference": runinference}[name]
        images, seconds = contender(archive, find_artifact(model).folder / "model.keras")
    print(json.dumps({"images": images, "images_per_second": images / seconds}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
