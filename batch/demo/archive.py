"""Writes a small archive as a hospital may have it, with broken files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from batch.core.errors import UsageError
from batch.demo import dicom_writer as dicom
from batch.demo.lesions import lesion_image

MARKER = ".melanoma-batch-demo"

WRITTEN_AT = 1_735_689_600
"""Modification time of every file: 2025-01-01, UTC."""

EXPECTED_STATES = {"scored": 16, "unscored": 4, "non_image": 3}
"""Files by state after a run over the archive, for any seed."""


def prepare_folder(folder: Path) -> Path:
    """Make or take a folder for the demonstration, and return the path of the archive in it.

    Raises:
        UsageError: it holds other files than those of a demonstration, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / MARKER).exists():
            raise UsageError(f"FOLDER: {folder} is not empty; choose a new or an empty folder.")
        (folder / MARKER).touch()
    except OSError as error:
        raise UsageError(
            f"FOLDER: cannot write in {folder} ({error.strerror}). Choose another folder."
        ) from error
    return folder / "archive"


def write_archive(root: Path, seed: int = 0) -> None:
    """Write 23 files below root, with the same bytes for the same seed.

    16 can be scored (one of them has three frames), 4 are unscored, 3 are no images.
    """
    photographs = root / "photographs"
    photographs.mkdir(parents=True, exist_ok=True)
    _write_photographs(photographs, seed)
    _write_studies(root / "dicom", seed + 100)
    _write_broken(root / "inbox", seed + 200)
    for path in root.rglob("*"):  # a broken file that is young would wait for the next run
        os.utime(path, (WRITTEN_AT, WRITTEN_AT))


def _write_photographs(folder: Path, seed: int) -> None:
    for number in range(4):
        pixels = lesion_image(seed + number, 480, 640)
        (folder / f"lesion-{number}.jpg").write_bytes(dicom.jpeg_bytes(pixels))
    for number in range(4, 6):
        Image.fromarray(lesion_image(seed + number, 300, 400)).save(folder / f"lesion-{number}.png")
    Image.fromarray(lesion_image(seed + 6, 300, 300)).save(folder / "lesion-6.tif")
    Image.fromarray(lesion_image(seed + 7, 300, 400)).save(folder / "lesion-7.bmp")
    Image.fromarray(lesion_image(seed + 8, 300, 400)).save(folder / "lesion-8.webp", lossless=True)
    # a JPEG under another name: files are recognised by content
    (folder / "export-0001").write_bytes(dicom.jpeg_bytes(lesion_image(seed + 9, 150, 200)))
    (folder / "notes.txt").write_text("Generated images; nobody's skin.\n", encoding="utf-8")


def _write_studies(folder: Path, seed: int) -> None:
    """Write studies of two patients; the first lesion of patient 1 has two visits."""
    for patient, lesion, visit, jpeg in (
        (1, 1, 1, True),
        (1, 1, 2, True),
        (1, 2, 1, False),
        (2, 1, 1, True),
        (2, 2, 1, False),
    ):
        pixels = lesion_image(seed + 10 * patient + lesion, 480, 640)
        study = folder / f"patient-{patient}" / f"visit-{visit}"
        study.mkdir(parents=True, exist_ok=True)
        photograph = dicom.dermoscopic_photograph(pixels, patient, lesion, visit, jpeg)
        dicom.save(photograph, study / f"lesion-{lesion}.dcm")
    frames = np.stack([lesion_image(seed + 50 + number, 240, 320) for number in range(3)])
    dicom.save(
        dicom.multi_frame_capture(frames, 2, 1), folder / "patient-2" / "visit-1" / "sequence.dcm"
    )
    dicom.save(dicom.encapsulated_pdf(2), folder / "patient-2" / "letter.dcm")


def _write_broken(folder: Path, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    whole = dicom.jpeg_bytes(lesion_image(seed, 480, 640))
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text-named.jpg").write_text("This is no photograph.\n", encoding="utf-8")
    (folder / "empty.jpg").write_bytes(b"")
    Image.fromarray(lesion_image(seed + 1, 240, 320)).convert("L").save(folder / "grey.png")
    (folder / "viewer-settings.json").write_text('{"zoom": 2}\n', encoding="utf-8")
