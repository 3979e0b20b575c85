"""A decoder that hangs or crashes costs one file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from batch.core.errors import FailureReason, ImageFailure
from batch.core.records import ModelInput
from batch.core.rules import Limits
from batch.demo import dicom_writer
from batch.demo.dicom_writer import encapsulate
from batch.demo.lesions import lesion_image
from batch.images import sandbox
from batch.images.formats import FileFormat
from batch.images.jpeg_scans import scans
from batch.images.sandbox import (
    _CHUNK,
    MAX_SCANS,
    _count_scans,
    has_many_scans,
    raster_needs_sandbox,
)
from tests.support import encoded, victims
from tests.support.archives import REPOSITORY, dicom_bytes, read

GIGABYTE = 1 << 30


def call(function, *arguments, seconds=30.0, memory=4 * GIGABYTE):
    return sandbox.call_in_sandbox(function, arguments, seconds, memory)


def test_a_value_comes_back_from_another_process():
    assert call(victims.fine, 1) == 2
    assert call(victims.process_id) != os.getpid()


def test_the_process_is_kept_for_the_next_call():
    assert call(victims.process_id) == call(victims.process_id)


def test_a_decoder_that_hangs_is_ended_and_the_next_file_is_decoded():
    with pytest.raises(ImageFailure) as failure:
        call(victims.hang, seconds=0.2)
    assert failure.value.reason == FailureReason.DECODER_TIMED_OUT
    assert call(victims.fine, 1) == 2


def test_a_decoder_that_crashes_is_noticed_and_the_next_file_is_decoded():
    with pytest.raises(ImageFailure) as failure:
        call(victims.crash)
    assert failure.value.reason == FailureReason.DECODER_CRASHED
    assert failure.value.detail == f"exit code {-signal.SIGABRT}"
    assert call(victims.fine, 1) == 2


def test_a_decoder_that_wants_too_much_memory_gets_none():
    with pytest.raises(MemoryError):
        call(victims.swallow, 2, memory=2 * GIGABYTE)


def test_what_a_decoder_raises_is_raised_here():
    with pytest.raises(ImageFailure, match="said there"):
        call(victims.fail)


def test_an_exception_that_cannot_travel_is_named():
    with pytest.raises(RuntimeError):
        call(victims.fail_oddly)
    assert call(victims.fine, 1) == 2


def test_threads_get_a_process_each():
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda n: call(victims.fine, n), range(30))) == list(range(1, 31))


def test_watched_processes_end_with_their_parent(tmp_path):
    code = (
        "import os, sys\nfrom batch.images import sandbox as watched\n"
        "from tests.support import victims\n"
        "if __name__ == '__main__':\n"
        "    print(watched.call_in_sandbox(victims.process_id, (), 30, 4 << 30), flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    run = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    child = int(run.stdout)
    end = time.monotonic() + 30
    while os.path.exists(f"/proc/{child}") and time.monotonic() < end:
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{child}")


@pytest.mark.parametrize("victim", ["hang", "crash"])
def test_the_file_whose_decoder_fails_is_one_unscored_row(tmp_path, monkeypatch, victim):
    from batch.archive import reader

    monkeypatch.setattr(reader, "raster_frames", getattr(victims, victim))
    monkeypatch.setattr(sandbox._Worker, "call", _without_arguments(sandbox._Worker.call))
    (tmp_path / "a.webp").write_bytes(_webp())
    reading, (result,) = read(tmp_path / "a.webp", Limits(decode_seconds=1))
    expected = {"hang": "decoder_timed_out", "crash": "decoder_crashed"}[victim]
    assert result.reason.value == expected
    assert reading.frames == 1


def _without_arguments(call):
    return lambda self, function, arguments, seconds: call(self, function, (), seconds)


def _webp() -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(lesion_image(1, 40, 40)).save(buffer, "WEBP")
    return buffer.getvalue()


def test_every_frame_of_an_object_shares_its_decoders_fate(tmp_path, monkeypatch):
    import imagecodecs
    import numpy as np
    from pydicom.encaps import encapsulate

    dataset = encoded.LOSSLESS["jpeg 2000"](lesion_image(1, 40, 40))
    stream = imagecodecs.jpeg2k_encode(lesion_image(1, 40, 40), level=0, codecformat="j2k")
    dataset.NumberOfFrames = 3
    dataset.PixelData = encapsulate([bytes(np.frombuffer(stream, np.uint8))] * 3)
    (tmp_path / "a.dcm").write_bytes(dicom_bytes(dataset))
    reading, results = read(tmp_path / "a.dcm")
    assert [type(result) for result in results] == [ModelInput] * 3
    from batch.archive import reader

    monkeypatch.setattr(reader, "dicom_frames", victims.crash)
    monkeypatch.setattr(sandbox._Worker, "call", _without_arguments(sandbox._Worker.call))
    reading, results = read(tmp_path / "a.dcm")
    assert reading.frames == 3
    assert [result.frame_number for result in results] == [1, 2, 3]
    assert {result.reason for result in results} == {FailureReason.DECODER_CRASHED}


JPEG = dicom_writer.jpeg_bytes(lesion_image(1, 64, 64))


def repeated(times: int) -> bytes:
    """A JPEG whose one scan comes several times."""
    ((start, _, end),) = scans(JPEG)
    return JPEG[:start] + JPEG[start:end] * times + JPEG[end:]


@pytest.mark.parametrize(
    ("data", "file_format", "expected"),
    [
        (JPEG, FileFormat.JPEG, False),
        (JPEG + b"\xff\xda" * MAX_SCANS, FileFormat.JPEG, False),  # after its end
        (repeated(MAX_SCANS), FileFormat.JPEG, False),
        (repeated(MAX_SCANS + 1), FileFormat.JPEG, True),
        (bytes(16) + b"\x00\x00\x20\x00\x00\x00\x10\x00", FileFormat.PNG, False),
        (bytes(16) + b"\x00\x00\x40\x00\x00\x00\x40\x00", FileFormat.PNG, True),
        (b"", FileFormat.TIFF, True),
        (b"", FileFormat.WEBP, True),
    ],
)
def test_all_but_the_common_path_is_in_sandbox(data, file_format, expected):
    assert raster_needs_sandbox(data, file_format) is expected


def test_scans_are_counted_a_frame():
    assert not has_many_scans(encapsulate([repeated(MAX_SCANS)] * 5))
    assert has_many_scans(encapsulate([JPEG] * 5 + [repeated(MAX_SCANS + 1)]))


def test_a_process_that_started_decoders_ends_by_itself():
    """They ignore SIGTERM, which multiprocessing sends at the end, and then waits."""
    import subprocess
    import sys

    from tests.support.archives import REPOSITORY

    code = (
        "import os, signal\nfrom batch.images.sandbox import call_in_sandbox\n"
        "if __name__ == '__main__':\n"
        "    child = call_in_sandbox(os.getpid, (), 60, 1 << 32)\n"
        "    os.kill(child, signal.SIGTERM)\n"
        "    assert call_in_sandbox(os.getpid, (), 60, 1 << 32) == child\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, timeout=120)
    assert ended.returncode == 0


@pytest.mark.parametrize("length", [0, 1, 2, 3, _CHUNK - 1, _CHUNK, _CHUNK + 1, 2 * _CHUNK + 5])
@pytest.mark.parametrize("shift", [0, 1])
def test_scans_are_counted_as_bytes_count_does(length, shift):
    data = (b"\x00" * shift + b"\xff\xda\xff\xff\xda\xda" * (length // 6 + 1))[:length]
    assert _count_scans(data) == data.count(b"\xff\xda")
