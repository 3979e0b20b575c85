"""Programs of others that judge SR documents, and exactly the messages that are allowed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

PIXELMED = Path("/usr/share/java/pixelmed.jar")
_JAVA = shutil.which("java")
needs_dciodvfy = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="no dciodvfy: apt-get install dicom3tools"
)
needs_dsrdump = pytest.mark.skipif(
    shutil.which("dsrdump") is None, reason="no dsrdump: apt-get install dcmtk"
)
needs_pixelmed = pytest.mark.skipif(
    not (PIXELMED.exists() and _JAVA), reason="no PixelMed: apt-get install pixelmed-apps"
)

DCIODVFY_ALLOWED = {
    "Comprehensive3DSR",  # what it takes the document for
    # own codes: no standard scheme has a score or "raised for review"
    "Warning - Unrecognized defined term <99MELBATCH> for value 1 of attribute "
    "<Coding Scheme Designator>",
    # Device UID of Contributing Equipment came into the standard after this dciodvfy
    "Warning - Attribute is not present in standard DICOM IOD - (0x0018,0x1002) UI Device UID",
    "Warning - Dicom dataset contains attributes not present in standard DICOM IOD - this is a "
    "Standard Extended SOP Class",
}

PIXELMED_ALLOWED = {
    "Found Comprehensive3DSR IOD",
    "Found Root Template TID_1500 (MeasurementReport)",
    "Root Template Validation Complete",
    "IOD validation complete",
    # the qualitative evaluation: TID 1501 allows any, PixelMed knows only those with a row
    'Warning: N: /CONTAINER (126000,DCM,"Imaging Measurement Report")/CONTAINER (126010,DCM,'
    '"Imaging Measurements")/CONTAINER (125007,DCM,"Measurement Group")/CODE '
    '(raised-review,99MELBATCH,"Raised for review at operating point"): Content Item not in '
    "template",
}


def dciodvfy(file: Path) -> set[str]:
    """Its different messages."""
    done = _run("dciodvfy", file)
    return {line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()}


def pixelmed(file: Path) -> set[str]:
    """Its different messages, without the numbers of content items."""
    done = _run(
        _JAVA or "java",
        # Java 17 limits expressions of XPath below what the templates need
        "-Djdk.xml.xpathTotalOpLimit=0",
        "-Djdk.xml.xpathExprOpLimit=0",
        "-Djdk.xml.xpathExprGrpLimit=0",
        "-Xmx500m",
        "-cp",
        "/usr/share/java/*",
        "com.pixelmed.validate.DicomSRValidator",
        file,
    )
    lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    kept = [line.strip() for line in lines if line.strip() and not line.startswith("SLF4J")]
    return {re.sub(r"^(\w+): [\d.]+:", r"\1: N:", line) for line in kept}


def dsrdump(file: Path) -> str:
    """The document in words; fails if it says anything on standard error."""
    done = _run("dsrdump", "+Pl", file)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def _run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=300)
