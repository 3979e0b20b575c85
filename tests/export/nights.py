"""Nights over real DICOM objects and photographs, with scores that a test chooses."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset

from batch.archive.local import LocalArchive
from batch.archive.reader import read_file
from batch.core.config import ReviewOptions
from batch.core.privacy import IdentifierPolicy, Identifiers
from batch.core.records import Prediction, Unscored
from batch.core.rules import Limits, ReadingRules
from batch.demo.dicom_writer import dermoscopic_photograph, jpeg_bytes, multi_frame_capture
from batch.demo.lesions import lesion_image
from batch.reports.ledger import conclude_file
from batch.reports.local import RUN_FILE, LocalReports
from batch.review.make_review import NightPlace, make_review
from tests.support.archives import locate
from tests.support.stored_nights import Result, facts, published, run_of

KEY = b"k" * 32
NAME = "Mustermann^Erika"

SCORES = {
    "a/1.dcm": 0.9,  # patient 1, lesion 1, study 1
    "a/2.dcm": 0.8,  # the same study, lesion 2
    "b/1.dcm": 0.7,  # patient 2
    "b/low.dcm": 0.1,  # the same patient, another study, no alert
    "frames.dcm": (0.2, 0.95),  # the second of two frames
    "photo.jpg": 0.85,
    "low.jpg": 0.05,
}
ALERTS = 5


def write_archive(root: Path) -> Path:
    """The files of `SCORES`, and one that is broken."""
    for folder in ("a", "b"):
        (root / folder).mkdir(parents=True)
    save(photograph(1, 1, 1), root / "a/1.dcm")
    save(photograph(1, 2, 1), root / "a/2.dcm")
    save(photograph(2, 1, 1), root / "b/1.dcm")
    save(photograph(2, 3, 2), root / "b/low.dcm")
    save(named(multi_frame_capture(np.stack([pixels(8), pixels(9)]), 3, 1)), root / "frames.dcm")
    (root / "photo.jpg").write_bytes(jpeg_bytes(pixels(10)))
    (root / "low.jpg").write_bytes(jpeg_bytes(pixels(11)))
    (root / "broken.jpg").write_bytes(jpeg_bytes(pixels(12))[:900])
    return root


def pixels(seed: int) -> np.ndarray:
    return lesion_image(seed, 96, 128)


def photograph(patient: int, lesion: int, visit: int) -> FileDataset:
    return named(
        dermoscopic_photograph(pixels(patient * 10 + lesion), patient, lesion, visit, True)
    )


def named(dataset: FileDataset, name: str = NAME) -> FileDataset:
    dataset.PatientName, dataset.PatientBirthDate = name, "19560102"
    dataset.AccessionNumber = "ACC-4711"
    return dataset


def save(dataset: FileDataset, path: Path) -> None:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    path.write_bytes(buffer.getvalue())


def publish(
    reports: Path,
    archive: Path,
    number: int = 1,
    scores=SCORES,
    identifiers: Identifiers = Identifiers.UIDS,
    model: str = "m1",
    threshold: float = 0.5,
    pattern: str | None = None,
) -> Path:
    """A night with its worklist; the folder of the night."""
    rules = ReadingRules(Limits(), identifiers=IdentifierPolicy(identifiers, KEY))
    results = [
        _result(archive, path, scores, rules)
        for path in sorted(archive.rglob("*"))
        if path.is_file()
    ]
    made_with = facts(number, model, threshold)
    run = run_of(made_with, len(results))
    run["model"]["preprocessing_version"] = made_with.preprocessing_version
    run["options"] = {
        "archive": str(archive), "identifiers": identifiers.value, "lesion_pattern": pattern,
    }  # fmt: skip
    folder = published(reports, results, made_with, **run)
    told = json.loads((folder / RUN_FILE).read_text())
    place = NightPlace(LocalReports(reports), folder, told)
    said = make_review(place, folder, ReviewOptions(pictures=False, lesion_pattern=pattern), None)
    assert "worklist" not in said["failed"]
    return folder


def mark(reports: Path, *lesion_keys: str, at: str = "2027-01-01T08:00:00+00:00") -> None:
    """Marks that close lesions; REPORTS of these tests lie in 2026."""
    lines = ["lesion_key,decision,reviewer,reviewed_at"]
    lines += [f"{key},biopsied,dr. a,{at}" for key in lesion_keys]
    (reports / "reviewed.csv").write_text("\n".join(lines) + "\n")


def _result(archive: Path, path: Path, scores, rules: ReadingRules) -> Result:
    reading, frames = read_file(LocalArchive(archive), locate(archive, path), rules)
    given = scores.get(str(path.relative_to(archive)), 0.0)
    given = given if isinstance(given, tuple) else (given,)
    predictions, unscored = [], []
    for number, frame in enumerate(frames):
        if isinstance(frame, Unscored):
            unscored.append(frame)
            continue
        score = given[number]
        pair = (("melanoma", score), ("nevus", 1 - score))
        record = replace(frame.record, is_reliable=True)
        predictions.append(Prediction(record, pair, "melanoma", score))
    outcome = conclude_file([reading], [1] * len(predictions), unscored)
    return Result(outcome, tuple(predictions), tuple(unscored))
