"""Reading goes on while the model works, and never runs away from it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from batch.archive.inventory import list_archive
from batch.archive.rules import ReadingRules
from batch.archive.storage import LocalArchive
from batch.demo.dicom_writer import jpeg_bytes
from batch.demo.lesions import lesion_image
from batch.pipeline import SegmentJob, run_segment
from batch.records import QueuedFile
from batch.reports import tables
from batch.reports.shared import LocalSharedFolder
from batch.transforms import READ_AHEAD_FILES, READ_AHEAD_FRAMES, _ReadDoFn, _ScoreDoFn
from tests.support import FACTS, OUTPUT, BrightnessClassifier

PATIENCE_SECONDS = 60
_READ = threading.Semaphore(0)
"""Released once for every file that was read; at module level, where Beam's copies find it."""


@dataclass(frozen=True)
class _CountedArchive(LocalArchive):
    def read(self, location, max_bytes):
        data = super().read(location, max_bytes)
        _READ.release()
        return data


class _PatientClassifier(BrightnessClassifier):
    """Gives no score before a whole further batch of files was read."""

    waited = 0

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        if not self.waited:
            for _ in range(2 * len(pixels)):  # its own files, and as many again
                self.waited += _READ.acquire(timeout=PATIENCE_SECONDS)
        return super().scores(pixels)


_PATIENT = _PatientClassifier()


def _patient() -> _PatientClassifier:
    return _PATIENT


def test_files_are_read_while_a_batch_is_scored(tmp_path):
    archive, batch = tmp_path / "archive", 12
    archive.mkdir()
    for number in range(3 * batch):
        (archive / f"{number:02d}.jpg").write_bytes(jpeg_bytes(lesion_image(number, 60, 60)))
    job = SegmentJob(
        _CountedArchive(archive), _patient, OUTPUT, FACTS, batch, 2, ReadingRules(), ()
    )
    queue = [QueuedFile(location) for location in list_archive(archive)]
    folder = tmp_path / "segment"
    folder.mkdir()
    run_segment(job, queue, LocalSharedFolder(folder), folder)
    assert _PATIENT.waited == 2 * batch
    assert len(tables.read_columns("predictions", folder / "predictions", ["path"])) == 3 * batch


@pytest.mark.parametrize("frames", [0, 1, 100])
def test_what_waits_for_the_model_is_bounded(frames):
    reader = _ReadDoFn(lambda _location, known: (None, ("frame",) * frames), threads=2)
    reader.setup()
    reader.start_bundle()
    most_files = most_frames = given = 0
    for _ in range(300):
        for _element in reader.process(SimpleNamespace(location=None, known=())):
            given += 1
        done = [future for future in reader._waiting if future.done()]
        most_files = max(most_files, len(reader._waiting))
        most_frames = max(most_frames, sum(len(future.result()[1]) for future in done))
    given += sum(1 for _ in reader.finish_bundle())
    reader.teardown()
    assert given == 300 * (frames + 1)  # every frame, and one reading a file
    assert most_files < READ_AHEAD_FILES
    assert most_frames < READ_AHEAD_FRAMES + 2 * frames  # two threads may end just then


def test_no_more_batches_wait_than_the_model_has_threads():
    at_once, most, lock = 0, 0, threading.Lock()

    class Slow(BrightnessClassifier):
        def scores(self, pixels: np.ndarray) -> np.ndarray:
            nonlocal at_once, most
            with lock:
                at_once += 1
                most = max(most, at_once)
            time.sleep(0.01)
            with lock:
                at_once -= 1
            return super().scores(pixels)

    scorer = _ScoreDoFn(Slow, OUTPUT, batch_size=2, threads=3)
    scorer.setup()
    scorer.start_bundle()
    results, longest = 0, 0
    for number in range(41):
        item = SimpleNamespace(
            pixels=np.full((180, 180, 3), number, np.uint8),
            record=SimpleNamespace(path="p", image_id="i", frame_number=0, content_sha256="c"),
        )
        results += sum(1 for _ in scorer.process(item))
        longest = max(longest, len(scorer._under_way))
    results += sum(1 for _ in scorer.finish_bundle())
    scorer.teardown()
    assert results == 41
    assert most == 3
    assert longest <= 3
