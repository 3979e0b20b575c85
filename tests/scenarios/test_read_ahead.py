"""Reading goes on while the model works, and never runs away from it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.archive.local import LocalArchive, list_archive
from batch.core.records import QueuedFile
from batch.core.rules import ReadingRules
from batch.demo.dicom_writer import jpeg_bytes
from batch.demo.lesions import lesion_image
from batch.pipeline.dofns import READ_AHEAD_FILES, READ_AHEAD_FRAMES, ReadDoFn, ScoreDoFn
from batch.pipeline.pipelines import SegmentJob, queue_segment, run_segment
from batch.reports import parquet
from batch.runtime.threads import OrderedPrefetch
from batch.storage.shared_folder import LocalSharedFolder
from tests.support.archives import FACTS, OUTPUT, BrightnessClassifier

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
    run_segment(job, queue_segment(queue, LocalSharedFolder(folder), folder))
    assert _PATIENT.waited == 2 * batch
    assert len(parquet.read_columns("predictions", folder / "predictions", ["path"])) == 3 * batch


@pytest.mark.parametrize("frames", [0, 1, 100])
@pytest.mark.parametrize("pause", [0.0, 0.002], ids=["fast model", "slow model"])
def test_what_waits_for_the_model_is_bounded(frames, pause):
    reader = ReadDoFn(lambda _location, known: (None, ("frame",) * frames), threads=2)
    reader.setup()
    reader.start_bundle()
    most_files = most_frames = given = 0
    for _ in range(300):
        for _element in reader.process(QueuedFile(None)):
            given += 1
        time.sleep(pause)  # whatever may be read is read meanwhile
        most_files = max(most_files, len(reader._ahead))
        most_frames = max(most_frames, reader._ahead.weight)
    given += sum(1 for _ in reader.finish_bundle())
    reader.teardown()
    assert given == 300 * (frames + 1)  # every frame, and one reading a file
    assert most_files < READ_AHEAD_FILES
    assert most_frames < READ_AHEAD_FRAMES + 2 * frames  # two threads may end just then


@given(
    weights=st.lists(st.integers(0, 9), max_size=60),
    threads=st.integers(1, 4),
    room=st.integers(1, 12),
    eager=st.integers(1, 20),
)
@settings(max_examples=60, deadline=None)
def test_results_come_in_order_within_the_room(weights, threads, room, eager):
    heaviest = max(weights, default=0)
    with ThreadPoolExecutor(threads) as pool:
        ahead = OrderedPrefetch(pool, threads, lambda each: each, lambda each: each, room)
        taken = []
        for weight in weights:
            ahead.add(weight)
            assert ahead.weight < room + threads * max(heaviest, 1)
            if len(ahead) >= eager:
                taken.append(ahead.take())
        while ahead:
            taken.append(ahead.take())
        assert not ahead.is_next_done()
    assert taken == weights and ahead.weight == 0


def test_an_error_is_raised_where_its_result_is_taken_and_the_rest_goes_on():
    with ThreadPoolExecutor(1) as pool:
        ahead = OrderedPrefetch(pool, 1, lambda each: 10 // each, lambda _: 1, 3)
        for each in (0, 5, 0, 2, 1):
            ahead.add(each)
        taken = []
        while ahead:
            try:
                taken.append(ahead.take())
            except ZeroDivisionError:
                taken.append(None)
        assert taken == [None, 2, None, 5, 10]


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

    scorer = ScoreDoFn(Slow, OUTPUT, batch_size=2, threads=3)
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
