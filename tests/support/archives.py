"""Helpers of the tests: locations, records, fakes that each prove one contract."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import tempfile
import termios
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from batch.archive.local import LocalArchive
from batch.archive.reader import read_file
from batch.core.records import (
    Fingerprints,
    ImageLocation,
    ImageRecord,
    ModelInput,
    OperatingPoint,
    Prediction,
    RunFacts,
)
from batch.core.rules import Limits, ReadingRules
from batch.demo import dicom_writer
from batch.model.manifest import OutputContract

REPOSITORY = Path(__file__).parents[2]
STARTED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

OUTPUT = OutputContract(
    kind="softmax",
    class_names=("melanoma", "nevus"),
    melanoma_class="melanoma",
    malignant_classes=("melanoma",),
    temperature=1.0,
    calibrated=False,
)
POINT = OperatingPoint(
    name="sensitivity-0.95",
    threshold=0.5,
    target_sensitivity=0.95,
    sensitivity=0.96,
    sensitivity_interval=(0.9, 0.99),
    specificity=0.5,
    specificity_interval=(0.4, 0.6),
    melanomas=57,
    others=100,
    validation_set="numbers made up for tests",
    model_sha256="0" * 64,
    provisional=True,
)
FACTS = RunFacts(
    run_id="20260102T030405Z-0000",
    started_at=STARTED_AT,
    model_id="fake",
    model_version="0",
    model_sha256="0" * 64,
    preprocessing_version="4",
    operating_point=POINT,
    fingerprints=Fingerprints("0", "failure", "identity", "scoring"),
)


def locate(root: Path, path: Path) -> ImageLocation:
    status = path.lstat()
    return ImageLocation(str(path.relative_to(root)), status.st_size, status.st_mtime_ns)


def read(path: Path, limits: Limits | None = None):
    """Read one file as the pipeline does."""
    rules = ReadingRules(limits=limits or Limits())
    return read_file(LocalArchive(path.parent), locate(path.parent, path), rules)


def on_a_terminal(*words: str) -> tuple[int, str]:
    """Exit code and what a pseudo-terminal showed of standard error."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 100))
    run = subprocess.Popen(
        [sys.executable, "-m", "batch", *words],
        cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=follower,
    )  # fmt: skip
    os.close(follower)
    seen = b""
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        seen += chunk
    return run.wait(), seen.decode()


def record(path: str = "a.jpg", image_id: str = "sha256:0", **changes: object) -> ImageRecord:
    values = {
        "image_id": image_id,
        "path": path,
        "content_sha256": "0" * 64,
        "file_format": "jpeg",
        "rows": 180,
        "columns": 180,
    }
    return ImageRecord(**(values | changes))


def model_input(path: str = "a.jpg", brightness: int = 0) -> ModelInput:
    return ModelInput(record(path), np.full((180, 180, 3), brightness, np.uint8))


def prediction(score: float, path: str = "a.jpg", **changes: object) -> Prediction:
    return Prediction(
        record(path, **changes),
        (("melanoma", score), ("nevus", 1 - score)),
        "melanoma" if score >= 0.5 else "nevus",
        score,
    )


@dataclass
class BrightnessClassifier:
    """Scores by brightness: every score is known beforehand."""

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        melanoma = pixels.reshape(len(pixels), -1).mean(axis=1) / 255
        return np.stack([melanoma, 1 - melanoma], axis=1).astype(np.float32)

    def scores_and_domain(self, pixels: np.ndarray):
        return self.scores(pixels), None


@dataclass
class FailingClassifier(BrightnessClassifier):
    """Raises whenever an image of one brightness is in the batch."""

    brightness: int = 13

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        if (pixels[:, 0, 0, 0] == self.brightness).any():
            raise RuntimeError("this message quotes Jane^Doe")
        return super().scores(pixels)


@dataclass
class NotFiniteClassifier(BrightnessClassifier):
    """Gives `value` for images of one brightness."""

    brightness: int = 13
    value: float = np.nan

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        scores = super().scores(pixels)
        scores[pixels[:, 0, 0, 0] == self.brightness, 1] = self.value
        return scores


@dataclass
class ShortClassifier(BrightnessClassifier):
    """Loses the last row of every batch."""

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        return super().scores(pixels)[:-1]


def dermoscopic(pixels: np.ndarray, lesion: int = 1, visit: int = 1, jpeg: bool = False, **changes):
    """A good Dermoscopic Photography object, with attributes changed afterwards; None removes."""
    return altered(dicom_writer.dermoscopic_photograph(pixels, 1, lesion, visit, jpeg), **changes)


def altered(dataset, **changes):
    """The dataset itself, with attributes changed; None removes one."""
    for keyword, value in changes.items():
        if value is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, value)
    return dataset


def dicom_bytes(dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def open_to_all(*paths: Path) -> None:
    """Let others enter: pytest's own folders are closed."""
    for path in paths:
        for folder in (path, *path.parents):
            if Path(tempfile.gettempdir()) in folder.parents:
                folder.chmod(0o755)


def as_nobody():
    """Give up root's rights for a while: permissions do not bind root."""
    from contextlib import contextmanager

    @contextmanager
    def change():
        if os.geteuid() != 0:
            yield
            return
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)

    return change()
