"""Writes real photographs for the demonstration, as visits of three invented patients.

`isic/ATTRIBUTION.md` names their source and licence.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
from PIL import Image

from batch.demo import dicom_writer as dicom
from batch.demo.archive import WRITTEN_AT

FOLDER = Path(__file__).parent / "isic"
_FOLLOW_UP_SHARE = 0.7
"""Share of each side of a photograph. Its middle is used as a later photograph of the lesion."""


def write_visits(root: Path, visit: int) -> int:
    """Write the photographs of a visit below root, each as a DICOM object; return their number.

    Args:
        root: folder.
        visit: from 1; the second has fewer lesions than the first.
    """
    written = 0
    with (FOLDER / "photographs.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if visit <= int(row["visits"])]
    for row in rows:
        patient, lesion = int(row["patient"]), int(row["lesion"])
        pixels = np.asarray(Image.open(FOLDER / row["photograph"]).convert("RGB"))
        if visit > 1:
            pixels = middle(pixels, _FOLLOW_UP_SHARE)
        dataset = dicom.dermoscopic_photograph(pixels, patient, lesion, visit, jpeg=True)
        dataset.ManufacturerModelName = "photograph of UDA-1"
        folder = root / f"patient-{patient}" / f"visit-{visit}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"lesion-{lesion}.dcm"
        dicom.save(dataset, path)
        os.utime(path, (WRITTEN_AT, WRITTEN_AT))
        written += 1
    return written


def middle(pixels: np.ndarray, share: float) -> np.ndarray:
    """The middle part of pixels, (h, w, 3). share: of each side, above 0 and up to 1."""
    height, width = pixels.shape[:2]
    rows, columns = max(1, round(height * share)), max(1, round(width * share))
    top, left = (height - rows) // 2, (width - columns) // 2
    return pixels[top : top + rows, left : left + columns]
