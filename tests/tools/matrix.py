"""What is decoded: transfer syntax by photometric interpretation, over folders of DICOM files.

`python -m tests.tools.matrix [FOLDER …]`; without a folder, over the files that pydicom and
pydicom-data ship. The kind of object is left aside: this asks what could be read, the pipeline
then takes what is dermoscopy. Greyscale is stated as such without being decoded. The exit code is
1 when a colour image fails that is not named in `EXPECTED_FAILURES`.
"""

from __future__ import annotations

import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pydicom
from pydicom.uid import UID

from batch.core.errors import ImageFailure
from batch.core.rules import Limits, ReadingRules
from batch.images import dicom_image
from batch.images.dicom_attributes import text
from batch.images.dicom_frames import decode_frame
from batch.images.dicom_parse import parse
from batch.images.formats import HEAD_BYTES, FileFormat, sniff

SHIPPED = [Path(pydicom.__file__).parent / "data" / "test_files"]
if spec := find_spec("data_store"):  # the package pydicom-data
    SHIPPED += [Path(place) for place in spec.submodule_search_locations or ()]
DICOM = {FileFormat.DICOM: True, FileFormat.DICOM_WITHOUT_PREAMBLE: False}

EXPECTED_FAILURES = {"badVR.dcm": "grey, with a number of frames that is no number"}


def attempt(path: Path) -> tuple[str, str, str] | None:
    """(transfer syntax, photometric interpretation, result) of a file; None without an image."""
    data = path.read_bytes()
    preamble = DICOM.get(sniff(data[:HEAD_BYTES]))
    if preamble is None:
        return None
    rules = ReadingRules(limits=Limits(frames=1000))
    try:
        parsed = parse(data, rules.limits, preamble)
        dataset = parsed.dataset
        if "PixelData" not in dataset or "Rows" not in dataset:
            return None
        image = dicom_image.describe(parsed, rules)
    except ImageFailure as failure:
        return "?", "?", failure.reason.value
    syntax = UID(image.transfer_syntax_uid).name
    photometric = text(dataset, "PhotometricInterpretation") or "none"
    try:
        for index in range(image.frames):
            decode_frame(image, index, rules.limits)
    except ImageFailure as failure:
        return syntax, photometric, f"{failure.reason.value} ({failure.detail})"
    return syntax, photometric, "decoded"


def matrix(folders: list[Path]) -> tuple[dict[str, tuple[str, str, str]], Counter]:
    """Results by file name, and counted by their three parts."""
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and (result := attempt(path)) is not None:
                found[path.name] = result
    return found, Counter(found.values())


def main() -> int:
    folders = [Path(word) for word in sys.argv[1:]] or SHIPPED
    found, counts = matrix(folders)
    print("| transfer syntax | photometric interpretation | result | files |\n|---|---|---|---|")
    for (syntax, photometric, result), count in sorted(counts.items()):
        print(f"| {syntax} | {photometric} | {result} | {count} |")
    grey = sum(count for key, count in counts.items() if key[2].startswith("not_colour"))
    colour = {n: r for n, r in found.items() if not r[2].startswith("not_colour")}
    failed = {name: result for name, result in colour.items() if result[2] != "decoded"}
    print(
        f"\n{len(found)} images: {grey} grey, {len(colour)} in colour, {len(failed)} of these not:"
    )
    for name, result in failed.items():
        print(f"  {name}: {result[2]}; {EXPECTED_FAILURES.get(name, 'UNEXPECTED')}")
    return int(any(name not in EXPECTED_FAILURES for name in failed))


if __name__ == "__main__":
    sys.exit(main())
